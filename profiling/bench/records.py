"""The cost of the records of tasks."""

from __future__ import annotations

import time
from typing import Any

from profiling.bench.figure import Figure
from profiling.bench.tasks import tasks_per_second

BATCH_ROWS = 2_000


def a_millisecond(x: Any) -> Any:
    """1 ms of work that holds the CPU."""
    end = time.perf_counter() + 0.001
    while time.perf_counter() < end:
        pass
    return x


def records_cost(rounds: int, calls: int = 300) -> Figure:
    """The share of tasks a second that keeping records costs, at tasks of 1 ms, against the same tasks without
    records.
    """
    import ray

    from placement import placed_remote

    without, kept = ray.remote(a_millisecond), placed_remote(a_millisecond)
    ray.get([f.remote(1) for f in (without, kept) for _ in range(20)])
    values = [1 - tasks_per_second(kept, calls) / tasks_per_second(without, calls) for _ in range(rounds)]
    return Figure.of("records_cost", values, "<= 0.02", "share of tasks/s at 1 ms tasks")


def actor_records_per_s(batches: int = 50, rounds: int = 5) -> Figure:
    """Records a second that the actor takes into the log, in batches of 2,000 from many writers at once."""
    import ray

    from placement.control_plane import client
    from placement.spec.task_record import SCHEMA_VERSION, Rows

    same = {
        "schema_version": SCHEMA_VERSION,
        "run_id": "bench",
        "source": "production",
        "function": "f",
        "device": "cpu",
    }
    each = {"compute_s": [0.001 * i for i in range(BATCH_ROWS)], "time_utc": [time.time()] * BATCH_ROWS,
            "task_id": [f"{i:048x}" for i in range(BATCH_ROWS)]}  # fmt: skip
    shared = ray.put([Rows(BATCH_ROWS, same, each)])
    actor, values = client.actor(), []
    for turn in range(rounds):
        start = time.perf_counter()
        ray.get([actor.report.remote(f"bench-{turn}-{i}", 1, shared, [], [], 0) for i in range(batches)])
        values.append(batches * BATCH_ROWS / (time.perf_counter() - start))
    lost = client.call("status")["rows_lost"]
    return Figure.of("actor_records_per_s", values, ">= 100000", f"in batches of {BATCH_ROWS}; lost: {lost}")
