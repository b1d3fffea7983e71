"""The paper's policy: the GPU where the selector says that it is worth it. What all policies share stands here too."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from itertools import chain
from typing import Any, ClassVar, NamedTuple

from placement.errors import OptionError
from placement.scheduling.candidate_set import CandidateSet, candidate_set
from placement.scheduling.candidates import Candidate, Choice
from placement.scheduling.cost_model import SECONDS_PER_JOULE, Option, options_of, tiers_of
from placement.scheduling.fastest_cpu import against_by_ratios, against_fastest_cpu, ratios_of, relative_costs
from placement.spec.task import Device, TaskSpec

Known = list[tuple[float, int]]
"""(P(GPU), group) of the GPU candidates of which something is known."""


def pick(device: Device, candidates: Sequence[Candidate], reason: str, propensity: float = 1.0) -> Choice:
    """A Choice of all configs of this device; of the other device, with a reason, where no candidate has this one."""
    found = candidate_set(candidates)
    cpu, gpu = found.cpu_configs, found.gpu
    if device == "gpu" and gpu:
        return Choice("gpu", found.gpu_configs(), reason, best_probability(found), propensity)
    if device == "cpu" and cpu:
        return Choice("cpu", cpu, reason, best_probability(found), propensity)
    if device == "gpu":
        return Choice("cpu", cpu, "no_gpu_candidate")
    return Choice("gpu", found.gpu_configs(), "no_cpu_candidate")


def best_probability(candidates: CandidateSet) -> float | None:
    """The highest P(GPU) among the GPU candidates whose estimate is known."""
    known = candidates.known()
    return max(known)[0] if known else None


@dataclass(frozen=True)
class SelectorPerConfig:
    """The paper's rule by config: the GPU where it is worth it against the CPU of its own node, the surest first.

    p_least: the least P(GPU) that counts as worth it.
    """

    needs_estimates: ClassVar[bool] = True
    stateless: ClassVar[bool] = True
    ignores_queues: ClassVar[bool] = True
    p_least: float = 0.5

    def __post_init__(self) -> None:
        if not 0 < self.p_least < 1:
            raise OptionError(f"{type(self).__name__}(p_least={self.p_least!r}): must lie between 0 and 1.")

    def choose(self, task: TaskSpec, candidates: Sequence[Candidate]) -> Choice:
        """The GPU configs that are worth it, surest first; else the CPU."""
        found = candidate_set(candidates)
        if not found.gpu or not found.cpu_configs:
            return pick("gpu" if found.gpu else "cpu", found, "only_device")
        return chosen(found, found.known(), self.p_least)


@dataclass(frozen=True)
class SelectorPolicy(SelectorPerConfig):
    """The paper's rule for a cluster: the GPU where it is worth it against the fastest CPU; the cheapest of them first.

    The rule is that of `placement.scheduling.fastest_cpu`. Where no seconds are known it is that of SelectorPerConfig.
    """

    def choose(self, task: TaskSpec, candidates: Sequence[Candidate]) -> Choice:
        """The GPU configs that are worth it, the cheapest first; else the CPU's."""
        found = candidate_set(candidates)
        kept = found.costs
        if isinstance(kept, KeptChoice) and kept.policy == self:
            return kept.choice
        shared: dict[Any, Choice] | None = getattr(found.estimates, "choices", None)
        key = (self, tuple(found.gpu))
        choice = None if shared is None else shared.get(key)
        if choice is None:
            choice = self._choose(task, found)
            if shared is not None:
                shared[key] = choice
        found.costs = KeptChoice(self, choice)
        return choice

    def _choose(self, task: TaskSpec, found: CandidateSet) -> Choice:
        ratios = ratios_of(found)
        if ratios is not None:
            known = against_by_ratios(found, ratios)
            return self._ordered(found, known, lambda device: relative_costs(found, ratios, device))
        options = [option.priced(SECONDS_PER_JOULE) for option in options_of(found) or ()]
        if not options:
            return super().choose(task, found)
        if found.gpu and found.cpu_configs:
            return self._ordered(found, against_fastest_cpu(found, options), lambda device: costs_on(device, options))
        choice = super().choose(task, found)
        tiers = tiers_of(found, choice.device, costs_on(choice.device, options))
        return replace(choice, configs=tuple(chain.from_iterable(tiers)), tiers=tiers)

    def _ordered(self, found: CandidateSet, known: Known, costs: Callable[[Device], list[tuple[float, int]]]) -> Choice:
        """The choice by the GPU candidates' probabilities, its configs by cost. costs: (cost, group) on a device."""
        worth = {group for p, group in known if p >= self.p_least}
        device: Device = "gpu" if worth else "cpu"
        tiers = tiers_of(found, device, [one for one in costs(device) if not worth or one[1] in worth])
        reason, best = reason_of(found, known, bool(worth))
        return Choice(device, tuple(chain.from_iterable(tiers)), reason, best, tiers=tiers)


class KeptChoice(NamedTuple):
    """A choice kept with the CandidateSet that it was made of."""

    policy: SelectorPolicy
    choice: Choice


def costs_on(device: Device, options: Sequence[Option]) -> list[tuple[float, int]]:
    """(cost, group) of the options on a device."""
    return [(option.cost, option.group) for option in options if option.device == device]


def chosen(found: CandidateSet, known: Known, p_least: float) -> Choice:
    """The GPU configs whose probability is at least `p_least`, surest first; else the CPU."""
    worth = [one for one in known if one[0] >= p_least]
    reason, best = reason_of(found, known, bool(worth))
    return (
        Choice("gpu", found.best_first(worth), reason, best)
        if worth
        else Choice("cpu", found.cpu_configs, reason, best)
    )


def reason_of(found: CandidateSet, known: Known, worth_it: bool) -> tuple[str, float | None]:
    """The reason of the paper's rule, with the doubts about the surest estimate, and its P(GPU)."""
    if not known:
        return "nothing_known", None
    best = max(known)[0]
    return f"{'gpu_worth_it' if worth_it else 'gpu_not_worth_it'}{found.doubts(best, known)}", best
