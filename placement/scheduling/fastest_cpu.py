"""The paper's rule for a cluster: each GPU candidate against the fastest CPU candidate that can run the task. Pure.

Eq. 1 and 2 compare a GPU with the CPU beside it. Where a cluster has several kinds of node, the alternative to a GPU is
not the CPU of its own node but the best CPU of the cluster, busy or not; both tests, time and energy, are against that
one. On a cluster of one config it is exactly Eq. 1 and 2.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Protocol, cast

from placement.prediction.estimate import Estimate, Spread, probability_worth
from placement.prediction.runtime_history import prior_spread
from placement.scheduling.candidates import CandidateSet
from placement.scheduling.cost_model import Option, seconds_of
from placement.spec.joint_threshold import JointThreshold


class RatioEstimates(Protocol):
    """Estimates that tell the ratios between nodes without making an Estimate of each, and know no joules."""

    def log_seconds(self) -> Sequence[tuple[float, float] | None] | None:
        """(CPU, GPU) log seconds on each node, up to a constant that is the task's; None where they are not known."""
        ...

    def p_against(self, index: int, log_slower: float, /) -> float:
        """P(GPU) of a node, against another CPU than its own, which is slower by exp(log_slower)."""
        ...


def relative_options(found: CandidateSet) -> tuple[list[Option], RatioEstimates] | None:
    """Options whose costs are right up to a factor, with the estimates they are of; None where these tell no ratios.

    An Estimate of each node takes some 5 us, which is more than a decision may.
    """
    log_seconds = getattr(found.estimates, "log_seconds", None)
    logs = log_seconds() if log_seconds is not None and found.gpu and found.cpu_configs else None
    if logs is None:
        return None
    gpu, options = set(found.gpu), []
    for i, group in enumerate(found.groups):
        known = None if group.estimated is None else logs[group.estimated]
        if known is None:
            return None
        cpu_s, gpu_s = math.exp(known[0]), math.exp(known[1])
        if group.cpu:
            options.append(Option("cpu", group.cpu, cpu_s, 0.0, cpu_s, i))
        if i in gpu:
            options.append(Option("gpu", group.gpu, gpu_s, 0.0, gpu_s, i))
    return options, cast(RatioEstimates, found.estimates)


def against_by_ratios(
    found: CandidateSet, options: Sequence[Option], estimates: RatioEstimates
) -> list[tuple[float, int]]:
    """The result of against_fastest_cpu, of relative options."""
    logs = estimates.log_seconds() or ()
    fastest = min((option for option in options if option.device == "cpu"), key=lambda option: option.seconds)
    least, known = math.log(fastest.seconds), []
    for p_gpu, group in found.known():
        index = found.groups[group].estimated
        own = None if index is None else logs[index]
        if index is not None and own is not None and group != fastest.group:
            p_gpu = estimates.p_against(index, own[0] - least)
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
    """P(GPU) of an estimate, its GPU compared with another CPU that takes so many seconds and joules (None: unknown).

    The beliefs are moved by the ratio of the two CPUs and keep their spread. Where the joules of a CPU are not known
    the two draw the same watts.
    """
    if not (0 < own_seconds < math.inf and 0 < seconds < math.inf) or own_seconds == seconds:
        return own.p_gpu
    speedup, energy = prior_spread(own, thresholds), own.energy_ratio
    if speedup is None:
        return own.p_gpu
    if energy is None and own.cpu_joules and own.gpu_joules:
        energy = Spread(math.log(own.gpu_joules / own.cpu_joules), 0.0)
    slower = math.log(own_seconds / seconds)
    known = bool(own.cpu_joules and joules)
    hungrier = math.log(own.cpu_joules / joules) if known else slower  # type: ignore[operator]
    moved = None if energy is None else Spread(energy.mean + hungrier, energy.std)
    power_std = 0.0 if energy is None else math.sqrt(max(0.0, energy.std**2 - speedup.std**2))
    return probability_worth(Spread(speedup.mean - slower, speedup.std), moved, power_std, thresholds)[0]
