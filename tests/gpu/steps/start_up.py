"""Start-up, transfer and compute apart: of bare torch in a fresh process, and as the log has them of placed tasks."""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import time

import numpy as np
import ray
from gpu_step import SPEC, ray_with_gpu, rehearsed, report, rows_of

from placement import current_device, placed_remote

SIDE = 512 if rehearsed else 8192
LONG_S = 0.5
"""NVML's counter moves every 0.1 s: the energy of a task of a few such is known."""
BARE = """
import json, time
start = time.perf_counter()
import torch
imported = time.perf_counter()
torch.ones(1, device="cuda"); torch.cuda.synchronize()
context = time.perf_counter()
print(json.dumps({"import_torch_s": imported - start, "cuda_context_s": context - imported}))
"""


def multiply(host: np.ndarray) -> dict[str, float]:
    """A copy to the device and a product there, each timed."""
    import torch

    device = current_device()
    start = time.perf_counter()
    matrix = torch.from_numpy(host.copy()).to(device)
    torch.cuda.synchronize()
    copied = time.perf_counter()
    for _ in range(10):
        matrix @ matrix
    torch.cuda.synchronize()
    return {"copy_s": copied - start, "compute_s": time.perf_counter() - copied}


def main() -> None:
    """The bare process thrice; then a cold placed task and a warm one."""
    bare = [json.loads(subprocess.check_output([sys.executable, "-c", BARE], text=True)) for _ in range(3)]
    host = np.ones((SIDE, SIDE), np.float32)
    with tempfile.TemporaryDirectory() as log, ray_with_gpu(log=log):
        placed = placed_remote(spec=SPEC, policy="gpu_only")(multiply)
        inside = [ray.get(placed.remote(host)) for _ in range(3)]
        rows = rows_of(log, "multiply")
    names = ("device", "startup_s", "transfer_s", "compute_s", "gpu_joules", "gpu_watts", "energy_provenance")
    logged = [{name: row[name] for name in names} for row in rows]
    report(
        {"bare": bare, "inside": inside, "logged": logged, "input_bytes": host.nbytes,
         "copy_gb_s": host.nbytes / min(one["copy_s"] for one in inside) / 1e9},
        all_rows_are_on_the_gpu=len(logged) == 3 and all(row["device"] == "gpu" for row in logged),
        warm_tasks_are_shorter_than_a_cold_one=inside[-1]["copy_s"] + inside[-1]["compute_s"] <= 2 * sum(
            inside[0].values()),
        longer_tasks_have_joules=all(row["gpu_joules"] is not None for row in logged if row["compute_s"] > LONG_S),
    )  # fmt: skip


if __name__ == "__main__":
    main()
