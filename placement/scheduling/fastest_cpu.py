"""The paper's rule for a cluster: each GPU candidate against the fastest CPU candidate that can run the task. Pure.

Eq. 1 and 2 compare a GPU with the CPU beside it. Where a cluster has several kinds of node, the alternative to a GPU is
not the CPU of its own node but the best CPU of the cluster, busy or not; both tests, time and energy, are against that
one. On a cluster of one config it is exactly Eq. 1 and 2.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from placement.prediction.estimate import Estimate, Spread, probability_worth
from placement.prediction.runtime_history import prior_spread
from placement.scheduling.candidates import CandidateSet
from placement.scheduling.cost_model import Option, seconds_of
from placement.spec.joint_threshold import JointThreshold


def against_fastest_cpu(found: CandidateSet, options: Sequence[Option]) -> list[tuple[float, int]]:
    """(P(GPU), group) of each GPU candidate of which something is known, against the fastest CPU candidate.

    options: of all candidates. Where there is no CPU candidate, P(GPU) is that against the CPU of the GPU's own node.
    """
    cpus = [option for option in options if option.device == "cpu"]
    if not cpus:
        return found.known()
    fastest = min(cpus, key=lambda option: option.seconds)
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
