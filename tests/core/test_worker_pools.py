"""The pools of a stage: workers are started as the queue and the cluster's room want them."""

from __future__ import annotations

from typing import Any

import pytest

from placement.control_plane.cluster_load import Poll
from placement.stages import worker_pools
from placement.stages.batch_queue import BatchQueue, Request
from placement.stages.pool import Worker
from placement.stages.stage import Stage
from placement.stages.worker_pools import STARVED_S, WorkerPools
from placement.submission.options import PlacementOptions


@pytest.fixture
def now(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The time, which the test moves."""
    at = [100.0]
    monkeypatch.setattr(worker_pools.time, "monotonic", lambda: at[0])
    return at


def test_a_stage_without_room_has_one_worker_more_than_others_leave_it_while_that_one_starts(now: list[float]) -> None:
    stage = Stage("id", "f", "f", print, PlacementOptions(), {})
    pools = WorkerPools(stage, lambda: None, lambda c: c.close(), lambda: None, lambda: None, lambda worker: None)
    cpus, started = pools["cpu"], []

    def start(number: int, **options: Any) -> Worker:
        started.append(options["oversubscribes"])
        cpus.workers[number] = Worker(number, "cpu", None)
        return cpus.workers[number]

    cpus.start = start  # type: ignore[method-assign]
    queue = BatchQueue()
    queue.add(1, Request(10, devices=("cpu",)))
    for _ in range(10):
        now[0] += STARVED_S
        pools.resize(Poll({}, ()), queue)
    assert started == [True]
    pools.lose(1)
    for _ in range(3):
        now[0] += STARVED_S
        pools.resize(Poll({}, ()), queue)
    assert started == [True, True]
