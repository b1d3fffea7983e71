"""The paper's rule for a cluster: each GPU candidate against the fastest CPU candidate that can run the task. Pure.

Eq. 1 and 2 compare a GPU with the CPU beside it. Where a cluster has several kinds of node, the alternative to a GPU is
not the CPU of its own node but the best CPU of the cluster, busy or not; both tests, time and energy, are against that
one. On a cluster of one config it is exactly Eq. 1 and 2.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Protocol, cast

from placement.prediction.estimate import Estimate, Ratios, Spread, probability_worth
from placement.prediction.runtime_history import prior_spread
from placement.scheduling.candidates import CandidateSet
from placement.scheduling.cost_model import SECONDS_PER_JOULE, Option, seconds_of
from placement.spec.joint_threshold import JointThreshold
from placement.spec.task import Device


class RatioEstimates(Protocol):
    """Estimates that tell the ratios between nodes without making an Estimate of each."""

    def ratios(self) -> Sequence[Ratios | None] | None:
        """The ratios on each node; None where they are not known."""
        ...

    def p_against(self, index: int, log_slower: float, log_hungrier: float, /) -> float:
        """P(GPU) of a node against a CPU that its own is slower and takes more joules than, by these factors."""
        ...


def relative_options(found: CandidateSet) -> tuple[list[Option], Sequence[Ratios | None]] | None:
    """Options whose costs are right up to a factor, with the ratios they are of; None where the estimates tell none.

    An Estimate of each node takes some 5 us, which is more than a decision may.
    """
    ratios_of = getattr(found.estimates, "ratios", None)
    ratios = ratios_of() if ratios_of is not None and found.gpu and found.cpu_configs else None
    if ratios is None:
        return None
    gpu, options = set(found.gpu), []
    priced = all(one is None or one.gpu_watts is not None for one in ratios)
    for i, group in enumerate(found.groups):
        known = None if group.estimated is None else ratios[group.estimated]
        if known is None:
            return None
        if group.cpu:
            options.append(_relative("cpu", group.cpu, known.log_cpu, known.cpu_watts if priced else None, i))
        if i in gpu:
            options.append(_relative("gpu", group.gpu, known.log_gpu, known.gpu_watts if priced else None, i))
    return options, ratios


def _relative(device: Device, configs: tuple[str, ...], log_s: float, watts: float | None, group: int) -> Option:
    seconds = math.exp(log_s)
    joules = seconds * (watts or 0.0)
    return Option(device, configs, seconds, joules, seconds + SECONDS_PER_JOULE * joules, group)


def against_by_ratios(
    found: CandidateSet, options: Sequence[Option], ratios: Sequence[Ratios | None]
) -> list[tuple[float, int]]:
    """The result of against_fastest_cpu, of the relative options of these ratios."""
    estimates = cast(RatioEstimates, found.estimates)
    fastest = min((option for option in options if option.device == "cpu"), key=lambda option: option.seconds)
    least, watts, known = math.log(fastest.seconds), fastest.joules / fastest.seconds, []
    for p_gpu, group in found.known():
        index = found.groups[group].estimated
        own = None if index is None else ratios[index]
        if index is not None and own is not None and own.log_cpu != least:
            slower = own.log_cpu - least
            hungrier = slower + (math.log(own.cpu_watts / watts) if watts and own.cpu_watts else 0.0)
            p_gpu = estimates.p_against(index, slower, hungrier)
        known.append((p_gpu, group))
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
        energy = Spread(math.log(own.gpu_joules / own.cpu_joules), 0.0)
    slower = math.log(own_seconds / seconds)
    known = bool(own.cpu_joules and joules)
    hungrier = math.log(own.cpu_joules / joules) if known else slower  # type: ignore[operator]
    moved = None if energy is None else Spread(energy.mean + hungrier, energy.std)
    power_std = 0.0 if energy is None else math.sqrt(max(0.0, energy.std**2 - speedup.std**2))
    return Spread(speedup.mean - slower, speedup.std), moved, power_std
