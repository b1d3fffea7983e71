"""The roofline of one step: seconds from operations, by kind, with coefficients calibrated on measurements.

    seconds = sum over kinds of  (c ** overlap + m ** overlap) ** (1 / overlap) + launch_s * launches
    c = compute[kind] * flops / peak,  m = memory[kind] * bytes / bandwidth

overlap: 1 adds arithmetic and memory, infinity takes the longer of the two. A kind gathers many operations, some bound
by the one and some by the other, so the truth lies between; it is calibrated on GPUs, and 1 elsewhere. compute[kind] is
at least 1, so no step is faster than its FLOPs at the device's sustained rate. Every coefficient is positive, so the
time rises with every FLOP, byte and launch. The cost of an operation beyond its work (a kernel's ramp-up, Python's
dispatch) is in launch_s.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cache
from importlib import resources
from typing import Any, Literal, NamedTuple

from placement.spec.task import Operation

KINDS = ("matmul", "conv", "grouped_conv", "memory")
"""The kinds that the calibrated sets cost; `tree` has a set of its own, `pipeline` is `emulator.loader_seconds`."""


class Parts(NamedTuple):
    """Seconds of a step on a device: compute, memory and launches."""

    compute: float = 0.0
    memory: float = 0.0
    launch: float = 0.0

    @property
    def seconds(self) -> float:
        """Seconds of the whole step."""
        return self.compute + self.memory + self.launch


@dataclass(frozen=True, slots=True)
class StepCosts:
    """A calibrated set: for a device, inference or training, and a precision.

    compute, memory: by kind, in multiples of flops / peak and of bytes / bandwidth.  launch_s: s a launch.
    error: relative, 1 sigma, on families held out of the calibration.  overlap: of arithmetic and memory, at least 1.
    """

    compute: Mapping[str, float]
    memory: Mapping[str, float]
    launch_s: float
    error: float
    overlap: float = 1.0

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> StepCosts:
        """A set of data/emulator.json."""
        overlap = data.get("overlap", 1.0)
        return cls(data["compute"], data["memory"], data["launch_us"] * 1e-6, data["error"], overlap)

    def parts(self, operations: Iterable[Operation], peak: float, bandwidth: float) -> Parts:
        """The seconds of a step's operations; peak in FLOP/s, bandwidth in B/s."""
        seconds: dict[str, list[float]] = {}
        launch = 0.0
        for operation in operations:
            of_kind = seconds.setdefault(operation.kind, [0.0, 0.0])
            of_kind[0] += self.compute.get(operation.kind, 0.0) * operation.flops / peak
            of_kind[1] += self.memory.get(operation.kind, 0.0) * operation.bytes / bandwidth
            launch += self.launch_s * operation.launches
        shares = [overlapped(compute, memory, self.overlap) for compute, memory in seconds.values()]
        return Parts(sum(compute for compute, _ in shares), sum(memory for _, memory in shares), launch)

    def in_fp32(self, factors: Mapping[str, float]) -> StepCosts:
        """The set for FP32 of one calibrated with AMP: the same shares of a lower peak, more bytes."""
        return StepCosts(
            self.compute,
            {kind: factors[kind] * value for kind, value in self.memory.items()},
            self.launch_s,
            self.error,
            self.overlap,
        )


def overlapped(compute: float, memory: float, overlap: float) -> tuple[float, float]:
    """Seconds of arithmetic and of memory where they overlap: they add up to the time of both, in their proportion."""
    both = compute + memory
    if overlap == 1.0 or not both:
        return compute, memory
    longer = max(compute, memory)
    shrunk = longer * ((compute / longer) ** overlap + (memory / longer) ** overlap) ** (1 / overlap) / both
    return compute * shrunk, memory * shrunk


@cache
def calibration() -> dict[str, Any]:
    """The committed coefficients, with sources and residuals: profiling/data/emulator.json."""
    text = resources.files("profiling").joinpath("data/emulator.json").read_text()
    return dict(json.loads(text))


Variant = Literal["", "channels_last", "eager", "tflite"]
"""What a step's set depends on beside device, training and precision: the memory format on a GPU, eager inference on a
CPU, a phone's runtime."""


@cache
def costs_of(device: str, train: bool, precision: str, variant: Variant = "") -> StepCosts:
    """The set for a device. Calibrated are the GPU with AMP and the CPU with FP32; FP32 on a GPU is derived.

    Inference on a CPU is taken as compiled, as it was measured, unless the variant is eager.
    """
    sets = calibration()["costs"]
    if variant == "tflite":
        return StepCosts.from_dict(sets[f"{device}_tflite"])
    if device == "cpu":
        eager = "cpu_infer_eager" if variant == "eager" else "cpu_infer"
        return StepCosts.from_dict(sets["cpu_train" if train else eager])
    name = "gpu_train" if train else "gpu_infer"
    amp = StepCosts.from_dict(sets[f"{name}_nhwc" if variant == "channels_last" else name])
    return amp if precision == "amp" else amp.in_fp32(calibration()["assumed"]["fp32_bytes_factor"])


@cache
def tree_costs(device: str) -> StepCosts:
    """The set for histogram trees."""
    return StepCosts.from_dict(calibration()["costs"][f"{device}_tree"])
