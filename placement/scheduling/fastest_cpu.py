"""The paper's rule for a cluster: each GPU candidate against the fastest CPU candidate that can run the task. Pure.

Eq. 1 and 2 compare a GPU with the CPU beside it. Where a cluster has several kinds of node, the alternative to a GPU is
not the CPU of its own node but the best CPU of the cluster, busy or not; both tests, time and energy, are against that
one. On a cluster of one config it is exactly Eq. 1 and 2.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from operator import attrgetter
from typing import Protocol, cast

from placement.prediction.estimate import Estimate, Ratios, Spread, probability_worth
from placement.prediction.posterior import prior_spread
from placement.scheduling.candidate_set import CandidateSet
from placement.scheduling.cost_model import SECONDS_PER_JOULE, Option, seconds_of
from placement.spec.joint_threshold import JointThreshold
from placement.spec.task import Device

LOG_CPU = attrgetter("log_cpu")


class RatioEstimates(Protocol):
    """Estimates that tell the ratios between nodes without making an Estimate of each."""

    def ratios(self) -> Sequence[Ratios | None] | None:
        """The ratios on each node, None where nothing is known of it; None where they are not known of any."""
        ...

    def p_against(self, index: int, log_slower: float, log_hungrier: float, /) -> float:
        """P(GPU) of a node against a CPU that its own is slower and takes more joules than, by these factors."""
        ...


def ratios_of(found: CandidateSet) -> list[Ratios] | None:
    """The ratios of each group of candidates for both devices; None where the estimates do not tell them all.

    An Estimate of each node takes some 5 us, which is more than a decision may.
    """
    tell = getattr(found.estimates, "ratios", None)
    ratios = tell() if tell is not None and found.gpu and found.cpu_configs else None
    if ratios is None:
        return None
    told = [None if group.estimated is None else ratios[group.estimated] for group in found.groups]
    return None if None in told else cast(list[Ratios], told)


def relative_costs(found: CandidateSet, ratios: Sequence[Ratios], device: Device) -> list[tuple[float, int]]:
    """(cost, group) of the candidates on a device, right up to a factor. ratios: of each group."""
    at = found.gpu if device == "gpu" else [i for i, group in enumerate(found.groups) if group.cpu]
    watts = [(one.gpu_watts if device == "gpu" else one.cpu_watts) or 0.0 for one in ratios]
    if any(one.gpu_watts is None for one in ratios):
        watts = [0.0] * len(ratios)
    return [
        (
            math.exp(ratios[i].log_gpu if device == "gpu" else ratios[i].log_cpu)
            * (1.0 + SECONDS_PER_JOULE * watts[i]),
            i,
        )
        for i in at
    ]


def against_by_ratios(found: CandidateSet, ratios: Sequence[Ratios]) -> list[tuple[float, int]]:
    """The result of against_fastest_cpu, by the ratios of each group."""
    estimates, groups = cast(RatioEstimates, found.estimates), found.groups
    fastest = min([own for own, group in zip(ratios, groups, strict=True) if group.cpu], key=LOG_CPU)
    least, watts, known = fastest.log_cpu, fastest.cpu_watts, []
    for group in found.gpu:
        own, slower, hungrier = ratios[group], 0.0, 0.0
        if own.log_cpu != least:
            slower = hungrier = own.log_cpu - least
            if watts and own.cpu_watts:
                hungrier += math.log(own.cpu_watts) - math.log(watts)
        known.append((estimates.p_against(groups[group].estimated, slower, hungrier), group))  # type: ignore[arg-type]
    return known


def against_fastest_cpu(found: CandidateSet, options: Sequence[Option]) -> list[tuple[float, int]]:
    """(P(GPU), group) of each GPU candidate of which something is known, against the fastest CPU candidate.

    options: of all candidates, at least one of them on a CPU.
    """
    fastest = min((option for option in options if option.device == "cpu"), key=lambda option: option.seconds)
    estimate = found.estimate(fastest.group)
    joules = None if estimate is None else estimate.cpu_joules
    known = []
    for p_gpu, group in found.known():
        own, seconds = found.estimate(group), seconds_of(found, group)[0]
        if own is not None and group != fastest.group and seconds is not None:
            p_gpu = against(own, seconds, fastest.seconds, joules, found.thresholds)
        known.append((p_gpu, group))
    return known


def against(
    own: Estimate, own_seconds: float, seconds: float, joules: float | None, thresholds: JointThreshold
) -> float:
    """P(GPU) of an estimate, its GPU compared with another CPU of so many seconds and joules (None: unknown)."""
    moved = moved_ratios(own, own_seconds, seconds, joules, thresholds)
    if moved is None:
        return own.p_gpu
    speedup, energy, power_std = moved
    return probability_worth(speedup, energy, power_std, thresholds)[0]


def moved_ratios(
    own: Estimate, own_seconds: float, seconds: float, joules: float | None, thresholds: JointThreshold
) -> tuple[Spread, Spread | None, float] | None:
    """(speed-up, energy ratio, standard deviation of the log power ratio) against another CPU; None of the same.

    The beliefs are moved by the ratio of the two CPUs and keep their spread. Where the joules of a CPU are not known
    the two draw the same watts.
    """
    if not (0 < own_seconds < math.inf and 0 < seconds < math.inf) or own_seconds == seconds:
        return None
    speedup, energy = prior_spread(own, thresholds), own.energy_ratio
    if speedup is None:
        return None
    if energy is None and own.cpu_joules and own.gpu_joules:
        energy = Spread(math.log(own.gpu_joules) - math.log(own.cpu_joules), 0.0)
    slower = math.log(own_seconds) - math.log(seconds)  # not of the quotient, which may underflow to 0
    known = bool(own.cpu_joules and joules)
    hungrier = math.log(own.cpu_joules) - math.log(joules) if known else slower  # type: ignore[arg-type]
    moved = None if energy is None else Spread(energy.mean + hungrier, energy.std)
    power_std = 0.0 if energy is None else math.sqrt(max(0.0, energy.std**2 - speedup.std**2))
    return Spread(speedup.mean - slower, speedup.std), moved, power_std
