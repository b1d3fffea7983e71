"""PowerModel: watts of a task on the CPUs and on the GPU of a node, so that seconds give joules.

Learned from the energies of the log (`profiling.learning.fit_power`), or assumed: shares of the thermal design power,
those with which the emulator is calibrated, off by about half. Powers are means over a run. On a GPU the CPU's part is
included, as Eq. 2 of the paper has it. Power at rest is told apart (`NodePower.cpu_idle`, `gpu_idle`).
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

from placement.errors import SelectorError
from placement.prediction.estimate import POWER_MODEL, SELECTOR
from placement.prediction.selector_checks import REFIT, SMALLEST_STD, array_of, mapping_of
from placement.spec.features import FEATURES, granted_gflops
from placement.spec.node import NodeSpec
from placement.spec.task import Device

HARDWARE = tuple(FEATURES)[:5]
CPU_IDLE = 0.166  # of the processor's TDP at rest; these are shares of slm_energy.csv, as the emulator's
CPU_LOAD = 0.7  # of the rest, in a CPU run: between work that waits for memory (0.46) and arithmetic (1.0)
CPU_LAUNCHING = 0.174  # of the rest, in a GPU run: one thread launches kernels
GPU_IDLE = 0.06  # of the GPU's TDP at rest
GPU_LOAD = 0.37  # of the rest, in a GPU run: between launches alone (0.15) and arithmetic (0.9), memory takes 0.42
ASSUMED_CPU_STD = math.log(1.5)  # of the log: joules estimated from a TDP are off by half
ASSUMED_GPU_STD = math.log(1.7)  # over the presets of the emulated grid, of which many keep a GPU idle


class NodePower(NamedTuple):
    """Watts of a task on one kind of node, with so many CPUs granted. None = not known.

    cpu: of a CPU run.  gpu: of a GPU run, the CPU's part included.  cpu_idle, gpu_idle: of these, at rest.
    cpu_std, gpu_std: standard deviations of the logs.  source: SELECTOR where it was learned, else POWER_MODEL.
    """

    cpu: float | None
    gpu: float | None
    cpu_idle: float | None
    gpu_idle: float | None
    cpu_std: float = ASSUMED_CPU_STD
    gpu_std: float = ASSUMED_GPU_STD
    source: str = POWER_MODEL

    def on(self, device: Device) -> float | None:
        """Watts of a run on a device."""
        return self.gpu if device == "gpu" else self.cpu

    def idle_on(self, device: Device) -> float | None:
        """Watts at rest of what a run on a device holds."""
        return self.gpu_idle if device == "gpu" else self.cpu_idle

    def std_on(self, device: Device) -> float:
        """Standard deviation of the log of the watts of a run on a device."""
        return self.gpu_std if device == "gpu" else self.cpu_std

    @property
    def ratio_std(self) -> float | None:
        """Standard deviation of the log power ratio, GPU over CPU; None where a power is not known."""
        return None if self.cpu is None or self.gpu is None else math.hypot(self.cpu_std, self.gpu_std)

    @property
    def log_ratio(self) -> float:
        """Log of the power ratio, GPU over CPU; 0 where a power is not known."""
        return 0.0 if self.cpu is None or self.gpu is None else math.log(self.gpu / self.cpu)


@dataclass(frozen=True, slots=True)
class PowerLine:
    """log watts = level + slopes . (log of HARDWARE - centre); what is unknown counts as average.

    std: standard deviation of the log, as measured on work held out of the fit.
    """

    level: float
    centre: tuple[float, ...]
    slopes: tuple[float, ...]
    std: float

    def watts(self, node: NodeSpec, cpus: float) -> float:
        """Watts on a node with so many CPUs granted."""
        figures = (granted_gflops(node, cpus), *(getattr(node, name) for name in HARDWARE[1:]))
        terms = (k * (math.log(v) - c) for v, c, k in zip(figures, self.centre, self.slopes, strict=True) if v)
        return math.exp(min(self.level + sum(terms), 100.0))

    def to_dict(self) -> dict[str, Any]:
        """Plain data for JSON, as the selector file has it."""
        return {"level": self.level, "centre": [*self.centre], "slopes": [*self.slopes], "std": self.std}


@dataclass(frozen=True, slots=True)
class PowerModel:
    """Watts of a CPU run and of a GPU run by the node's figures; None: assumed shares of its TDP."""

    cpu: PowerLine | None = None
    gpu: PowerLine | None = None

    def of(self, node: NodeSpec, cpus: float) -> NodePower:
        """The powers of a node with so many CPUs granted."""
        power = assumed_power(node, cpus)
        if self.cpu is None or self.gpu is None:
            return power
        gpu = self.gpu.watts(node, cpus) if node.gpus else None
        cpu = self.cpu.watts(node, cpus)
        return power._replace(cpu=cpu, gpu=gpu, cpu_std=self.cpu.std, gpu_std=self.gpu.std, source=SELECTOR)

    def to_dict(self) -> dict[str, Any] | None:
        """The content of a selector file under "power"; None where nothing was learned."""
        return None if self.cpu is None or self.gpu is None else {"cpu": self.cpu.to_dict(), "gpu": self.gpu.to_dict()}


ASSUMED = PowerModel()


def assumed_power(node: NodeSpec, cpus: float) -> NodePower:
    """Powers as shares of the TDPs; None where a TDP is unknown."""
    if node.cpu_tdp_w is None:
        return NodePower(None, None, None, None)
    granted = min(1.0, max(cpus, 1.0) / node.cpus) if node.cpus else 1.0
    cpu_idle, dynamic = node.cpu_tdp_w * CPU_IDLE * granted, node.cpu_tdp_w * (1 - CPU_IDLE)
    cpu = cpu_idle + dynamic * CPU_LOAD * granted
    if not node.gpus or node.gpu_tdp_w is None:
        return NodePower(cpu, None, cpu_idle, None)
    gpu_idle = node.gpu_tdp_w * GPU_IDLE
    gpu = gpu_idle + node.gpu_tdp_w * (1 - GPU_IDLE) * GPU_LOAD + cpu_idle + dynamic * CPU_LAUNCHING
    return NodePower(cpu, gpu, cpu_idle, cpu_idle + gpu_idle)


def power_model_of(data: Any) -> PowerModel:
    """The PowerModel of a selector file's "power" (None: assumed); SelectorError names the first fault."""
    if data is None:
        return PowerModel()
    return PowerModel(*(_line(mapping_of({"power": data}, "power"), name) for name in ("cpu", "gpu")))


def _line(data: Mapping[str, Any], name: str) -> PowerLine:
    line = mapping_of(data, name)
    level, std = (float(array_of(line.get(key), (), f"power.{name}.{key}")) for key in ("level", "std"))
    centre, slopes = (
        tuple(array_of(line.get(key), (len(HARDWARE),), f"power.{name}.{key}").tolist()) for key in ("centre", "slopes")
    )
    if std < SMALLEST_STD:
        raise SelectorError(f"selector file: power.{name}.std must be positive. {REFIT}")
    return PowerLine(level, centre, slopes, std)
