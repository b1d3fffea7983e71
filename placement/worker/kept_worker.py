"""The decision to keep a worker process that has run a GPU task for the next one, or to end it as Ray does.

Ray ends the worker of a GPU task after it, so that its device memory is free and every task starts in a fresh process.
A worker is kept only where the next task cannot tell the difference but by its speed.
"""

from __future__ import annotations

import os
import sys
from typing import Any

from placement.ray_internals.worker_hooks import children_pending
from placement.worker import device
from placement.worker.numeric_libraries import courtesy, gpu_memory_reserved

SWITCH = b"PLACEMENT_KEEP_GPU_WORKERS"
"""An environment variable of the nodes or of a job's runtime_env; "0": no worker is kept after a GPU task."""
BARE_CONTEXT_BYTES = 768 * 2**20
BARE_CONTEXT_SHARE = 0.01
"""A CUDA context with its loaded kernels is taken to hold up to this, or to this share of a large GPU's memory: beyond
it more was allocated. Judgement: bare, it was measured at 555 MB on an H200; with a network's kernels it was not."""
TORCH_WORKSPACES_BYTES = 64 * 2**20
"""Torch keeps workspaces of cuBLAS for the life of a process; what it reserves beyond them holds the user's tensors."""
SET_BY_LIBRARIES = frozenset((
    b"CUDA_MODULE_LOADING", b"TORCHINDUCTOR_CACHE_DIR", b"TRITON_CACHE_DIR", b"TRITON_PTXAS_PATH",
    b"TRITON_LIBDEVICE_PATH", b"DISABLE_CUPTI_LAZY_REINIT", b"TEARDOWN_CUPTI", b"KMP_DUPLICATE_LIB_OK",
    b"KMP_INIT_AT_FORK", b"TOKENIZERS_PARALLELISM", b"NCCL_GRAPH_MIXING_SUPPORT", b"MPLCONFIGDIR",
))  # fmt: skip
"""Variables that torch, Triton, scikit-learn, joblib, transformers and matplotlib set where they are not set, as they
are imported or first used, and would set again in a fresh process."""

_forks = 0
_counts_forks = False


class ProcessState:
    """The state of this process at the begin of a GPU task, of what a process can do once or what others inherit."""

    __slots__ = ("_environment", "_forks", "_start_method")

    def __init__(self) -> None:
        _count_forks()
        self._environment = device.environment()
        self._start_method = _start_method()
        self._forks = _forks

    @courtesy("the state of this process cannot be read")
    def reason_to_end(self) -> str | None:
        """The reason why this process must not serve another GPU task; None where it may. For the end of the task."""
        if device.variable(SWITCH) == b"0":
            return "workers are not kept after a GPU task"
        if _forks != self._forks:
            return "the task forked, which a process cannot do again once it uses CUDA"
        if _start_method() != self._start_method:
            return "the task set multiprocessing's start method, which a process can do once"
        now = device.environment()
        if children_pending():
            return (
                "the task left tasks running, to which its runtime_env goes down, and with it the right to this worker"
            )
        added_by_libraries = SET_BY_LIBRARIES - self._environment.keys()
        changed = {name for name, _ in now.items() ^ self._environment.items()} - added_by_libraries
        if changed:
            return f"the task changed the environment: {os.fsdecode(b', '.join(sorted(changed)))}"
        return _held_memory()


def _held_memory() -> str | None:
    """A sentence on the device memory that this process and its children hold beyond a bare CUDA context, or None."""
    from placement.hardware.foreign_gpu_memory import descends_from
    from placement.hardware.meters.gpu_state import memory_held, total_memory

    if (gpu_memory_reserved() or 0) > TORCH_WORKSPACES_BYTES:
        return "torch holds tensors on the GPU"
    own = os.getpid()
    held = memory_held(lambda pid: descends_from(pid, own) is True)
    if held is None:
        return "NVML does not tell what this process holds of the GPU's memory"
    for (index, pid), size in held.items():
        if pid != own or size > max(BARE_CONTEXT_BYTES, BARE_CONTEXT_SHARE * total_memory(index)):
            return f"process {pid} holds {size / 1e9:.2f} GB of the GPU's memory"
    return None


def _start_method() -> str | None:
    """The start method that multiprocessing was set to, or has settled on at its first use; None before."""
    multiprocessing: Any = sys.modules.get("multiprocessing")
    return multiprocessing and multiprocessing.get_start_method(allow_none=True)


def _count_forks() -> None:
    global _counts_forks
    if not _counts_forks:
        _counts_forks = True
        os.register_at_fork(after_in_parent=_forked)


def _forked() -> None:
    global _forks
    _forks += 1
