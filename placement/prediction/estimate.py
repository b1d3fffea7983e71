"""Estimate: what is believed of a task on a kind of node; and the estimates of one task on several kinds at once."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import NormalDist
from typing import NamedTuple, Protocol

from placement.spec.joint_threshold import JointThreshold
from placement.spec.task import Device, TaskSpec

LONGEST_LOG = math.log(1e9)  # of seconds told, some thirty years; and as much below one: no file makes them overflow
ENERGY_SURE = 0.95  # the share of the belief that must lie on one side of T_e before an uncertain energy decides
CLEAR = NormalDist().inv_cdf(ENERGY_SURE)
SURE_POWER = math.log(1.5)
"""A power ratio known less well than this (standard deviation of its logarithm) is uncertain: 50 % is the error of a
CPU's joules estimated from its TDP."""
HALF = math.sqrt(0.5)


@dataclass(frozen=True, slots=True)
class Spread:
    """A normal belief about the natural logarithm of a quantity: its mean and standard deviation."""

    mean: float
    std: float

    def margin(self, threshold: float) -> float:
        """Standard deviations by which the mean logarithm lies above that of a positive threshold."""
        above = self.mean - math.log(threshold)
        return above / self.std if self.std else math.copysign(math.inf, above)


class Basis(NamedTuple):
    """Spread and provenance of the seconds and joules of a task on one device. None, "" = not known.

    seconds_std, joules_std: standard deviations of the natural logarithms: exp(0.5) is a factor of 1.6 either way.
    idle_watts: power at rest of the CPUs and GPUs that the task holds; idle_watts * seconds of its joules are idle.
    seconds_from, joules_from: where they come from: HISTORY, SELECTOR, ROOFLINE, POWER_MODEL or EMULATED.
    runs: warm runs that the seconds are the mean of; 0 where they come from no runs.
    """

    seconds_std: float | None = None
    joules_std: float | None = None
    idle_watts: float | None = None
    seconds_from: str = ""
    joules_from: str = ""
    runs: int = 0


HISTORY, SELECTOR, ROOFLINE, POWER_MODEL, EMULATED = "history", "selector", "roofline", "power model", "emulated"
NO_BASIS = Basis()


@dataclass(frozen=True, slots=True)
class Estimate:
    """Estimate of a task on a kind of node. None = not known.

    p_gpu: probability that the GPU is worth it (JointThreshold holds).  speedup: T_cpu / T_gpu.
    energy_ratio: E_gpu / E_cpu.  cpu_seconds, gpu_seconds: warm seconds of the whole task.
    cpu_joules, gpu_joules: of the whole task, as Eq. 2 has them: of the CPUs granted on the CPU; on the GPU those of
    the node's CPU during the run included; idle power of what the task holds included (see `Basis.idle_watts`).
    extrapolating: the task or the node lies outside what the selector was fitted on.
    source: who says so ("selector", "history").  energy_decides: False where the energy was too uncertain to.
    cpu_basis, gpu_basis: spread and provenance of the seconds and joules on each device.
    contested_s: seconds on the other device by a challenger on trial that believes in it
    (`placement.prediction.selector_trial`); None = there is none.
    """

    p_gpu: float
    speedup: Spread | None = None
    energy_ratio: Spread | None = None
    cpu_seconds: float | None = None
    gpu_seconds: float | None = None
    cpu_joules: float | None = None
    gpu_joules: float | None = None
    extrapolating: bool = False
    source: str = "selector"
    energy_decides: bool = True
    cpu_basis: Basis = NO_BASIS
    gpu_basis: Basis = NO_BASIS
    contested_s: float | None = None

    def seconds_on(self, device: Device) -> float | None:
        """Warm seconds of the whole task on a device; None = not known."""
        return self.gpu_seconds if device == "gpu" else self.cpu_seconds

    def joules_on(self, device: Device) -> float | None:
        """Joules of the whole task on a device; None = not known."""
        return self.gpu_joules if device == "gpu" else self.cpu_joules

    def basis_on(self, device: Device) -> Basis:
        """Spread and provenance of the seconds and joules on a device."""
        return self.gpu_basis if device == "gpu" else self.cpu_basis


def seconds_of_log(log: float) -> float:
    """Seconds, or a ratio, of their logarithm, kept within what no file makes overflow."""
    return math.exp(log if -LONGEST_LOG < log < LONGEST_LOG else min(max(log, -LONGEST_LOG), LONGEST_LOG))


def probability_worth(
    speedup: Spread, energy_ratio: Spread | None, power_std: float, thresholds: JointThreshold
) -> tuple[float, bool]:
    """(P(GPU is worth it), whether energy had a say): `worth` of two beliefs.

    power_std: standard deviation of the log power ratio, the part of the energy ratio that is not the speed-up's.
    """
    frugal = None if energy_ratio is None else -energy_ratio.margin(thresholds.energy_ratio)
    return worth(speedup.margin(thresholds.speedup), frugal, power_std <= SURE_POWER)


def worth(fast: float, frugal: float | None, power_known: bool) -> tuple[float, bool]:
    """(P(GPU is worth it), whether energy had a say): the one formula, for selectors and history alike.

    fast, frugal: standard deviations by which the speed-up lies above T_t and the energy ratio below T_e; None where
    no energy is known.  power_known: whether the power ratio is known well. Then both tests hang on the same speed-up
    (energy ratio = power ratio / speed-up), the harder one nearly implies the other, and P of both is that of the
    harder one. Else energy decides only where ENERGY_SURE of its belief lies on one side of T_e.
    """
    says = frugal is not None and (power_known or abs(frugal) >= CLEAR)
    if frugal is not None and says:
        if not power_known and frugal < 0:
            return 0.0, True
        fast = min(fast, frugal) if power_known else fast
    return 0.5 * math.erfc(-HALF * fast), says


def energy_of(speedup: Spread, power: Spread | None) -> Spread | None:
    """The energy ratio of a speed-up and a power ratio."""
    return None if power is None else Spread(power.mean - speedup.mean, math.hypot(power.std, speedup.std))


class Ratios(Protocol):
    """Logs of a task's seconds on a node, up to a constant that is the task's on all nodes; watts, None = not known."""

    @property
    def log_cpu(self) -> float:
        """Of the CPU's seconds."""
        ...

    @property
    def log_gpu(self) -> float:
        """Of the GPU's seconds."""
        ...

    @property
    def cpu_watts(self) -> float | None:
        """Of a run on the CPU."""
        ...

    @property
    def gpu_watts(self) -> float | None:
        """Of a run on the GPU, those of the node's CPU included."""
        ...


class SecondsRatios(NamedTuple):
    """Ratios of seconds alone."""

    log_cpu: float
    log_gpu: float
    cpu_watts: None = None
    gpu_watts: None = None


class Estimates(Protocol):
    """One task on several kinds of node, in the order they were asked for.

    p_gpu: of each, None where nothing is known. The whole Estimate of one is made when it is looked at: most never are.
    """

    @property
    def p_gpu(self) -> Sequence[float | None]:
        """P(GPU) of each."""
        ...

    def __getitem__(self, index: int, /) -> Estimate | None:
        """The whole Estimate of one node."""
        ...

    def doubts(self, index: int, /) -> str:
        """The doubts about one estimate, as `doubts_of` words them."""
        ...


def doubts_of(extrapolating: bool, energy_decides: bool) -> str:
    """The doubts about an estimate, as text that is added to a reason."""
    return (", extrapolating" if extrapolating else "") + ("" if energy_decides else ", energy_uncertain")


class Prepared(Protocol):
    """A selector made ready for certain kinds of node: what does not depend on the task is worked out already."""

    def __call__(self, task: TaskSpec, /) -> Estimates:
        """The estimates of a task on each of them."""
        ...


class EstimateList:
    """Estimates that were made one by one."""

    __slots__ = ("_estimates", "p_gpu")

    def __init__(self, estimates: Sequence[Estimate | None]) -> None:
        self._estimates = estimates
        self.p_gpu: Sequence[float | None] = [None if e is None else e.p_gpu for e in estimates]

    def __getitem__(self, index: int, /) -> Estimate | None:
        return self._estimates[index]

    def doubts(self, index: int, /) -> str:
        """The doubts about one estimate."""
        e = self._estimates[index]
        return "" if e is None else doubts_of(e.extrapolating, e.energy_decides)
