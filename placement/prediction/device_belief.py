"""DeviceBelief: seconds and joules of a task on one device, of its runs where it had some, else of an estimate.

Joules are those measured in runs; else the estimate's watts, or the power model's, times the seconds.
"""

from __future__ import annotations

import math
from dataclasses import replace
from typing import NamedTuple, TypeGuard

from placement.prediction.estimate import HISTORY, NO_BASIS, Basis, Estimate, Spread
from placement.prediction.power_model import NodePower
from placement.prediction.timings import SMALLEST_STD, Timings
from placement.spec.task import DEVICES, Device

UNKNOWN_POWER = NodePower(None, None, None, None)


class DeviceBelief(NamedTuple):
    """Seconds and joules on one device. None = not known. watts_std: standard deviation of log(joules / seconds)."""

    seconds: float | None
    joules: float | None
    watts_std: float
    basis: Basis


def belief_of(
    prior: Estimate | None, timed: Timings | None, device: Device, power: NodePower = UNKNOWN_POWER
) -> DeviceBelief:
    """The belief of an estimate and of timed runs on a device of a node of these powers."""
    basis = prior.basis_on(device) if prior else NO_BASIS
    before = prior.seconds_on(device) if prior else None
    watts, watts_std, source = _watts(prior, device, basis, power)
    seconds, seconds_std = before, basis.seconds_std
    if timed and timed.runs:
        seconds, seconds_std = timed.seconds, timed.spread.std
        basis = basis._replace(seconds_std=seconds_std, seconds_from=HISTORY, runs=timed.runs)
    idle = basis.idle_watts if basis.idle_watts is not None else power.idle_on(device)
    if timed and timed.joules:
        watts_std = math.hypot(SMALLEST_STD, math.log1p(timed.joules_error))
        basis = basis._replace(joules_std=watts_std, idle_watts=idle, joules_from=HISTORY)
        return DeviceBelief(seconds, timed.joules, watts_std, basis)
    joules = seconds * watts if _positive(seconds) and watts is not None else None
    if not _positive(joules):
        return DeviceBelief(seconds, None, watts_std, basis)
    std = math.hypot(watts_std, seconds_std or 0.0)
    return DeviceBelief(seconds, joules, watts_std, basis._replace(joules_std=std, idle_watts=idle, joules_from=source))


def _positive(value: float | None) -> TypeGuard[float]:
    """Whether a figure can be computed with: a user's selector may tell any."""
    return value is not None and 0 < value < math.inf


def _watts(prior: Estimate | None, device: Device, basis: Basis, power: NodePower) -> tuple[float | None, float, str]:
    """(watts, standard deviation of their log, provenance) of an estimate; of the power model where it tells none."""
    seconds, joules = (prior.seconds_on(device), prior.joules_on(device)) if prior else (None, None)
    if _positive(seconds) and _positive(joules) and _positive(joules / seconds):
        std = math.sqrt(max(0.0, (basis.joules_std or 0.0) ** 2 - (basis.seconds_std or 0.0) ** 2))
        return joules / seconds, std, basis.joules_from
    return power.on(device), power.std_on(device), power.source


def completed(estimate: Estimate, power: NodePower) -> Estimate:
    """The estimate with joules of its seconds, where it tells none."""
    missing = any(
        _positive(estimate.seconds_on(device)) and estimate.joules_on(device) is None and power.on(device)
        for device in DEVICES
    )
    if not missing:
        return estimate
    return with_beliefs(estimate, *(belief_of(estimate, None, device, power) for device in DEVICES))


def with_beliefs(estimate: Estimate, cpu: DeviceBelief, gpu: DeviceBelief) -> Estimate:
    """The estimate with the seconds and joules of these beliefs; its P(GPU) and ratios stay."""
    return replace(
        estimate, cpu_seconds=cpu.seconds, gpu_seconds=gpu.seconds, cpu_joules=cpu.joules, gpu_joules=gpu.joules,
        cpu_basis=cpu.basis, gpu_basis=gpu.basis,
    )  # fmt: skip


def energy_ratio_of(
    prior: Estimate | None, speedup: Spread, cpu: DeviceBelief, gpu: DeviceBelief
) -> tuple[Spread | None, float]:
    """(energy ratio, standard deviation of the log power ratio); (None, infinite) where joules are not known.

    speedup: the belief about it.  Measured joules on both devices tell the ratio themselves; else it is that of the
    powers over the speed-up.
    """
    if not (cpu.joules and gpu.joules and cpu.seconds and gpu.seconds):
        return None, math.inf
    std = math.hypot(cpu.watts_std, gpu.watts_std)
    from_runs = [side.basis.joules_from == HISTORY for side in (cpu, gpu)]
    if all(from_runs):
        return Spread(math.log(gpu.joules) - math.log(cpu.joules), std), std
    if prior is not None and prior.energy_ratio and prior.speedup and not any(from_runs):
        std = math.sqrt(max(0.0, prior.energy_ratio.std**2 - prior.speedup.std**2))  # a ratio is surer than its parts
    # Logarithms of each, for a quotient may underflow to 0.
    log_power = math.log(gpu.joules) - math.log(gpu.seconds) - math.log(cpu.joules) + math.log(cpu.seconds)
    return Spread(log_power - speedup.mean, math.hypot(std, speedup.std)), std
