"""The ratio selector as a learner: P(GPU) of its predicted speed-up and energy ratio, by any thresholds."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from placement.errors import LogError
from placement.ratio import INPUTS, Prediction, RatioModel
from profiling.learners import Fold
from profiling.learners.fitting import fit_ratio

if TYPE_CHECKING:
    import pandas as pd

    from placement.ratio_selector import RatioSelector
    from placement.rule import JointThreshold


class Ratio:
    """See `placement.ratio`."""

    name = "ratio"

    def held_out(self, frame: pd.DataFrame, folds: Sequence[Fold], rule: JointThreshold) -> list[np.ndarray]:
        """As Learner; a fold with too few timings for a curve is answered by its majority."""
        answers = []
        for fold in folds:
            train, test = frame.iloc[fold.train], frame.iloc[fold.test]
            try:
                model = fit_ratio(train, fold.seed)
            except LogError:
                answers.append(np.full(len(test), (train["label"] == "gpu").mean()))
                continue
            answers.append(np.array([model.p_gpu(each, rule)[0] for each in predictions(model, test)]))
        return answers


def predictions(model: RatioModel, frame: pd.DataFrame) -> list[Prediction]:
    """The model's prediction of each row of a frame."""
    known = frame[["cpu_gflops", "gpu_gflops"]].astype(float)
    names = [frame[name] for name in ("framework", "cpu_device", "gpu_device")]
    asked: dict[tuple[object, ...], Prediction] = {}
    found = []
    columns = (frame[list(INPUTS)].to_numpy(float).tolist(), *names, *(known[name] for name in known))
    for work, framework, cpu, gpu, cpu_gflops, gpu_gflops in zip(*columns, strict=True):
        framework = framework if isinstance(framework, str) else None
        hardware = [value if value > 0 else None for value in (cpu_gflops, gpu_gflops)]
        work = [value if value > 0 else None for value in work]
        key = (*work, framework, cpu, gpu, *hardware)
        if key not in asked:  # published tables time the same work on the same devices under many names
            asked[key] = model.predict(work, framework, cpu, gpu, *hardware)
        found.append(asked[key])
    return found


def fit_ratio_selector(frame: pd.DataFrame, rule: JointThreshold, seed: int = 0) -> RatioSelector:
    """The selector of a frame (see `profiling.learners.frames`), with its metrics; its version names its weights.

    Raises LogError where there is too little to learn from.
    """
    import hashlib

    from placement.ratio_selector import RatioSelector

    model = fit_ratio(frame, seed)
    gpu = (frame["label"] == "gpu").to_numpy()
    p_gpu = np.array([model.p_gpu(each, rule)[0] for each in predictions(model, frame)])
    digest = hashlib.sha256(model.weights.tobytes() + model.factor.tobytes()).hexdigest()[:12]
    return RatioSelector(
        f"ratio-{digest}", model, rule,
        training={"rows": len(frame), "rows_gpu": int(gpu.sum()), "seed": seed},
        metrics={"training_accuracy": float(((p_gpu >= 0.5) == gpu).mean()), "points": len(model.weights)},
    )  # fmt: skip
