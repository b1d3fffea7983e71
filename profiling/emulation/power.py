"""Average power of a run, from the share of time that arithmetic and memory keep the device busy.

A device draws an idle share of its TDP, and the rest in proportion to its load: arithmetic draws more than
waiting for memory. The shares are those of slm_energy.csv (GAISSA; RTX 4090 host, a 150 W processor): see
profiling/data/emulator.json. TDP is not average power, so the energies carry an error of their own.
"""

from __future__ import annotations

from typing import Any

from placement.spec.node import NodeSpec
from profiling.emulation.step_cost import Parts, calibration


def shares() -> dict[str, Any]:
    """The calibrated shares of the TDP."""
    return dict(calibration()["power"])


def gpu_watts(node: NodeSpec, parts: Parts, step_s: float) -> float | None:
    """Mean watts of the GPU in a run whose steps take step_s; None where its TDP is unknown."""
    if node.gpu_tdp_w is None:
        return None
    share = shares()
    busy = (
        parts.compute * share["gpu_compute"] + parts.memory * share["gpu_memory"] + parts.launch * share["gpu_launch"]
    )
    used = min(1.0, busy / step_s) if step_s > 0 else 0.0
    return node.gpu_tdp_w * (share["gpu_idle"] + (1 - share["gpu_idle"]) * used)


def cpu_watts(node: NodeSpec, cpus: float, parts: Parts | None, loader_core_s: float, step_s: float) -> float | None:
    """Mean watts of the processor that belong to a task with so many CPUs granted; None where the TDP is unknown.

    Its idle power by the CPUs granted; its dynamic power by the CPUs busy. parts: the step's work on the CPU; None on a
    GPU run, where one thread is busy launching. loader_core_s: core seconds of the input pipeline in a step.
    """
    if node.cpu_tdp_w is None:
        return None
    share, granted = shares(), min(1.0, cpus / node.cpus) if node.cpus else 1.0
    if step_s <= 0:
        return node.cpu_tdp_w * share["cpu_idle"] * granted
    if parts is None:
        active = share["cpu_launching_thread"]
    else:
        work = parts.compute * share["cpu_compute"] + (parts.memory + parts.launch) * share["cpu_memory"]
        active = granted * min(1.0, work / step_s)
    loading = min(granted, loader_core_s / step_s / max(node.cpus, 1))
    used = min(1.0, active + loading * share["cpu_compute"])
    return node.cpu_tdp_w * (share["cpu_idle"] * granted + (1 - share["cpu_idle"]) * used)
