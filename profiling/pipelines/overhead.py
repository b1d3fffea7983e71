"""placement.map_batches beside Ray Data's own where there is nothing to choose: a cluster without GPUs."""

from __future__ import annotations

import time
from statistics import median
from typing import Any

from placement.spec.task import TaskSpec

BATCH_S = 0.010


def busy(batch: Any) -> Any:
    """A batch that takes 10 ms of a CPU."""
    end = time.perf_counter() + BATCH_S
    while time.perf_counter() < end:
        pass
    return batch


def overhead(rounds: int = 3, batches: int = 400) -> dict[str, float]:
    """Starts a local cluster of its own with 2 CPUs. extra: share by which the placed stage takes longer, the median
    over rounds in which both are run in turns.
    """
    import ray

    import placement

    ray.init("local", num_cpus=2, num_gpus=0, include_dashboard=False, logging_level="ERROR", log_to_driver=False)
    try:
        context = ray.data.DataContext.get_current()
        context.enable_progress_bars = False
        spec = TaskSpec(flops=1e6, batch_size=10)
        taken: dict[str, list[float]] = {"plain": [], "placed": []}
        for _ in range(rounds + 1):
            for name, seconds in taken.items():
                rows = ray.data.range(10 * batches, override_num_blocks=8)
                stage = (
                    rows.map_batches(busy, batch_size=10)
                    if name == "plain"
                    else placement.map_batches(rows, busy, batch_size=10, spec=spec)
                )
                start = time.perf_counter()
                stage.materialize()
                seconds.append(time.perf_counter() - start)
    finally:
        ray.shutdown()
    pairs = list(zip(taken["plain"], taken["placed"], strict=True))[1:]  # the first pays for imports
    return {
        "plain_s": median(plain for plain, _ in pairs), "placed_s": median(placed for _, placed in pairs),
        "extra": median(placed / plain for plain, placed in pairs) - 1.0,
    }  # fmt: skip
