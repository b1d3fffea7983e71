"""The interface of learners, and Fold, one held-out part of the pairs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple, Protocol

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd

    from placement.spec.joint_threshold import JointThreshold


class Fold(NamedTuple):
    """One held-out part. name: of the part held out.  train, test: indices of rows of the frame; they share none.

    seed: of the random draws that made it.
    """

    name: str
    train: np.ndarray
    test: np.ndarray
    seed: int = 0


class Learner(Protocol):
    """A classifier that is fitted on some pairs and gives P(GPU) of others."""

    name: str

    def held_out(self, frame: pd.DataFrame, folds: Sequence[Fold], rule: JointThreshold) -> list[np.ndarray]:
        """P(GPU) of each fold's test rows, by a fit to its train rows alone."""
        ...
