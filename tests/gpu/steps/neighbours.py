"""Inference beside 1, 2, 4 and 8 neighbours on one GPU: batches a second and the 99th percentile of a batch's seconds.

python neighbours.py FOLDER        the log is FOLDER/neighbours

Each level gives a GPU n tasks of num_gpus=1/n, which build the network, wait for one another and then infer the same
number of batches each, copied from the host and back. The first level of a network starts its workers and counts not.
"""

from __future__ import annotations

import os
import statistics
import sys
import tempfile
import time
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import ray
from gpu_step import PATIENCE_S, ray_with_gpu, rehearsed, report

import workloads
from placement import TaskSpec, current_device, placed_remote
from placement.prediction.interference import ASSUMED, fitted
from profiling.emulation import gpu_sharing
from profiling.sweep.sweep_rows import PresetDescription

LEVELS = (1, 2) if rehearsed else (1, 2, 4, 8)
WARM_UPS = 1 if rehearsed else 10


@dataclass(frozen=True)
class Load:
    """A preset's network, and its input. batches: of a task, about a second alone on a server's GPU."""

    preset: str
    architecture: str
    shape: tuple[int, ...]
    batches: int

    @property
    def spec(self) -> TaskSpec:
        """The preset's, of so many steps."""
        return replace(PresetDescription.of(workloads.preset(self.preset)).spec, steps=self.batches)


LOADS = (
    Load("resnet18_infer_b8_s224_w1.0", "resnet18", (8, 3, 224, 224), 300),
    Load("bert_infer_b8_l128_w1.0", "bert", (8, 128), 200),
    Load("mobilenetv3_infer_b8_s224_w1.0", "mobilenetv3", (8, 3, 224, 224), 200),
    Load("resnet18_infer_b64_s224_w1.0", "resnet18", (64, 3, 224, 224), 100),
)
REHEARSED = (
    Load("resnet18_infer_b1_s32_w1.0", "resnet18", (1, 3, 32, 32), 2),
    Load("mobilenetv3_infer_b1_s32_w1.0", "mobilenetv3", (1, 3, 32, 32), 2),
)


def infer(load: Load, folder: str, tasks: int) -> dict[str, Any]:
    """When each batch ended, once all the tasks are there; the first figure is when the first began."""
    import torch

    from workloads.networks import Network, model_of

    device = current_device()
    model = model_of(Network(load.architecture), device).eval()  # type: ignore[arg-type]
    host = torch.randint(0, 1000, load.shape) if len(load.shape) == 2 else torch.rand(load.shape)

    def one() -> None:
        with torch.inference_mode():
            found = model(host.to(device))
            getattr(found, "logits", found).cpu()

    for _ in range(WARM_UPS):
        one()
    meet(folder, tasks)
    ends = [time.time()]
    for _ in range(load.batches):
        one()
        ends.append(time.time())
    model_of.cache_clear()  # what a task leaves on the GPU would end its worker
    return {"ends": ends, "device": device, "pid": os.getpid()}


def meet(folder: str, tasks: int) -> None:
    """Returns once so many tasks are here."""
    tempfile.mkstemp(dir=folder)
    deadline = time.monotonic() + PATIENCE_S
    while len(os.listdir(folder)) < tasks and time.monotonic() < deadline:
        time.sleep(0.002)


def level(placed: Any, load: Load, tasks: int) -> dict[str, Any]:
    """The tasks at once: figures of the seconds in which all of them ran."""
    with tempfile.TemporaryDirectory() as folder:
        sent = placed.options(num_gpus=1.0 / tasks)
        found = ray.get([sent.remote(load, folder, tasks) for _ in range(tasks)])
    ends = [one["ends"] for one in found]
    begin, end = max(one[0] for one in ends), min(one[-1] for one in ends)
    inside = [later - earlier for one in ends for earlier, later in pairwise(one) if earlier >= begin and later <= end]
    return {
        "tasks": tasks, "batches_per_s": len(inside) / (end - begin), "batches": len(inside),
        "p50_ms": 1e3 * percentile(inside, 50), "p99_ms": 1e3 * percentile(inside, 99),
        "seconds": statistics.fmean(one[-1] - one[0] for one in ends),
        "all_on_the_gpu": all(one["device"] == "cuda:0" for one in found),
        "processes": len({one["pid"] for one in found}),
    }  # fmt: skip


def percentile(values: list[float], percent: int) -> float:
    """NaN where there are too few."""
    return statistics.quantiles(values, n=100)[percent - 1] if len(values) > 1 else float("nan")


def busy_alone(levels: list[dict[str, Any]]) -> float:
    """How busy one task keeps the GPU, 0-1: its batches a second over the most that several got out of it."""
    return levels[0]["batches_per_s"] / max(one["batches_per_s"] for one in levels)


def with_ratios(levels: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Each level beside the first, and the slowdown that the assumed model and the emulator tell of it."""
    alone, busy = levels[0], busy_alone(levels)
    for one in levels:
        others = (one["tasks"] - 1) * busy
        one["throughput"] = one["batches_per_s"] / alone["batches_per_s"]
        one["p99"], one["slowdown"] = one["p99_ms"] / alone["p99_ms"], one["seconds"] / alone["seconds"]
        one["assumed"], one["emulated"] = ASSUMED.slowdown(busy, others), gpu_sharing.slowdown(busy, others)
    return levels


def main() -> None:
    """Each network at each level; the interference model that the slowdowns give."""
    log = str(Path(sys.argv[1]) / "neighbours")
    found: dict[str, Any] = {}
    loads = REHEARSED if rehearsed else LOADS
    with ray_with_gpu(cpus=2 * LEVELS[-1], log=log):
        for load in loads:
            placed = placed_remote(spec=load.spec, device="gpu")(infer)
            level(placed, load, LEVELS[-1])
            found[load.preset] = [level(placed, load, tasks) for tasks in LEVELS]
            print(load.preset, found[load.preset], flush=True)
    runs = []
    for load in loads:
        levels = with_ratios(found[load.preset])
        busy = busy_alone(levels)
        found[load.preset] = {"busy": busy, "levels": levels}
        runs += [(busy, (one["tasks"] - 1) * busy, one["slowdown"]) for one in levels if one["tasks"] > 1]
    model = fitted(runs)
    every = [one for load in found.values() for one in load["levels"]]
    report(
        {"loads": found, "contention": model.contention, "queueing": model.queueing, "runs": model.runs, "log": log},
        all_were_on_the_gpu=all(one["all_on_the_gpu"] for one in every),
        they_ran_at_once=all(one["processes"] == one["tasks"] and one["batches"] for one in every),
    )


if __name__ == "__main__":
    main()
