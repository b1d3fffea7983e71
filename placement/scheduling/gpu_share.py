"""The share of a GPU that a task is granted where its function allows shares: 1, 1/2, 1/3 ... 1/8. Pure.

The one place that chooses it. A share must hold the task's memory, with headroom, and the task must not be slowed too
much by the neighbours that the share lets in; of those shares the one is taken at which a GPU gets the most done,
n tasks at once, each so much slower. Where the memory or the use of the GPU is not known, it is the whole GPU.
"""

from __future__ import annotations

from typing import NamedTuple

from placement.prediction.interference import Interference
from placement.prediction.roofline import gpu_busy
from placement.prediction.runtime_history import RunHistory
from placement.spec.node import NodeKind
from placement.spec.task import TaskSpec

MOST_TASKS = 8  # at once on a GPU
HEADROOM = 1.2  # of the memory that a spec tells, or that was seen: allocators round up and keep what they have
CONTEXT_BYTES = 0.5e9  # of each process on a GPU, for CUDA and its libraries
MOST_SLOWDOWN = 1.25  # by the model; a 99th percentile within 1.3 of a whole GPU's is the aim
GUESS_MARGIN = 1.25  # on how busy a task keeps the GPU, where that was not seen but guessed from FLOPs and kernels


class GpuShare(NamedTuple):
    """A share of a GPU. gpus: 1/n.  busy: how busy the task keeps the whole GPU, 0-1; None = not known."""

    gpus: float
    busy: float | None


def gpu_share(task: TaskSpec, kind: NodeKind, seen: RunHistory | None, model: Interference) -> GpuShare:
    """The share of a kind's GPU for a task. seen: its earlier runs."""
    config = kind.spec.config
    busy, need = busy_of(task, kind, seen), memory_of(task, seen)
    memory = kind.spec.gpu_memory_gb
    if busy is None or need is None or memory is None:
        return GpuShare(1.0, busy)
    free = memory if kind.gpu_free_gb is None else min(memory, kind.gpu_free_gb)
    crowded = 0.0 if seen is None else seen.crowded.get(config, 0.0)
    most, gain = 1, 1.0
    for tasks in range(2, MOST_TASKS + 1):
        share = 1.0 / tasks
        if share <= crowded or HEADROOM * need + CONTEXT_BYTES > share * free * 1e9:
            break
        slowdown = model.slowdown(busy, max(1.0 - share, (tasks - 1) * busy))
        if slowdown <= MOST_SLOWDOWN and tasks / slowdown > gain:
            most, gain = tasks, tasks / slowdown
    return GpuShare(1.0 / most, busy)


def busy_of(task: TaskSpec, kind: NodeKind, seen: RunHistory | None) -> float | None:
    """How busy a task keeps a kind's GPU: as it was seen alone there, else by its FLOPs and kernels; None = unknown."""
    utilisation = None if seen is None else seen.gpu_utilisation(kind.spec.config)
    if utilisation is not None:
        return min(1.0, utilisation)
    guess = gpu_busy(task, kind.spec)
    return None if guess is None else min(1.0, GUESS_MARGIN * guess)


def memory_of(task: TaskSpec, seen: RunHistory | None) -> float | None:
    """Bytes of device memory that a task needs: the more of what its spec tells and what was seen; None = unknown."""
    told = (task.memory_bytes, None if seen is None else seen.gpu_memory_bytes)
    return max((need for need in told if need is not None), default=None)
