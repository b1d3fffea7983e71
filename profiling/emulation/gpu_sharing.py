"""Tasks that share a GPU by time slices: how busy each keeps it, and how much longer each then takes.

An assumption, not a measurement, and a cautious one: the GPU runs one task's kernels at a time, so that tasks which ask
together for more than all of its time are slowed in proportion; and each is slowed by SWITCHING of the others' time
besides, for caches, memory bandwidth and the change of context. CUDA MPS, which lets kernels of several tasks run at
once, does better than that.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from placement.prediction.roofline import LAUNCH_BUSY
from placement.spec.node import NodeSpec
from profiling.emulation.power import shares
from profiling.emulation.step_cost import Parts

if TYPE_CHECKING:
    from placement.messages.envelope import Emulated

SWITCHING = 0.15


def gpu_busy(parts: Parts, step_s: float) -> float:
    """Share of a step in which kernels run on the GPU: not while Python dispatches, data is copied or files decoded."""
    return min(1.0, (parts.compute + parts.memory + LAUNCH_BUSY * parts.launch) / step_s) if step_s > 0 else 0.0


def slowdown(own: float, others: float) -> float:
    """Seconds beside neighbours over seconds alone. own, others: busy shares of the GPU, each alone."""
    return (1.0 + SWITCHING * others) * max(1.0, own + others)


def beside_others(alone: Emulated, node: NodeSpec, others: float) -> Emulated:
    """The figures of a task whose neighbours keep the GPU busy.

    The GPU's dynamic joules are those of the same work; its idle joules are split by use; the CPU's last as long.
    """
    own = alone.gpu_utilisation
    if own is None or alone.transfer_s is None or alone.compute_s is None:
        return alone
    factor, before = slowdown(own, others), alone.transfer_s + alone.compute_s
    gpu_joules = alone.gpu_joules
    if gpu_joules is not None and node.gpu_tdp_w is not None:
        idle = node.gpu_tdp_w * shares()["gpu_idle"] * before
        gpu_joules += idle * (factor * own / (own + others) - 1.0)
    seconds = before * factor
    return alone._replace(
        compute_s=seconds - alone.transfer_s,
        cpu_joules=None if alone.cpu_joules is None else alone.cpu_joules * factor,
        gpu_joules=gpu_joules,
        gpu_watts=None if gpu_joules is None else gpu_joules / seconds,
    )
