"""The learners by name. Each is fitted to some pairs and gives P(GPU) of others.

    majority, flops_rule, logistic, boosted_trees    baselines    simple rules and standard classifiers
    paper                                            mlp          the paper's net 9-16-16-1
    ratio                                            speedup      predicts speed-up and energy ratio; the default

Frames have the columns of `profiling.dataset.frames`. All learners get the same features and the same rows, probes
included; the paper's net uses its nine features.
"""

from __future__ import annotations

from profiling.learning.learner import Learner

__all__ = ["DEFAULT", "SELECTORS", "learners"]

SELECTORS = ("paper", "ratio")
"""Learners that make a selector file."""
DEFAULT = "ratio"
"""The learner of the shipped selector and of `placement refit`, by the evidence of `placement paper table5 --beside
ratio`."""


def learners() -> dict[str, Learner]:
    """Every learner by name, weakest first."""
    from profiling.learning.baselines import BoostedTreesBaseline, FlopsThreshold, Logistic, Majority
    from profiling.learning.mlp import MlpLearner
    from profiling.learning.speedup import SpeedupLearner

    each: tuple[Learner, ...] = (
        Majority(),
        FlopsThreshold(),
        Logistic(),
        BoostedTreesBaseline(),
        MlpLearner(),
        SpeedupLearner(),
    )
    return {learner.name: learner for learner in each}
