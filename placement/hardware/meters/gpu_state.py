"""The state of this node's GPUs at this moment, by NVML: the memory that processes hold, and GPUs that fail.

NVML counts a process's device memory whatever library allocated it. None of this touches CUDA.
"""

from __future__ import annotations

import ctypes
import os
from collections.abc import Callable
from typing import Any

from placement.hardware.meters.gpu import NOT_AVAILABLE, find_gpus, nvml_answer, nvml_module, visible_gpus

ALMOST_FULL = 0.95
PROCESS_LISTS = (
    "nvmlDeviceGetComputeRunningProcesses",
    "nvmlDeviceGetGraphicsRunningProcesses",
    "nvmlDeviceGetMPSComputeRunningProcesses",
)


def memory_held(ours: Callable[[int], bool]) -> dict[tuple[int, int], int] | None:
    """Device memory that some processes hold, their CUDA contexts included: (GPU's index, process id) -> bytes.

    ours: whether a process, by its id, is one of them. Returns None where NVML does not tell: there is no driver or no
    GPU, one does not list its processes, or this process has loaded CUDA's driver and is not listed (a container whose
    process ids are not the host's, MIG, WSL).
    """
    nvml = nvml_module()
    count = None if nvml is None else nvml_answer(nvml, "nvmlDeviceGetCount")
    if not count:
        return None
    held: dict[tuple[int, int], int] = {}
    for index in range(count):
        listed = _processes(nvml, index)
        if listed is None:
            return None
        for process in listed:
            if not ours(process.pid):
                continue
            used = process.usedGpuMemory
            if used is None or used >= NOT_AVAILABLE:
                return None
            held[index, process.pid] = max(used, held.get((index, process.pid), 0))  # a process may be in two lists
    if not any(pid == os.getpid() for _, pid in held) and cuda_driver_loaded():
        return None
    return held


def total_memory(index: int) -> int:
    """Bytes of memory of the node's GPU of this index; 0 where NVML does not tell."""
    nvml = nvml_module()
    handle = None if nvml is None else nvml_answer(nvml, "nvmlDeviceGetHandleByIndex", index)
    memory = None if handle is None else nvml_answer(nvml, "nvmlDeviceGetMemoryInfo", handle)
    return 0 if memory is None else int(memory.total)


def _processes(nvml: Any, index: int) -> list[Any] | None:
    """The processes that use a GPU; None where it does not list those that compute."""
    handle = nvml_answer(nvml, "nvmlDeviceGetHandleByIndex", index)
    computing = None if handle is None else nvml_answer(nvml, PROCESS_LISTS[0], handle)
    if computing is None:
        return None
    others = (nvml_answer(nvml, name, handle) or () for name in PROCESS_LISTS[1:])
    return [*computing, *(process for listed in others for process in listed)]


def cuda_driver_loaded() -> bool:
    """Some library of this process has loaded CUDA's driver; this loads nothing."""
    try:
        ctypes.CDLL("libcuda.so.1", mode=os.RTLD_NOLOAD | os.RTLD_LAZY)
    except (OSError, AttributeError):
        return False
    return True


def almost_full(visible: str | None = None) -> bool:
    """The memory of a GPU that is visible is used up to a twentieth; False where NVML does not tell.

    visible: as CUDA_VISIBLE_DEVICES has it; None: all of the node's.
    """
    nvml = nvml_module()
    if nvml is None:
        return False
    for index in _indexes(nvml, visible):
        handle = nvml_answer(nvml, "nvmlDeviceGetHandleByIndex", index)
        memory = None if handle is None else nvml_answer(nvml, "nvmlDeviceGetMemoryInfo", handle)
        if memory is not None and memory.used >= ALMOST_FULL * memory.total > 0:
            return True
    return False


def lost(visible: str | None = None) -> bool:
    """NVML says that a GPU that is visible is lost or needs a reset; False where NVML does not tell."""
    nvml = nvml_module()
    if nvml is None:
        return False
    faults = {getattr(nvml, name, None) for name in ("NVML_ERROR_GPU_IS_LOST", "NVML_ERROR_RESET_REQUIRED")} - {None}
    return any(_fault(nvml, index) in faults for index in _indexes(nvml, visible))


def _fault(nvml: Any, index: int) -> int | None:
    """NVML's error code where a GPU does not answer; None where it does."""
    try:
        nvml.nvmlDeviceGetMemoryInfo(nvml.nvmlDeviceGetHandleByIndex(index))
    except nvml.NVMLError as fault:
        return getattr(fault, "value", None)
    except AttributeError:
        return None
    return None


def _indexes(nvml: Any, visible: str | None) -> list[int]:
    """The indexes of the GPUs that are visible; a lost one has no UUID to be known by, so that indexes stand for it."""
    count = nvml_answer(nvml, "nvmlDeviceGetCount") or 0
    names = None if visible is None else [name.strip() for name in visible.split(",")]
    if names is None or not all(name.isdecimal() for name in names):
        named = None if visible is None else visible_gpus(visible, find_gpus())[0]
        return [gpu.index for gpu in find_gpus() if gpu.uuid in named] if named else list(range(count))
    return [int(name) for name in names if int(name) < count]
