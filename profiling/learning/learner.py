"""Learner: fitted on some pairs, it gives P(GPU) of others; Fold: one held-out part."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple, Protocol

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd

    from placement.spec.joint_threshold import JointThreshold


class Fold(NamedTuple):
    """One held-out part. name: what is held out.  train, test: indices of rows of the frame; they share none.

    seed: of what was drawn for it.
    """

    name: str
    train: np.ndarray
    test: np.ndarray
    seed: int = 0


class Learner(Protocol):
    """P(GPU) of pairs it has not seen."""

    name: str

    def held_out(self, frame: pd.DataFrame, folds: Sequence[Fold], rule: JointThreshold) -> list[np.ndarray]:
        """For each fold, fitted on its train rows alone: P(GPU) of its test rows."""
        ...
