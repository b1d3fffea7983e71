"""NVML of a machine without a GPU, for rehearsals: one card whose name says so, a steady power, memory by process.

A process holds as many bytes of the card's memory as the file HELD/<its id> says, until it ends.
"""

from __future__ import annotations

import os
import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any

NAME = "REHEARSED, no GPU"
UUID = "GPU-00000000-0000-4000-8000-000000000000"
MEMORY_BYTES = 16 * 10**9
WATTS, LIMIT_W = 100.0, 300.0
FOLDER = Path(os.environ["PLACEMENT_GPU_HELD"])


class NVMLError(Exception):
    """NVML's error."""


def held() -> dict[int, int]:
    """Process id -> bytes, of the processes that run."""
    return {
        int(file.name): int(file.read_text() or 0) for file in FOLDER.iterdir() if Path("/proc", file.name).exists()
    }


def nvmlInit() -> None: ...
def nvmlDeviceGetCount() -> int:
    return 1


def nvmlDeviceGetHandleByIndex(index: int) -> int:
    return index


def nvmlDeviceGetHandleByUUID(uuid: Any) -> int:
    return 0


def nvmlDeviceGetUUID(handle: int) -> str:
    return UUID


def nvmlDeviceGetName(handle: int) -> str:
    return NAME


def nvmlDeviceGetPowerManagementDefaultLimit(handle: int) -> float:
    return LIMIT_W * 1e3


def nvmlDeviceGetPowerUsage(handle: int) -> float:
    return WATTS * 1e3


def nvmlDeviceGetTotalEnergyConsumption(handle: int) -> float:
    return time.time() * WATTS * 1e3


def nvmlDeviceGetUtilizationRates(handle: int) -> Any:
    return SimpleNamespace(gpu=50, memory=10)


def nvmlDeviceGetMemoryInfo(handle: int) -> Any:
    used = sum(held().values())
    return SimpleNamespace(total=MEMORY_BYTES, used=used, free=MEMORY_BYTES - used)


def nvmlDeviceGetComputeRunningProcesses(handle: int) -> Any:
    return [SimpleNamespace(pid=pid, usedGpuMemory=size) for pid, size in held().items()]
