"""Tasks a second of a GPU worker that is kept, and of @ray.remote(num_gpus=1): `gpu_vs_plain` of `placement bench`."""

from __future__ import annotations

import statistics

import ray
from gpu_step import ray_with_gpu, rehearsed, report

from placement import placed_remote
from profiling.bench.tasks import gpu_work, tasks_per_second

ROUNDS, CALLS, PLAIN_CALLS = (1, 4, 2) if rehearsed else (3, 100, 2)
TARGET = 10.0


def main() -> None:
    """The two in turns, warmed up."""
    with ray_with_gpu():
        plain, kept = ray.remote(num_gpus=1)(gpu_work), placed_remote(device="gpu")(gpu_work)
        ray.get([plain.remote(1), kept.remote(1)])
        rates = [(tasks_per_second(kept, CALLS), tasks_per_second(plain, PLAIN_CALLS)) for _ in range(ROUNDS)]
    ratio = statistics.median(kept / plain for kept, plain in rates)
    report(
        {
            "gpu_vs_plain": ratio,
            "kept_tasks_per_s": statistics.median(kept for kept, _ in rates),
            "plain_tasks_per_s": statistics.median(plain for _, plain in rates),
            "target": TARGET,
        },
        a_kept_worker_is_ten_times_as_fast=rehearsed or ratio >= TARGET,
    )


if __name__ == "__main__":
    main()
