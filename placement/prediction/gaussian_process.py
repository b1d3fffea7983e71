"""The Gaussian process of selectors of kind "ratio": predicts seconds on CPU and GPU, whose ratio is the speed-up.

    log seconds = the work's curve (shared by all devices: how large the task is)
                + what is peculiar to CPUs, or to GPUs (how well such work runs there)
                + the framework's part (either kind; most are alike, a few are exceptional: each has a scale of its own)
                + the device's own offset and slopes (a few timings on a new device settle them)
                + noise

Each part is a Gaussian process over the logarithms of INPUTS: a straight line plus bumps of three widths. What CPUs and
GPUs share cancels in the ratio. The spread is the posterior's: far from what was seen, on an unknown device or with an
unknown framework it widens by itself, and `extrapolating` says so. Task identity is used nowhere.

Fitted by `profiling.learning.fit_gaussian_process`; this module only predicts: plain data, NumPy imported when first
asked.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, NamedTuple

from placement.prediction.estimate import Spread, energy_of, probability_worth
from placement.spec.joint_threshold import JointThreshold

INPUTS = ("flops", "kernels", "parameters", "input_bytes", "batch_size")
"""Quantities of one step of a task; their natural logarithms are the inputs. An unknown one counts as average."""

WIDTHS = (4.0, 1.0, 0.2)
"""Widths of the bumps, in units of the natural logarithm: a factor 55, 2.7 and 1.2 of the quantity."""

PARTS = ("line", "wide", "middle", "narrow", "framework", "framework_line", "framework_wide")
"""Each once for what both kinds of device share, and once for what each kind has alone."""

DEVICE_PARTS = ("device", "device_line", "device_middle", "device_gflops")
AMPLITUDES = (*(f"shared_{part}" for part in PARTS), *(f"kind_{part}" for part in PARTS), *DEVICE_PARTS)

SHARED_LEVEL = 25.0
KIND_LEVEL = 9.0
"""Prior variances of the level of log seconds: wide enough that the data alone decide."""

FASTEST = 4.0
"""No prediction beats so many times the device's FP32 GFLOP/s: room for tensor cores and FMA counting (the fastest of
11,344 published pairs reaches 1.54 times the FP32 peak)."""

MARGIN = 0.05  # of an input's log range, on either side of it, still counts as seen


class Prediction(NamedTuple):
    """Natural logarithms. log_speedup: of T_cpu / T_gpu, its mean and standard deviation, noise included.

    log_cpu_seconds, log_gpu_seconds: of one step.  extrapolating: outside the range or the devices fitted on.
    """

    log_speedup: float
    log_speedup_std: float
    extrapolating: bool
    log_cpu_seconds: float
    log_gpu_seconds: float


@dataclass(frozen=True)
class TrainingPoints:
    """The training points of a model: n timed pieces of work. NumPy arrays.

    inputs (n, 5): centred logs of INPUTS.  framework, device (n,): codes; -1 is unknown, and equal to none.
    gpu (n,): whether the device is a GPU.  gflops (n,): centred log of the device's GFLOP/s, 0 where unknown.
    """

    inputs: Any
    framework: Any
    device: Any
    gpu: Any
    gflops: Any

    def take(self, chosen: Any) -> TrainingPoints:
        """The points of a mask or of indices."""
        return TrainingPoints(
            *(getattr(self, name)[chosen] for name in ("inputs", "framework", "device", "gpu", "gflops"))
        )


@dataclass(frozen=True)
class PowerRatio:
    """ln of the watts of a GPU run (CPU's included) over those of a CPU run: energy ratio = that / speed-up."""

    mean: float
    std: float


@dataclass(frozen=True)
class DevicePair:
    """A framework on a CPU and a GPU: its covariance with the points is a sum of five curves with these weights."""

    cpu: Any  # (5, n): of 1, line, wide, middle, narrow
    gpu: Any
    own: tuple[float, ...]  # variance of the difference at a point itself: level, line, bumps
    known: bool
    log_cpu_gflops: float | None
    log_gpu_gflops: float | None


@dataclass(frozen=True)
class GaussianProcess:
    """A fitted model of the seconds that a task takes on a CPU and on a GPU.

    frameworks, cpus, gpus: the names behind the codes.  centre, low, high (5,): of the logs of INPUTS; NaN where an
    input was never known.  gflops_centre: of the log GFLOP/s of CPUs and of GPUs.  amplitudes: prior standard
    deviations, in the order of AMPLITUDES.  scales (frameworks,): of the frameworks' parts.  weights (n,): the mean is
    covariance @ weights + level.  factor (m, n): the variance falls by |factor @ covariance|^2.  noise: of CPU and of
    GPU times.  bounds: of the log speed-ups seen, with room to spare.  power: None where no energies were known.
    """

    frameworks: tuple[str, ...]
    cpus: tuple[str, ...]
    gpus: tuple[str, ...]
    centre: Any
    low: Any
    high: Any
    gflops_centre: tuple[float, float]
    points: TrainingPoints
    amplitudes: tuple[float, ...]
    scales: Any
    weights: Any
    factor: Any
    level: float
    noise: tuple[float, float]
    bounds: tuple[float, float]
    power: PowerRatio | None = None

    def p_gpu(self, prediction: Prediction, rule: JointThreshold) -> tuple[float, bool]:
        """(P(GPU is worth it), whether energy had a say) by any thresholds."""
        speedup = Spread(prediction.log_speedup, prediction.log_speedup_std)
        power_std = 0.0 if self.power is None else self.power.std
        return probability_worth(speedup, self.energy_ratio(prediction), power_std, rule)

    def energy_ratio(self, prediction: Prediction) -> Spread | None:
        """Energy ratio E_gpu / E_cpu: the power ratio over the speed-up; None where no energies were known."""
        return energy_of(Spread(prediction.log_speedup, prediction.log_speedup_std), self.power_spread)

    @property
    def power_spread(self) -> Spread | None:
        """Power ratio of every task; None where no energies were known."""
        return None if self.power is None else Spread(self.power.mean, self.power.std)

    def predict(
        self, work: Sequence[float | None], framework: str | None, cpu: str, gpu: str,
        cpu_gflops: float | None = None, gpu_gflops: float | None = None,
    ) -> Prediction:  # fmt: skip
        """One task on two devices. work: INPUTS of one step, in their order; None = unknown."""
        return self.predict_at(self.device_pair(framework, cpu, gpu, cpu_gflops, gpu_gflops), work)

    def predict_at(self, pair: DevicePair, work: Sequence[float | None]) -> Prediction:
        """One task on a pair of devices that `device_pair` made; some 20 us."""
        import numpy as np

        x, outside = self._inputs(work)
        gap = self.points.inputs - x
        square = np.einsum("ij,ij->i", gap, gap)
        curves = np.empty((5, len(square)))
        curves[0] = 1.0
        curves[1] = self.points.inputs @ x
        np.exp(self._widths @ square[None, :], out=curves[2:])
        on_cpu, on_gpu = (pair.cpu * curves).sum(0), (pair.gpu * curves).sum(0)
        log_cpu = float(on_cpu @ self.weights) + self.level
        log_gpu = float(on_gpu @ self.weights) + self.level
        known = self.factor @ (on_cpu - on_gpu)
        constant, slope = pair.own
        variance = constant + slope * float(x @ x) - float(known @ known)
        return self._bounded(work[0], pair, log_cpu, log_gpu, variance, outside or not pair.known)

    def _inputs(self, work: Sequence[float | None]) -> tuple[Any, bool]:
        import numpy as np

        x, outside = [], False
        for value, centre, low, high in zip(work, *self._ranges, strict=True):
            if value is None or not value > 0 or centre != centre:  # NaN is unknown too
                x.append(0.0)
            else:
                log = math.log(value)
                outside |= not low <= log <= high
                x.append(log - centre)
        return np.array(x), outside

    @cached_property
    def _ranges(self) -> tuple[list[float], list[float], list[float]]:
        margin = MARGIN * (self.high - self.low)
        return self.centre.tolist(), (self.low - margin).tolist(), (self.high + margin).tolist()

    @cached_property
    def _widths(self) -> Any:
        import numpy as np

        return np.array([[-0.5 / width**2] for width in WIDTHS])

    def device_pair(
        self, framework: str | None, cpu: str, gpu: str, cpu_gflops: float | None, gpu_gflops: float | None
    ) -> DevicePair:
        """All that does not depend on the work: a framework on two devices; some 0.1 ms."""
        import numpy as np

        of_framework = _code(framework, self.frameworks)
        of_cpu, of_gpu = _code(cpu, self.cpus), _code(gpu, self.gpus)
        logs = [None if value is None or not value > 0 else math.log(value) for value in (cpu_gflops, gpu_gflops)]
        centred = [0.0 if log is None else log - centre for log, centre in zip(logs, self.gflops_centre, strict=True)]
        variances = dict(zip(AMPLITUDES, np.square(self.amplitudes), strict=True))
        # A framework never seen is as exceptional as those that were, in the mean square.
        scale = self.scales[of_framework] if of_framework >= 0 else np.sqrt(np.mean(np.square([1.0, *self.scales])))
        for name in AMPLITUDES:
            if "framework" in name:
                variances[name] *= scale**2
        same = (self.points.framework == of_framework) & (of_framework >= 0)
        both = []
        for on_gpu, device, gflops in ((False, of_cpu, centred[0]), (True, of_gpu, centred[1])):
            kind = self.points.gpu == on_gpu
            there = kind & (self.points.device == device) & (device >= 0)
            part = {name: variances[f"shared_{name}"] + kind * variances[f"kind_{name}"] for name in PARTS}
            both.append(
                np.array([
                    SHARED_LEVEL + KIND_LEVEL * kind + same * part["framework"] + there * variances["device"]
                    + kind * variances["device_gflops"] * gflops * self.points.gflops,
                    part["line"] + same * part["framework_line"] + there * variances["device_line"],
                    part["wide"] + same * part["framework_wide"],
                    part["middle"] + there * variances["device_middle"],
                    part["narrow"] + 0.0 * kind,
                ])
            )  # fmt: skip
        own = self._own_variance(variances, framework is not None, centred)
        known = of_cpu >= 0 and of_gpu >= 0 and (framework is None or of_framework >= 0)
        return DevicePair(both[0], both[1], own, known, logs[0], logs[1])

    @staticmethod
    def _own_variance(variances: Mapping[str, float], framework: bool, gflops: Sequence[float]) -> tuple[float, float]:
        """Prior variance of log T_cpu - log T_gpu: what they share cancels, each kind's own counts twice."""
        named = [name for name in PARTS if framework or not name.startswith("framework")]
        lines = sum(variances[f"kind_{name}"] for name in named if name.endswith("line")) + variances["device_line"]
        rest = sum(variances[f"kind_{name}"] for name in named if not name.endswith("line"))
        rest += KIND_LEVEL + variances["device"] + variances["device_middle"]
        return 2 * rest + variances["device_gflops"] * sum(g * g for g in gflops), 2 * lines

    def _bounded(
        self,
        flops: float | None,
        pair: DevicePair,
        log_cpu: float,
        log_gpu: float,
        variance: float,
        extrapolating: bool,
    ) -> Prediction:
        """Neither device is faster than its arithmetic, nor the ratio beyond any seen."""
        if flops is not None and flops > 0:
            least = math.log(flops) - math.log(1e9 * FASTEST)
            if pair.log_cpu_gflops is not None:
                log_cpu = max(log_cpu, least - pair.log_cpu_gflops)
            if pair.log_gpu_gflops is not None:
                log_gpu = max(log_gpu, least - pair.log_gpu_gflops)
        std = math.sqrt(max(variance, 0.0) + self.noise[0] ** 2 + self.noise[1] ** 2)
        speedup = min(max(log_cpu - log_gpu, self.bounds[0]), self.bounds[1])
        return Prediction(speedup, std, extrapolating, log_cpu, log_gpu)


def cpu_device(name: str | None, config: str | None, cpus: float | None) -> str:
    """Name of a CPU device: its name (else its config's), and how many of its CPUs the task had."""
    return (name or config or "unknown") + ("" if cpus is None or cpus != cpus else f" x{cpus:g}")


def gpu_device(name: str | None, config: str | None) -> str:
    """Name of a GPU device: its name, else its config's."""
    return name or config or "unknown"


def _code(name: str | None, names: tuple[str, ...]) -> int:
    return names.index(name) if name in names else -1
