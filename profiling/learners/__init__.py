"""Learners of the label, one interface: fitted on some pairs, they give P(GPU) of others.

    majority, flops_rule, logistic, boosted_trees    simple.py           what a selector has to beat
    paper                                            paper.py            the paper's net 9-16-16-1
    ratio                                            ratio_learner.py    ours (see placement.ratio); fitting.py fits it

Frames are as `frames.py` says. All learners get the same features and the same rows, probes among them; the paper's net
keeps its nine features.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple, Protocol

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd

    from placement.rule import JointThreshold

__all__ = ["DEFAULT", "SELECTORS", "Fold", "Learner", "learners"]

SELECTORS = ("paper", "ratio")
"""The learners that can serve."""
DEFAULT = "ratio"
"""The one that is shipped, and refitted unless another is asked for: by `placement paper table5 --beside ratio`."""


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


def learners() -> dict[str, Learner]:
    """Every learner by name, weakest first."""
    from profiling.learners.paper import Paper
    from profiling.learners.ratio_learner import Ratio
    from profiling.learners.simple import BoostedTrees, FlopsThreshold, Logistic, Majority

    each: tuple[Learner, ...] = (Majority(), FlopsThreshold(), Logistic(), BoostedTrees(), Paper(), Ratio())
    return {learner.name: learner for learner in each}
