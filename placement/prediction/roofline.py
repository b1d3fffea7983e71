"""The roofline of a task on a node: seconds from its work and the node's throughput, before anything is learned.

    seconds = compute * flops / peak + memory * bytes / bandwidth + launch_s * launches + call_s + transfer

`parts` is that sum; the emulator takes it with coefficients that are calibrated by kind of operation, the selector with
typical ones. task_work: the work of a task; device_rates: the coefficients and their spread. The spread of the result
is that of the coefficients, each by its share of the time. Plain Python: a node costs some microseconds.
"""

from __future__ import annotations

from math import log, sqrt
from typing import NamedTuple

from placement.prediction.device_rates import KINDS, NodeRates, rates_of
from placement.prediction.task_work import Work, work_of
from placement.spec.node import NodeSpec
from placement.spec.task import TaskSpec

LAUNCH_STD, COPY_STD = 0.3, 0.5
"""Standard deviations of the logarithms of the seconds of a launch and of a copied byte."""
SHARED_LAUNCH = 1.6
"""Twice the correlation of what launches cost on both devices: one thread of the same framework dispatches them."""
HOST_ONLY_STD = 0.1
LAUNCH_VARIANCE, COPY_VARIANCE = LAUNCH_STD**2, COPY_STD**2
LAUNCH_BUSY = 0.3
"""Share of a launch in which the GPU runs something: a kernel of no work lasts some 3 of the 10 us of its launch."""


class Parts(NamedTuple):
    """Seconds of a step on a device: compute, memory and launches."""

    compute: float = 0.0
    memory: float = 0.0
    launch: float = 0.0

    @property
    def seconds(self) -> float:
        """Seconds of the whole step."""
        return self.compute + self.memory + self.launch


def parts(
    flops: float, moved: float, launches: float, flop_s: float, byte_s: float, launch_s: float, call_s: float = 0.0
) -> tuple[float, float, float]:
    """The roofline of one step: its Parts, as a plain tuple for speed.

    moved: bytes.  flop_s, byte_s, launch_s: seconds of one of each.  call_s: beside them.
    """
    return flops * flop_s, moved * byte_s, launches * launch_s + call_s


def gpu_busy(task: TaskSpec, node: NodeSpec) -> float | None:
    """Share of a task's time on a node's GPU in which kernels run there; None where nothing tells its work."""
    work = work_of(task)
    if work is None or work.host_only:
        return None
    gpu = rates_of(node, 1.0)[KINDS[work.kind]][1]
    copying = 0.0 if work.copied is None else work.copied * gpu.copy_byte_s + gpu.copy_s
    busy = 0.0
    for weight, launches, moved in work.cases:
        compute, memory, launch = parts(work.flops, moved, launches, gpu.flop_s, gpu.byte_s, gpu.launch_s, gpu.call_s)
        busy += weight * (compute + memory + LAUNCH_BUSY * launch) / (compute + memory + launch + copying)
    return busy


class Roofline(NamedTuple):
    """Natural logarithms of a step on both devices: seconds of the CPU, the speed-up, and the speed-up's std."""

    log_cpu: float
    log_speedup: float
    std: float


def roofline(task: Work, node: NodeRates) -> Roofline:
    """The seconds of a step by the roofline, integrated over the cases of the work.

    `parts` is written out: a new size takes it a dozen times, and a call costs as much as the sum.
    """
    kind, flops, cases, copied, host_only = task
    cpu, gpu = node[KINDS[kind]]
    flop_s, byte_s, launch_s, call_s, _, _, (compute_std, memory_std, level) = cpu
    gpu_flop_s, gpu_byte_s, gpu_launch_s, gpu_call_s, copy_byte_s, copy_s, _ = gpu
    compute, gpu_compute = flops * flop_s, flops * gpu_flop_s
    copying = 0.0 if copied is None else copied * copy_byte_s + copy_s
    # Of the variance the sums over the cases are made here, some still without the variance of their coefficient.
    log_cpu = mean = square = of_work = of_copying = of_launches = 0.0
    for weight, launches, moved in cases:
        memory, launch = moved * byte_s, launches * launch_s + call_s
        seconds = compute + memory + launch
        log_seconds = log(seconds)
        log_cpu += weight * log_seconds
        if host_only:
            continue
        gpu_memory, gpu_launch = moved * gpu_byte_s, launches * gpu_launch_s + gpu_call_s
        gpu_seconds = gpu_compute + gpu_memory + gpu_launch + copying
        speedup = log_seconds - log(gpu_seconds)
        weighted = weight * speedup
        mean += weighted
        square += weighted * speedup
        launch /= seconds
        gpu_launch /= gpu_seconds
        of_launches += weight * (launch * launch + gpu_launch * gpu_launch - SHARED_LAUNCH * launch * gpu_launch)
        spread = (compute_std * compute + memory_std * memory) / seconds
        gpu_spread = (compute_std * gpu_compute + memory_std * gpu_memory) / gpu_seconds
        of_work += weight * (spread * spread + gpu_spread * gpu_spread)
        of_copying += weight / (gpu_seconds * gpu_seconds)
    if host_only:
        return Roofline(log_cpu, 0.0, HOST_ONLY_STD)
    variance = (
        of_work + level * level + LAUNCH_VARIANCE * of_launches + COPY_VARIANCE * copying * copying * of_copying
    )  # fmt: skip
    return Roofline(log_cpu, mean, sqrt(variance + max(0.0, square - mean * mean)))
