"""Learners of the label, one interface: fitted on some pairs, they give P(GPU) of others.

    majority, flops_rule, logistic, boosted_trees    simple.py           what a selector has to beat
    paper                                            paper.py            the paper's net 9-16-16-1
    ratio                                            ratio_learner.py    ours (see
    placement.prediction.gaussian_process); fitting.py fits it

Frames are as `frames.py` says. All learners get the same features and the same rows, probes among them; the paper's net
keeps its nine features.
"""

from __future__ import annotations

from profiling.learning.learner import Learner

__all__ = ["DEFAULT", "SELECTORS", "learners"]

SELECTORS = ("paper", "ratio")
"""The learners that can serve."""
DEFAULT = "ratio"
"""The one that is shipped, and refitted unless another is asked for: by `placement paper table5 --beside ratio`."""


def learners() -> dict[str, Learner]:
    """Every learner by name, weakest first."""
    from profiling.learning.baselines import BoostedTrees, FlopsThreshold, Logistic, Majority
    from profiling.learning.mlp import Paper
    from profiling.learning.speedup import Ratio

    each: tuple[Learner, ...] = (Majority(), FlopsThreshold(), Logistic(), BoostedTrees(), Paper(), Ratio())
    return {learner.name: learner for learner in each}
