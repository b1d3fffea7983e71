"""The paper's net as a learner: nine features, fitted by `profiling.learning.mlp_training` for all folds at once."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from placement.spec.features import FEATURES
from profiling.learning.descent import TrainingOptions
from profiling.learning.learner import Fold
from profiling.learning.mlp_training import FEWEST_ROWS, Examples, fit_many

if TYPE_CHECKING:
    import pandas as pd

    from placement.spec.joint_threshold import JointThreshold

MOST_ROWS = 2000
"""Train rows of a net, drawn by the fold's seed: more makes 449 weights no better, and SGD's time grows with them."""
OPTIONS = TrainingOptions(epochs=800, patience=60)


class MlpLearner:
    """The paper's net 9-16-16-1. A feature that is unknown counts as the table's median."""

    name = "paper"

    def __init__(self, options: TrainingOptions = OPTIONS) -> None:
        self.options = options

    def held_out(self, frame: pd.DataFrame, folds: Sequence[Fold], rule: JointThreshold) -> list[np.ndarray]:
        """P(GPU) of each fold's test rows; where the train rows have one class, that class is the answer."""
        gpu = (frame["label"] == "gpu").to_numpy()
        columns = frame[list(FEATURES)].to_numpy(float)
        if missing := [
            name for name, known in zip(FEATURES, np.isfinite(columns).any(axis=0), strict=True) if not known
        ]:
            columns[:, [list(FEATURES).index(name) for name in missing]] = 0.0
        columns = np.where(np.isfinite(columns), columns, np.nanmedian(columns, axis=0))
        inputs = np.log1p(columns)
        chosen = [_drawn(fold) for fold in folds]
        used = np.unique(np.concatenate(chosen))
        parts = [np.isin(used, rows) for rows in chosen]
        able = [part.sum() >= FEWEST_ROWS and 0 < gpu[used][part].sum() < part.sum() for part in parts]
        data = Examples(inputs[used], gpu[used])
        masks = [part for part, can in zip(parts, able, strict=True) if can]
        nets = iter(fit_many(data, masks, rule, self.options) if masks else ())
        return [
            next(nets).selector.probabilities(inputs[fold.test])
            if can
            else np.full(len(fold.test), gpu[fold.train].mean())
            for fold, can in zip(folds, able, strict=True)
        ]


def _drawn(fold: Fold) -> np.ndarray:
    if len(fold.train) <= MOST_ROWS:
        return fold.train
    return np.random.default_rng(fold.seed).choice(fold.train, MOST_ROWS, replace=False)
