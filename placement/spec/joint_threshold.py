"""The labelling rule, which says when a GPU is worth it: Eq. 1 and 2 of the paper, with our rulings.

Eq. 1 as printed (`T_cpu/T_gpu < T_t` or `E_gpu/E_cpu > T_e`) is the CPU condition; the label is GPU where it does not
hold. T_e = 1.5 (the paper's body), not "within 50 %" (its abstract). A run over its time budget counts as infinitely
slow on that device. A missing energy is unknown, never zero: the time test alone then decides, and the label says so.
"""

from __future__ import annotations

import math
import sys
from dataclasses import dataclass

from placement.errors import OptionError
from placement.spec.task import Device

LARGEST = sys.float_info.max  # a larger whole number is no float, and fails where it is printed


def run_joules(device: Device, cpu_joules: float | None, gpu_joules: float | None) -> float | None:
    """Eq. 2: the energy of a run, on a GPU the CPU's during that run included; None where a part is not known."""
    if cpu_joules is None or device == "cpu":
        return cpu_joules
    return None if gpu_joules is None else cpu_joules + gpu_joules


@dataclass(frozen=True, slots=True)
class DeviceRun:
    """Time and energy of one piece of work on one device. Warm seconds (transfer and compute); None = not measured.

    joules: of the whole run; on a GPU the CPU's during that run are included (Eq. 2).
    censored: the run did not finish within its time budget; `seconds` is then that budget.
    """

    seconds: float | None
    joules: float | None = None
    censored: bool = False

    @classmethod
    def of_power(cls, seconds: float, cpu_watts: float | None, gpu_watts: float | None = 0.0) -> DeviceRun:
        """Eq. 2: average powers over the run times its seconds; the energy is unknown where a power is."""
        cpu, gpu = (None if watts is None else watts * seconds for watts in (cpu_watts, gpu_watts))
        return cls(seconds, run_joules("gpu", cpu, gpu))


@dataclass(frozen=True, slots=True)
class Label:
    """The device the rule says, and on what ground. speedup: T_cpu / T_gpu; energy_ratio: E_gpu / E_cpu."""

    device: Device
    reason: str
    speedup: float
    energy_ratio: float | None


@dataclass(frozen=True, slots=True)
class JointThreshold:
    """GPU where it is at least `speedup` times faster and takes at most `energy_ratio` times the energy.

    Pure; used on measured pairs and on estimates alike. Raises OptionError on thresholds that are not positive.
    """

    speedup: float = 2.0
    energy_ratio: float = 1.5

    def __post_init__(self) -> None:
        for name in ("speedup", "energy_ratio"):
            value = getattr(self, name)
            if isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value <= LARGEST:
                raise OptionError(f"JointThreshold({name}={value!r}): must be a positive number.")

    def label(self, cpu: DeviceRun, gpu: DeviceRun) -> Label | None:
        """The device for a pair of runs; None where neither a time nor its budget is known for one of them."""
        if cpu.seconds is None or gpu.seconds is None or (cpu.censored and gpu.censored):
            return None
        if gpu.censored:
            return Label("cpu", "gpu_did_not_finish", 0.0, None)
        if cpu.censored:
            return Label("gpu", "cpu_did_not_finish", math.inf, None)
        if not (cpu.seconds >= 0 and gpu.seconds >= 0 and 0 < cpu.seconds + gpu.seconds < math.inf):
            return None  # NaN, negative, or both below the clock's resolution
        energy_ratio = gpu.joules / cpu.joules if cpu.joules and gpu.joules else None
        return self.decide(cpu.seconds / gpu.seconds if gpu.seconds else math.inf, energy_ratio)

    def decide(self, speedup: float, energy_ratio: float | None) -> Label:
        """The device for a speed-up and an energy ratio; an unknown energy (None, NaN) never wins an argument."""
        if energy_ratio is not None and math.isnan(energy_ratio):
            energy_ratio = None
        if not speedup >= self.speedup:  # NaN is not fast enough
            return Label("cpu", "too_little_speedup", speedup, energy_ratio)
        if energy_ratio is None:
            return Label("gpu", "fast_enough_energy_unknown", speedup, None)
        if energy_ratio > self.energy_ratio:
            return Label("cpu", "too_much_energy", speedup, energy_ratio)
        return Label("gpu", "fast_and_efficient", speedup, energy_ratio)
