"""The shared parts of the steps: a Ray of this machine with its GPU, and the result that a step prints."""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from placement import TaskSpec

MARK = "gpu-step: "
SPEC = TaskSpec(flops=1e9, input_bytes=1e6, batch_size=8, parameters=1000)
PATIENCE_S = 30.0
rehearsed = "PLACEMENT_GPU_HELD" in os.environ


def report(figures: dict[str, Any], **checks: bool) -> None:
    """Prints the figures and what was to hold, on a line that what Ray prints beside it cannot break."""
    failed = [name for name, holds in checks.items() if not holds]
    sys.stdout.write(f"\n{MARK}{json.dumps({'figures': figures, 'failed': failed, 'checks': sorted(checks)})}\n")
    sys.stdout.flush()


@contextmanager
def ray_with_gpu(cpus: int = 2, log: str | None = None) -> Iterator[str]:
    """Ray of this machine alone with its GPU, and placement started; yields the cluster's address."""
    import ray

    import placement

    ray.init("local", num_cpus=cpus, num_gpus=1, include_dashboard=False, logging_level="ERROR", log_to_driver=False)
    try:
        placement.start(log=log)
        yield ray.get_runtime_context().gcs_address
    finally:
        ray.shutdown()


def wait_until(holds: Callable[[], Any], timeout_s: float = PATIENCE_S) -> Any:
    """The first true answer; the last answer once the time is over."""
    deadline = time.monotonic() + timeout_s
    while not (found := holds()) and time.monotonic() < deadline:
        time.sleep(0.1)
    return found


def used_bytes() -> int:
    """Memory of the first GPU that is in use, by NVML."""
    import pynvml

    pynvml.nvmlInit()
    return int(pynvml.nvmlDeviceGetMemoryInfo(pynvml.nvmlDeviceGetHandleByIndex(0)).used)


def rows_of(log: str, function: str) -> list[dict[str, Any]]:
    """The log's rows of a function, by its plain name."""
    import placement

    placement.flush(PATIENCE_S)
    return [row for row in placement.read_log(log).to_pylist() if row["function"].rpartition(".")[2] == function]
