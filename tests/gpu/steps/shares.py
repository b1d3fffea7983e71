"""Shares of a GPU: two tasks of num_gpus=0.5 run on it at the same time, and both see the same card."""

from __future__ import annotations

import os
import tempfile
import time
from typing import Any

import ray
from gpu_step import PATIENCE_S, SPEC, ray_with_gpu, report

from placement import current_device, placed_remote


def beside(folder: str, tasks: int) -> dict[str, Any]:
    """Waits for the other tasks, then computes beside them."""
    import torch

    tempfile.mkstemp(dir=folder)
    deadline = time.monotonic() + PATIENCE_S
    while len(os.listdir(folder)) < tasks and time.monotonic() < deadline:
        time.sleep(0.01)
    start = time.perf_counter()
    matrix = torch.rand(1024, 1024, device=current_device())
    for _ in range(20):
        matrix @ matrix
    torch.cuda.synchronize()
    return {
        "device": current_device(), "pid": os.getpid(), "met": len(os.listdir(folder)),
        "uuid": str(torch.cuda.get_device_properties(0).uuid), "seconds": time.perf_counter() - start,
    }  # fmt: skip


def main() -> None:
    """Two halves at once, then a whole one, which waits until both are gone."""
    with ray_with_gpu(cpus=4), tempfile.TemporaryDirectory() as halves, tempfile.TemporaryDirectory() as whole:
        placed = placed_remote(spec=SPEC, device="gpu")(beside)
        half = placed.options(num_gpus=0.5)
        two = ray.get([half.remote(halves, 2) for _ in range(2)])
        one = ray.get(placed.remote(whole, 1))
    report(
        {"halves": two, "whole": one},
        both_ran_at_once=all(half["met"] == 2 for half in two) and len({half["pid"] for half in two}) == 2,
        both_saw_the_same_gpu=len({half["uuid"] for half in [*two, one]}) == 1,
        all_were_on_it=all(half["device"] == "cuda:0" for half in [*two, one]),
    )


if __name__ == "__main__":
    main()
