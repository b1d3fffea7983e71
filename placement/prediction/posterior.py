"""The posterior of a task on a kind of node: a selector's estimate, the prior, sharpened or corrected by timed runs."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import replace
from statistics import NormalDist
from typing import NamedTuple

from placement.prediction.device_belief import UNKNOWN_POWER, belief_of, energy_ratio_of, with_beliefs
from placement.prediction.estimate import HISTORY, LONGEST_LOG, Estimate, Spread, probability_worth
from placement.prediction.power_model import NodePower
from placement.prediction.timings import Timings
from placement.spec.joint_threshold import JointThreshold

PRIOR_STD = 1.0  # of log speed-up, for a selector that gives a probability alone: wide enough that 5 runs on each
# device put a wrong prior right (99 % of cases farther than 10 % from T_t, at up to 20 % of noise; 0.7 gave 98.9 %)


def posterior(
    prior: Estimate | None, cpu: Timings, gpu: Timings, thresholds: JointThreshold, power: NodePower = UNKNOWN_POWER
) -> Estimate | None:
    """The prior sharpened by runs seen on both devices: two normal beliefs about log speed-up, multiplied.

    Runs on one device alone say nothing of the ratio, so they leave P(GPU) as it was; their seconds are told, and the
    other device's by as much as the prior was off.  power: of the node, which makes joules of seconds where neither
    runs nor the prior tell joules.
    """
    if not (cpu.runs or gpu.runs):
        return prior
    if not (cpu.runs and gpu.runs):
        told = corrected(prior, slowdown_of([(prior, cpu, gpu)]), thresholds)
        return told and with_beliefs(told, belief_of(told, cpu, "cpu", power), belief_of(told, gpu, "gpu", power))
    a, b = cpu.spread, gpu.spread
    speedup = combined(prior_spread(prior, thresholds), Spread(a.mean - b.mean, math.hypot(a.std, b.std)))
    on_cpu, on_gpu = belief_of(prior, cpu, "cpu", power), belief_of(prior, gpu, "gpu", power)
    energy, power_std = energy_ratio_of(prior, speedup, on_cpu, on_gpu)
    p_gpu, decides = probability_worth(speedup, energy, power_std, thresholds)
    contested_s = None if prior is None else prior.contested_s
    found = Estimate(
        p_gpu, speedup, energy, source=HISTORY, energy_decides=decides or energy is None, contested_s=contested_s
    )
    return with_beliefs(found, on_cpu, on_gpu)


class Slowdown(NamedTuple):
    """Logs of the factors by which runs of a task took longer than estimated, on CPUs and on GPUs."""

    cpu: float = 0.0
    gpu: float = 0.0


def slowdown_of(told: Iterable[tuple[Estimate | None, Timings, Timings]]) -> Slowdown:
    """The mean slowdown of all that was timed; that of a device without runs is the other one's, 0 without any.

    A selector may be right about CPUs and wrong about GPUs: a mean of both would make the CPUs of nodes without runs
    look fast, and fill them.  told: an estimate, and what was timed of it on the CPU and on the GPU.
    """
    logs: tuple[list[float], list[float]] = ([], [])
    for estimate, *timings in told:
        seconds = (estimate.cpu_seconds, estimate.gpu_seconds) if estimate is not None else (None, None)
        for timed, expected, found in zip(timings, seconds, logs, strict=True):
            if timed.runs and expected is not None and 0 < expected < math.inf:
                found.append(timed.mean - math.log(expected))
    cpu, gpu = (min(max(sum(one) / len(one), -LONGEST_LOG), LONGEST_LOG) if one else None for one in logs)
    return Slowdown(*(own if own is not None else other or 0.0 for own, other in ((cpu, gpu), (gpu, cpu))))


def corrected(
    estimate: Estimate | None, slowdown: Slowdown, thresholds: JointThreshold, std: float = 0.0
) -> Estimate | None:
    """The estimate with its seconds so many times as long, and as many times the joules: its watts stay.

    Where the devices differ the speed-up and P(GPU) follow. std: of the slowdown, by which their spreads widen.
    """
    if estimate is None or not any(slowdown):
        return estimate
    e, (on_cpu, on_gpu) = estimate, map(math.exp, slowdown)
    cpu, cpu_joules = (known and known * on_cpu for known in (e.cpu_seconds, e.cpu_joules))
    gpu, gpu_joules = (known and known * on_gpu for known in (e.gpu_seconds, e.gpu_joules))
    found = replace(e, cpu_seconds=cpu, gpu_seconds=gpu, cpu_joules=cpu_joules, gpu_joules=gpu_joules)
    faster, before = slowdown.cpu - slowdown.gpu, prior_spread(e, thresholds)
    if not (faster or std) or before is None:
        return found
    speedup, energy = Spread(before.mean + faster, math.hypot(before.std, std)), e.energy_ratio
    power_std = 0.0 if energy is None else math.sqrt(max(0.0, energy.std**2 - before.std**2))
    energy = None if energy is None else Spread(energy.mean - faster, math.hypot(energy.std, std))
    p_gpu, decides = probability_worth(speedup, energy, power_std, thresholds)
    return replace(found, p_gpu=p_gpu, speedup=speedup, energy_ratio=energy, energy_decides=decides or energy is None)


def prior_spread(prior: Estimate | None, thresholds: JointThreshold) -> Spread | None:
    """The prior's belief about log speed-up; that of a bare probability is the normal with the same P(GPU)."""
    if prior is None or prior.speedup is not None:
        return prior.speedup if prior else None
    p = min(max(prior.p_gpu, 1e-6), 1 - 1e-6)
    return Spread(math.log(thresholds.speedup) + PRIOR_STD * NormalDist().inv_cdf(p), PRIOR_STD)


def combined(a: Spread | None, b: Spread) -> Spread:
    """The product of two normal beliefs, normalised."""
    if a is None or b.std == 0:
        return b
    if a.std == 0:
        return a
    wa, wb = a.std**-2, b.std**-2
    return Spread((a.mean * wa + b.mean * wb) / (wa + wb), (wa + wb) ** -0.5)
