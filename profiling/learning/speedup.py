"""The speed-up selector as a learner: P(GPU) of its predicted speed-up and energy ratio, by any thresholds.

curves (`fit_gaussian_process`) and the roofline with trees (`fit_residuals`), and the share of the trees: 1, unless
another of SHARES errs less in the log speed-up of work held out of a fit of both, by a standard error: trees are tens
of times faster to ask. Each part of the work is held out once: one part alone tells too little.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from placement.errors import LogError
from placement.prediction.boosted_trees import mixed
from placement.prediction.estimate import Spread, energy_of, probability_worth
from placement.prediction.gaussian_process import INPUTS, GaussianProcess, Prediction
from placement.prediction.residual_trees import ResidualTrees
from profiling.dataset.frames import labels_of
from profiling.dataset.one_sided import is_one_sided
from profiling.learning.counterfactuals import completed
from profiling.learning.fit_gaussian_process import fit_ratio
from profiling.learning.fit_power import fit_power
from profiling.learning.fit_residuals import FEWEST_ROWS, fit_residuals, predict, speedups_by_trees
from profiling.learning.learner import Fold
from profiling.learning.pair_targets import log_speedups, parts_of_work, work_of

if TYPE_CHECKING:
    import pandas as pd

    from placement.prediction.speedup_selector import SpeedupSelector
    from placement.spec.joint_threshold import JointThreshold

SHARES = (0.0, 0.25, 0.5, 1.0)  # trees alone last
MOST_TESTED = 1000  # rows of each part on which the share is chosen


@dataclass(frozen=True, slots=True)
class FittedModels:
    """The fitted parts of a selector. curves: None where the trees have it all.  share: of the trees."""

    curves: GaussianProcess | None
    trees: ResidualTrees | None
    share: float

    def p_gpu(self, frame: pd.DataFrame, rule: JointThreshold) -> np.ndarray:
        """P(GPU) of each row of a frame."""
        curves = None if self.curves is None else predictions(self.curves, frame)
        if self.trees is None:
            assert self.curves is not None
            assert curves is not None
            return np.array([self.curves.p_gpu(each, rule)[0] for each in curves])
        by_trees = predict(self.trees, frame)
        found = []
        for row, (speedup, std, power, power_std) in enumerate(zip(*by_trees[:4], strict=True)):
            told = Spread(float(speedup), float(std))
            if curves is not None:
                told = mixed(curves[row], told, self.share)
            energy = energy_of(told, Spread(float(power), float(power_std)))
            found.append(probability_worth(told, energy, float(power_std), rule)[0])
        return np.array(found)


def fit_both(frame: pd.DataFrame, seed: int = 0) -> FittedModels:
    """Curves, trees and their share. Raises LogError where there is too little to learn from."""
    trees = fit_residuals(frame, seed)
    try:
        curves = fit_ratio(frame, seed)
    except LogError:
        if trees is None:
            raise
        return FittedModels(None, trees, 1.0)
    share = 0.0 if trees is None else _share(frame, curves, seed)
    return FittedModels(None if share == 1 else curves, trees, share)


def fit_trees(frame: pd.DataFrame, seed: int = 0) -> FittedModels:
    """Trees alone. Raises LogError where there are too few rows."""
    trees = fit_residuals(frame, seed)
    if trees is None:
        raise LogError(f"nothing to learn from: {len(frame)} rows; trees take {FEWEST_ROWS} at least.")
    return FittedModels(None, trees, 1.0)


def _share(frame: pd.DataFrame, curves: GaussianProcess, seed: int) -> float:
    """The share of the trees with the least squared error among the SHARES that are surely better than trees alone. The
    curves' few amplitudes are those of all the work.
    """
    target, chance = log_speedups(frame), np.random.default_rng(seed)
    gaps: list[list[float]] = []  # of each piece of work, for each share: squared errors less those of trees alone
    for held in parts_of_work(frame, seed):
        tested = np.flatnonzero(held & np.isfinite(target))
        if len(tested) > MOST_TESTED:
            tested = np.sort(chance.choice(tested, MOST_TESTED, replace=False))
        test = frame.iloc[tested]
        try:
            of_curves = [one.log_speedup for one in predictions(fit_ratio(frame[~held], seed, curves), test)]
            of_trees = speedups_by_trees(frame[~held], test)
        except LogError:
            continue
        of_shares = np.stack([(1 - share) * np.array(of_curves) + share * of_trees for share in SHARES], axis=1)
        errors = (of_shares - target[tested, None]) ** 2
        works = work_of(test)
        gaps += [(errors - errors[:, -1:])[works == one].sum(0).tolist() for one in np.unique(works)]
    if len(gaps) < 2:
        return 0.0
    mean, error = np.mean(gaps, axis=0), np.std(gaps, axis=0, ddof=1) / np.sqrt(len(gaps))
    better = np.flatnonzero(mean < -error)
    if not len(better):
        return 1.0
    best = better[np.argmin(mean[better])]
    # The one-standard-error rule of Breiman et al.: a mix is taken where curves alone are surely worse than it.
    return min(SHARES[at] for at in better if mean[at] <= mean[best] + error[best])


class SpeedupLearner:
    """The learner "ratio". See `placement.prediction.gaussian_process` and `placement.prediction.residual_trees`."""

    name = "ratio"

    def held_out(self, frame: pd.DataFrame, folds: Sequence[Fold], rule: JointThreshold) -> list[np.ndarray]:
        """P(GPU) of each fold's test rows. The folds share the machine's cores: each fit takes a second or more."""
        from joblib import Parallel, cpu_count, delayed

        each = (delayed(_answers)(frame.iloc[fold.train], frame.iloc[fold.test], fold.seed, rule) for fold in folds)
        found: list[np.ndarray] = Parallel(n_jobs=max(1, min(len(folds), cpu_count())))(each)
        return found


def _answers(train: pd.DataFrame, test: pd.DataFrame, seed: int, rule: JointThreshold) -> np.ndarray:
    """P(GPU) of the test rows, (n,); of too few timings for a curve the majority's."""
    try:
        return fit_both(train, seed).p_gpu(test, rule)
    except LogError:
        return np.full(len(test), (train["label"] == "gpu").mean())


def predictions(model: GaussianProcess, frame: pd.DataFrame) -> list[Prediction]:
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


def fit_speedup_selector(frame: pd.DataFrame, rule: JointThreshold, seed: int = 0) -> SpeedupSelector:
    """The selector of a frame (see `profiling.dataset.frames`), with its metrics; its version names its weights.

    Runs that were not made are NaN in the frame; they are imputed (`profiling.learning.counterfactuals`).

    Raises LogError where there is too little to learn from.
    """
    import hashlib
    import json

    from placement.prediction.speedup_selector import SpeedupSelector

    power, training = fit_power(frame, seed), {}
    if is_one_sided(frame):
        training = {"one_sided": int(frame[["cpu_seconds", "gpu_seconds"]].isna().any(axis=1).sum())}
        frame = completed(frame, seed)
        frame = frame.assign(label=labels_of(frame, rule))
        fitted = fit_trees(frame, seed)
    else:
        fitted = fit_both(frame, seed)
    gpu = (frame["label"] == "gpu").to_numpy()
    p_gpu = fitted.p_gpu(frame, rule)
    made = SpeedupSelector(
        "ratio", fitted.curves, rule,
        training={"rows": len(frame), "rows_gpu": int(gpu.sum()), "seed": seed, **training},
        metrics={"training_accuracy": float(((p_gpu >= 0.5) == gpu).mean()), "share_of_trees": fitted.share},
        trees=fitted.trees, share=fitted.share, power=power,
    )  # fmt: skip
    text = json.dumps({name: made.to_dict()[name] for name in ("model", "trees", "share", "power")}, sort_keys=True)
    return replace(made, version=f"ratio-{hashlib.sha256(text.encode()).hexdigest()[:12]}")
