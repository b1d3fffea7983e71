"""The roofline of one step: seconds from operations, by kind, with coefficients calibrated on measurements.

    seconds = sum over kinds of  compute[kind] * flops / peak + memory[kind] * bytes / bandwidth + launch_s * launches

A sum and not a maximum: a kind gathers many operations, some bound by arithmetic and some by memory. compute[kind] is
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
from typing import Any

from placement.prediction.roofline import Parts, parts
from placement.spec.task import Operation

KINDS = ("matmul", "conv", "grouped_conv", "memory")
"""The kinds that the calibrated sets cost; `tree` has a set of its own, `pipeline` is `emulator.loader_seconds`."""


@dataclass(frozen=True, slots=True)
class StepCosts:
    """A calibrated set: for a device, inference or training, and a precision.

    compute, memory: by kind, in multiples of flops / peak and of bytes / bandwidth.  launch_s: s a launch.
    error: relative, 1 sigma, on families held out of the calibration.
    """

    compute: Mapping[str, float]
    memory: Mapping[str, float]
    launch_s: float
    error: float

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> StepCosts:
        """A set of data/emulator.json."""
        return cls(data["compute"], data["memory"], data["launch_us"] * 1e-6, data["error"])

    def parts(self, operations: Iterable[Operation], peak: float, bandwidth: float) -> Parts:
        """The seconds of a step's operations; peak in FLOP/s, bandwidth in B/s."""
        compute = memory = launch = 0.0
        for operation in operations:
            one_compute, one_memory, one_launch = parts(
                operation.flops, operation.bytes, operation.launches, self.compute.get(operation.kind, 0.0) / peak,
                self.memory.get(operation.kind, 0.0) / bandwidth, self.launch_s,
            )  # fmt: skip
            compute, memory, launch = compute + one_compute, memory + one_memory, launch + one_launch
        return Parts(compute, memory, launch)

    def in_fp32(self, factors: Mapping[str, float]) -> StepCosts:
        """The set for FP32 of one calibrated with AMP: the same shares of a lower peak, more bytes."""
        return StepCosts(
            self.compute,
            {kind: factors[kind] * value for kind, value in self.memory.items()},
            self.launch_s,
            self.error,
        )


@cache
def calibration() -> dict[str, Any]:
    """The committed coefficients, with sources and residuals: profiling/data/emulator.json."""
    text = resources.files("profiling").joinpath("data/emulator.json").read_text()
    return dict(json.loads(text))


@cache
def costs_of(device: str, train: bool, precision: str) -> StepCosts:
    """The set for a device. Calibrated are the GPU with AMP and the CPU with FP32; FP32 on a GPU is derived."""
    sets = calibration()["costs"]
    if device == "cpu":
        return StepCosts.from_dict(sets["cpu_train" if train else "cpu_infer"])
    amp = StepCosts.from_dict(sets["gpu_train" if train else "gpu_infer"])
    return amp if precision == "amp" else amp.in_fp32(calibration()["assumed"]["fp32_bytes_factor"])


@cache
def tree_costs(device: str) -> StepCosts:
    """The set for histogram trees."""
    return StepCosts.from_dict(calibration()["costs"][f"{device}_tree"])
