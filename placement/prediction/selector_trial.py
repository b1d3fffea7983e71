"""A selector in service while a challenger is tried against it: it decides as before, and doubts itself where the two
differ.

Where the challenger believes in the other device, P(GPU) moves towards its belief by SHARE, though never to the other
side of 1/2, and the spreads widen with it. Exploration, which samples from these beliefs, then tries the tasks whose
runs tell the two apart, within its budget. In a selector file the kind is "trial"; both selectors are within.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from statistics import NormalDist
from typing import Any, Final

from placement.errors import SelectorError
from placement.prediction.estimate import Basis, Estimate, EstimateList, Estimates, Prepared, Spread
from placement.prediction.one_by_one import power_model, prepared
from placement.prediction.power_model import PowerModel
from placement.prediction.selector import Selector
from placement.prediction.selector_checks import REFIT, SCHEMA_VERSION, version_of
from placement.spec.joint_threshold import JointThreshold
from placement.spec.node import NodeSpec
from placement.spec.task import TaskSpec

TRIAL: Final = "trial"
SHARE = 0.1  # of the belief, that is the challenger's: of a budget, more runs of less weight tell more
NEAREST = 0.01  # to 1/2, that P(GPU) comes
SUREST = 1e-6
STANDARD = NormalDist()


@dataclass(frozen=True)
class SelectorTrial:
    """A champion in service whose estimates are less sure where a challenger differs."""

    version: str
    champion: Selector
    challenger: Selector

    @property
    def thresholds(self) -> JointThreshold:
        """The thresholds of the champion, which is in service."""
        return self.champion.thresholds

    @property
    def power(self) -> PowerModel:
        """The power model of the champion."""
        return power_model(self.champion)

    def estimate(self, task: TaskSpec, node: NodeSpec, cpus: float) -> Estimate | None:
        """The champion's estimate, doubted where the challenger's differs."""
        return doubted(self.champion.estimate(task, node, cpus), self.challenger.estimate(task, node, cpus))

    def prepare(self, nodes: tuple[NodeSpec, ...], cpus: float) -> Prepared:
        """Both selectors prepared."""
        ours, theirs = prepared(self.champion, nodes, cpus), prepared(self.challenger, nodes, cpus)

        def estimates(task: TaskSpec, /) -> Estimates:
            mine, other = ours(task), theirs(task)
            return EstimateList([doubted(mine[at], other[at]) for at in range(len(nodes))])

        return estimates

    def to_dict(self) -> dict[str, Any]:
        """The selector file's content."""
        both = {"selector": self.champion.to_dict(), "challenger": self.challenger.to_dict()}
        return {"schema_version": SCHEMA_VERSION, "kind": TRIAL, "version": self.version, **both}


def trial_of(champion: Selector, challenger: Selector) -> SelectorTrial:
    """The trial of a challenger; its version names both."""
    return SelectorTrial(f"{champion.version[:48]}~{challenger.version[:48]}", champion, challenger)


def doubted(champion: Estimate | None, challenger: Estimate | None) -> Estimate | None:
    """The champion's estimate, less sure where the challenger believes in the other device."""
    if champion is None or challenger is None or (champion.p_gpu >= 0.5) == (challenger.p_gpu >= 0.5):
        return champion
    before, mixed = champion.p_gpu, (1 - SHARE) * champion.p_gpu + SHARE * challenger.p_gpu
    p_gpu = max(mixed, 0.5 + NEAREST) if before >= 0.5 else min(mixed, 0.5 - NEAREST)
    theirs_s = challenger.seconds_on("gpu" if before < 0.5 else "cpu")
    if abs(p_gpu - 0.5) >= abs(before - 0.5):
        return replace(champion, contested_s=theirs_s)
    sure = min(max(before, SUREST), 1 - SUREST)
    factor = STANDARD.inv_cdf(sure) / STANDARD.inv_cdf(p_gpu)
    return replace(
        champion, contested_s=theirs_s, p_gpu=p_gpu, speedup=_wider(champion.speedup, factor),
        energy_ratio=_wider(champion.energy_ratio, factor), cpu_basis=_less_sure(champion.cpu_basis, factor),
        gpu_basis=_less_sure(champion.gpu_basis, factor),
    )  # fmt: skip


def selector_trial_of(data: Mapping[str, Any], read: Callable[[Any], Selector]) -> SelectorTrial:
    """The SelectorTrial of a selector file; read: makes the selectors within. SelectorError names the first fault."""
    both = [data.get("selector"), data.get("challenger")]
    if any(isinstance(one, Mapping) and one.get("kind") == TRIAL for one in both):
        raise SelectorError(f"selector file: a trial within a trial. {REFIT}")
    champion, challenger = map(read, both)
    return SelectorTrial(version_of(data), champion, challenger)


def _wider(spread: Spread | None, factor: float) -> Spread | None:
    return None if spread is None else Spread(spread.mean, spread.std * factor)


def _less_sure(basis: Basis, factor: float) -> Basis:
    return basis if basis.seconds_std is None else basis._replace(seconds_std=basis.seconds_std * factor)
