"""Times of each type of task on each device of each kind of node, and a selector that looks them up.

The times are the emulator's: estimates, not measurements. A policy sees them as they are, or with noise.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from placement.prediction.estimate import EMULATED, Basis, Estimate, EstimateList, Spread
from placement.spec.joint_threshold import DeviceRun, JointThreshold, run_joules
from placement.spec.node import Inventory, NodeSpec
from placement.spec.task import DEVICES, TaskSpec
from profiling.emulation.emulator import emulate
from profiling.simulation.arrivals import ArrivalTrace

CPU, GPU = 0, 1
CERTAIN = Basis(0.0, 0.0, None, EMULATED, EMULATED)


@dataclass(frozen=True, slots=True)
class Times:
    """Times and energies. seconds, joules: (types, kinds, 2), by the inventory's kinds and DEVICES; infinite seconds
    where it cannot run.

    gpu_is_right: (types, kinds): the rule on the true pair says GPU.
    """

    seconds: np.ndarray
    joules: np.ndarray
    gpu_is_right: np.ndarray

    @classmethod
    def of(cls, trace: ArrivalTrace, inventory: Inventory, thresholds: JointThreshold) -> Times:
        """Emulated warm times of a trace on an inventory."""
        shape = (len(trace.types), len(inventory.kinds), 2)
        seconds, joules = np.full(shape, math.inf), np.full(shape, math.nan)
        right = np.zeros(shape[:2], dtype=bool)
        known: dict[Any, list[tuple[float, float] | None]] = {}
        for k, kind in enumerate(inventory.kinds):
            for t, task in enumerate(trace.types):
                key = (t, kind.spec.cpu_name, kind.spec.gpu_name, kind.spec.cpu_gflops, kind.spec.gpu_gflops)
                if key not in known:
                    known[key] = [_emulated(task.spec, kind.spec, d, trace, task.has_gpu) for d in (CPU, GPU)]
                for device, pair in enumerate(known[key]):
                    if pair is not None:
                        seconds[t, k, device], joules[t, k, device] = pair
                right[t, k] = gpu_is_right(seconds[t, k], joules[t, k], thresholds)
        return cls(seconds, joules, right)

    def noisy(self, sigma: float, seed: int, thresholds: JointThreshold) -> Times:
        """The times that a policy sees: each multiplied by log-normal noise."""
        if not sigma:
            return self
        rng = np.random.default_rng(seed)
        seconds = self.seconds * np.exp(sigma * rng.normal(size=self.seconds.shape))
        joules = self.joules * np.exp(sigma * rng.normal(size=self.joules.shape))
        right = np.array(
            [
                [gpu_is_right(s, j, thresholds) for s, j in zip(*row, strict=True)]
                for row in zip(seconds, joules, strict=True)
            ]
        )
        return Times(seconds, joules, right)


def _emulated(
    task: TaskSpec, node: NodeSpec, device: int, trace: ArrivalTrace, has_gpu: bool
) -> tuple[float, float] | None:
    name = DEVICES[device]
    if name == "gpu" and not (has_gpu and node.gpus):
        return None
    out = emulate(task, node, name, cpus=min(trace.cpus[name], node.cpus))
    if out.seconds is None or not out.fits:
        return None
    joules = run_joules(name, out.cpu_joules, out.gpu_joules)
    return out.seconds, math.nan if joules is None else joules


def gpu_is_right(seconds: np.ndarray, joules: np.ndarray, thresholds: JointThreshold) -> bool:
    """Whether the rule on a pair of (CPU, GPU) says GPU; a device of infinite seconds cannot run the task."""
    if not math.isfinite(seconds[GPU]):
        return False
    if not math.isfinite(seconds[CPU]):
        return True
    cpu, gpu = (DeviceRun(float(s), None if math.isnan(j) else float(j)) for s, j in zip(seconds, joules, strict=True))
    label = thresholds.label(cpu, gpu)
    return label is not None and label.device == "gpu"


class TimesSelector:
    """A selector that looks the times up. p_gpu is 1 or 0: it is sure, right or wrong."""

    version = "emulated times"

    def __init__(self, trace: ArrivalTrace, inventory: Inventory, times: Times) -> None:
        self._type = {id(one.spec): t for t, one in enumerate(trace.types)}
        self._kind = {kind.spec.config: k for k, kind in enumerate(inventory.kinds)}
        self._times = times

    def estimate(self, task: TaskSpec, node: NodeSpec, cpus: float) -> Estimate | None:  # noqa: ARG002 - the Protocol
        """The estimate for a task of the trace; None for any other."""
        t = self._type.get(id(task))
        if t is None:
            return None
        k = self._kind[node.config]
        (cpu_s, gpu_s), (cpu_j, gpu_j) = self._times.seconds[t, k].tolist(), self._times.joules[t, k].tolist()
        both = math.isfinite(cpu_s) and math.isfinite(gpu_s)
        return Estimate(
            float(self._times.gpu_is_right[t, k]),
            Spread(math.log(cpu_s / gpu_s), 0.0) if both else None,
            None,
            *(s if math.isfinite(s) else None for s in (cpu_s, gpu_s)),
            *(None if math.isnan(j) else j for j in (cpu_j, gpu_j)),
            source=EMULATED, cpu_basis=CERTAIN, gpu_basis=CERTAIN,
        )  # fmt: skip

    def prepare(self, nodes: Sequence[NodeSpec], cpus: float) -> Any:
        """A function task -> estimates on these nodes, for `placement.prediction.one_by_one.prepared`."""
        return lambda task: EstimateList([self.estimate(task, node, cpus) for node in nodes])

    def to_dict(self) -> dict[str, Any]:
        """The kind alone: this selector has no file."""
        return {"kind": "emulated times"}
