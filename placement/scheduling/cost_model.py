"""Costs of a task on each device of each group of nodes: seconds, and joules priced in seconds. Pure.

Seconds that are not known: of the one device from the other's and the speed-up, which a bare P(GPU) implies as
`placement.prediction.posterior.prior_spread` has it; of one kind of node from the others' (their geometric mean).
Joules that are not known of one kind of node: the others' watts, likewise. Where a device's joules are known on no kind
of node, none count.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import NamedTuple

from placement.prediction.posterior import prior_spread
from placement.scheduling.candidate_set import THRESHOLDS, CandidateSet
from placement.scheduling.candidates import Queue, Tiers
from placement.scheduling.energy_price import SECONDS_PER_JOULE as SECONDS_PER_JOULE
from placement.spec.task import Device

SAME = 1.01  # seconds, joules and costs that differ by less are of nodes alike, of which history has seen some


class Option(NamedTuple):
    """A device of a group of nodes. joules: 0 where they do not count.  cost: seconds, joules priced in.

    group: index among the groups of the CandidateSet.
    """

    device: Device
    configs: tuple[str, ...]
    seconds: float
    joules: float
    cost: float = 0.0
    group: int = -1

    def priced(self, seconds_per_joule: float) -> Option:
        """The option with its cost."""
        return self._replace(cost=self.seconds + seconds_per_joule * self.joules)


class Places(NamedTuple):
    """Options, each at one of its configs, in columns of one length, so that a decision goes through them at once.

    cpus: so many are on CPUs; they come first.
    """

    queues: tuple[Queue, ...]
    cpus: int
    seconds: tuple[float, ...]
    joules: tuple[float, ...]
    costs: tuple[float, ...]

    @classmethod
    def of(cls, options: Iterable[tuple[Option, Sequence[str]]]) -> Places:
        """Options with the configs at which they are looked at."""
        each = [(option, (config, option.device)) for option, configs in options for config in configs]
        each.sort(key=lambda one: one[0].device == "gpu")
        cpus = sum(option.device == "cpu" for option, _ in each)
        return cls(
            tuple([queue for _, queue in each]),
            cpus,
            tuple([float(option.seconds) for option, _ in each]),
            tuple([float(option.joules) for option, _ in each]),
            tuple([float(option.cost) for option, _ in each]),
        )

    def alike(self, place: int) -> list[int]:
        """Indices of the places on the same device whose seconds and whose joules differ by no more than SAME.

        This place is among them. Costs alone would be alike by chance: a slower node that draws less, at some price.
        """
        seconds, joules = self.seconds[place], self.joules[place]
        same = range(self.cpus) if place < self.cpus else range(self.cpus, len(self.seconds))
        return [i for i in same if _alike(self.seconds[i], seconds) and _alike(self.joules[i], joules)]


def _alike(one: float, other: float) -> bool:
    return one <= SAME * other and other <= SAME * one


def options_of(found: CandidateSet) -> list[Option] | None:
    """Every device of every group; None where of some nothing tells its seconds."""
    told = [seconds_of(found, i) for i in range(len(found.groups))]
    usual = [geometric_mean([s for one in told if (s := one[at]) is not None and s == s]) for at in (0, 1)]
    gpu = set(found.gpu)
    options, joules_known = [], True
    for i, group in enumerate(found.groups):
        estimate = found.estimate(i)
        sides: tuple[tuple[Device, tuple[str, ...]], ...] = (("cpu", group.cpu), ("gpu", group.gpu if i in gpu else ()))
        for (device, configs), own, others in zip(sides, told[i], usual, strict=True):
            seconds = others if own is None or own != own else own  # NaN is none
            if not configs:
                continue
            if seconds is None:
                return None
            joules = estimate and estimate.joules_on(device)
            if joules is None and joules_known:
                watts = usual_watts(found, device)
                joules, joules_known = (None, False) if watts is None else (watts * seconds, True)
            options.append(Option(device, configs, max(seconds, 1e-9), joules or 0.0, group=i))
    return options if joules_known else [option._replace(joules=0.0) for option in options]


def usual_watts(found: CandidateSet, device: Device) -> float | None:
    """Watts of a task on a device: the geometric mean over the groups that know its seconds and joules there."""
    estimates = [e for i in range(len(found.groups)) if (e := found.estimate(i)) is not None]
    known = [(e.joules_on(device), e.seconds_on(device)) for e in estimates]
    return geometric_mean(
        [joules / seconds for joules, seconds in known if joules and seconds and 0 < joules / seconds < math.inf]
    )


def seconds_of(found: CandidateSet, at: int) -> tuple[float | None, float | None]:
    """(CPU, GPU) seconds of a group; the one that is not known from the other and the speed-up."""
    estimate = found.estimate(at)
    if estimate is None:
        return None, None
    cpu, gpu = estimate.cpu_seconds, estimate.gpu_seconds
    if (cpu is None) == (gpu is None):
        return cpu, gpu
    belief = prior_spread(estimate, THRESHOLDS)
    speedup = math.exp(belief.mean) if belief else 1.0
    return (gpu * speedup, gpu) if gpu is not None else (cpu, cpu / speedup)  # type: ignore[operator]


def geometric_mean(values: Sequence[float]) -> float | None:
    """The geometric mean; None where there are no values."""
    return math.exp(sum(math.log(max(v, 1e-9)) for v in values) / len(values)) if values else None


def tiers_of(found: CandidateSet, device: Device, costs: Iterable[tuple[float, int]]) -> Tiers:
    """The configs of some groups on a device by cost: the cheapest first, those within SAME of it beside it.

    costs: (cost, group). The tiers of an order of groups are kept with the candidates.
    """
    order: list[int] = []  # ~group where it begins a tier
    least = -1.0
    for cost, group in sorted(costs):
        if order and cost <= SAME * least:
            order.append(group)
        else:
            order.append(~group)
            least = cost
    key = (device, *order)
    tiers: Tiers | None = found.memo.get(key)
    return found.keep(key, _tiers(found, device, order)) if tiers is None else tiers


def _tiers(found: CandidateSet, device: Device, order: Sequence[int]) -> Tiers:
    tiers: list[list[str]] = []
    for group in order:
        if group < 0:
            tiers.append([])
        one = found.groups[max(group, ~group)]
        tiers[-1] += one.gpu if device == "gpu" else one.cpu
    return tuple([tuple(sorted(tier)) for tier in tiers])
