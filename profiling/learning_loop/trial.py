"""Off-policy trial of one selector against another, on runs that neither of them may have decided.

For a run on which the two take different devices, the gain of the other selector over the one in service is estimated
doubly robustly (Dudik, Langford and Li, ICML 2011): by the costs that the model expects, corrected by the cost observed
over the propensity of the device taken. Each run counts by its overlap, the product of both devices' propensities
(overlap weights of Li, Morgan and Zaslavsky, JASA 2018), which keeps every term between -1 and 1 however small a
propensity is. A run whose device was taken with propensity 1 has no overlap and tells nothing.

Costs are shares of COST_SCALE times the dearer device's expected cost, cut at 1. Whatever the model expects, the
estimate has the right mean as long as the propensities are right; a bad model makes it wide.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Literal

from placement.spec.task import Device
from profiling.learning_loop.beliefs import Belief
from profiling.learning_loop.confidence_sequence import ConfidenceSequence

Verdict = Literal["better", "no better", "undecided", "no overlap"]

ALPHA = 0.001  # probability of a wrong verdict
MARGIN = 0.02
"""The gain, in such shares, that a challenger must exceed: queues couple tasks, and what is saved on one task may be
lost on those that wait behind it. Trials are made where both devices idle, and there the gain by the runs' own seconds
is at most 0.002 above that until tasks end (`queue_coupling`); the rest is for what idles a moment only."""
COST_SCALE = 1.5  # a cost is seen as a share of so many times the dearer device's expected one
LEAST_OVERLAP = 0.01  # product of propensities, below which a run counts as without overlap
LEAST_COVERED = 0.5  # share of the runs on which the two differ that must have overlap
LONGEST_RUNS = 50_000  # of a trial; then it ends without a verdict
LOOK_EVERY = 8


@dataclass(slots=True)
class SelectorComparison:
    """The comparison of a challenger with the selector in service.

    runs: looked at.  differing: runs on which the two take different devices.
    covered: of these, runs with overlap.  gain: the confidence sequence of the weighted gain less the margin.
    """

    margin: float = MARGIN
    alpha: float = ALPHA
    runs: int = 0
    differing: int = 0
    covered: int = 0
    weight: float = 0.0
    gain: ConfidenceSequence = field(init=False)

    def __post_init__(self) -> None:
        self.gain = ConfidenceSequence(self.alpha)

    def add(
        self, champion: Belief, challenger: Belief, device: Device, cost: float, propensity: float
    ) -> Verdict | None:
        """Takes one run; the verdict where it ends the trial.

        champion, challenger: the beliefs before the run.  cost: observed, at the rule's prices.
        propensity: with which the device was taken.
        """
        self.runs += 1
        ours, theirs = champion.device, challenger.device
        mine, other = champion.cost(ours), champion.cost(theirs)
        if ours != theirs and mine and other:
            self.differing += 1
            chance = propensity if device == ours else 1.0 - propensity
            overlap = chance * (1.0 - chance)
            if overlap >= LEAST_OVERLAP:
                self._count(mine, other, device == ours, cost, chance, overlap)
                if self.covered % LOOK_EVERY == 0 and (verdict := self.verdict) is not None:
                    return verdict
        return self._without_verdict() if self.runs >= LONGEST_RUNS else None

    def _count(self, mine: float, other: float, taken: bool, cost: float, chance: float, overlap: float) -> None:
        scale = COST_SCALE * max(mine, other)
        mine, other, seen = mine / scale, other / scale, min(1.0, cost / scale)
        residual = (1.0 - chance) * (seen - mine) if taken else -chance * (seen - other)
        self.covered += 1
        self.weight += overlap
        self.gain.add(overlap * (mine - other - self.margin) + residual)

    @property
    def verdict(self) -> Verdict | None:
        """The verdict that is certain already; None where there is none yet."""
        if self.covered < LEAST_COVERED * self.differing:
            return None
        if self.gain.lower > 0.0:
            return "better"
        return "no better" if self.gain.upper < 0.0 else None

    def _without_verdict(self) -> Verdict:
        return "no overlap" if self.covered < LEAST_COVERED * max(self.differing, 1) else "undecided"

    def state(self) -> dict[str, Any]:
        """The trial in plain data."""
        return {
            "runs": self.runs, "differing": self.differing, "covered": self.covered, "gain": self.mean_gain,
            "margin": self.margin, "alpha": self.alpha,
        }  # fmt: skip

    @property
    def mean_gain(self) -> float | None:
        """The overlap-weighted mean gain, margin included, in shares of the scaled cost."""
        return self.gain.total / self.weight + self.margin if self.weight else None
