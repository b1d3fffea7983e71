"""The queue of a stage, played in virtual time: a stage on CPUs and GPUs ends no later than on the GPUs alone."""

from __future__ import annotations

import heapq
import math

import pytest

from placement.spec.task import Device
from placement.stages.batch_queue import BatchQueue, Capacity, Request

GPUS, CPUS = 4, 8
WINDOW = 48
"""Batches that routers have under way for so many workers."""


def makespan(batches: int, ratio: float, *, cpus: int = CPUS) -> float:
    """Seconds of a stage whose batches take 1 s on a GPU and `ratio` s on a CPU. The first result of a batch counts."""
    queue, now, started, done = BatchQueue(), 0.0, 0, set[int]()
    request = Request(32, math.log(ratio), ratio, 1.0)
    free: dict[Device, int] = {"gpu": GPUS, "cpu": cpus}
    ends: list[tuple[float, int, Device]] = []
    on_cpus: dict[int, float] = {}  # batch -> its begin, where no GPU runs it too
    capacity = Capacity({"gpu": GPUS, "cpu": cpus}, {"gpu": GPUS, "cpu": cpus})

    def begin(device: Device, number: int) -> None:
        free[device] -= 1
        heapq.heappush(ends, (now + (ratio if device == "cpu" else 1.0), number, device))

    while len(done) < batches:
        while started < batches and started - len(done) < WINDOW:
            queue.add(started, request)
            started += 1
        for device in ("gpu", "cpu"):
            while free[device]:
                number = queue.take(device, capacity._replace(flow_s=now))
                if number is None:
                    break
                begin(device, number)
                if device == "cpu":
                    on_cpus[number] = now
        for number, began in list(on_cpus.items()):
            if free["gpu"] and queue.needs_backup(request, now - began):
                begin("gpu", number)
                del on_cpus[number]
        now, number, device = heapq.heappop(ends)
        free[device] += 1
        queue.measured(device, request, ratio if device == "cpu" else 1.0)
        on_cpus.pop(number, None)
        done.add(number)
    return now


@pytest.mark.parametrize("ratio", [2.0, 12.0, 20.0, 40.0])
@pytest.mark.parametrize("batches", [10, 60, 150, 1_000])
def test_a_stage_ends_no_later_than_on_its_gpus_alone(batches: int, ratio: float) -> None:
    assert makespan(batches, ratio) <= math.ceil(batches / GPUS) + 2.0  # the last batches are run again on a GPU


def test_a_long_stage_comes_near_what_both_devices_can_do_together() -> None:
    for ratio in (2.0, 12.0, 20.0):
        bound = 1_000 / (GPUS + CPUS / ratio)
        assert makespan(1_000, ratio) <= 1.1 * bound
