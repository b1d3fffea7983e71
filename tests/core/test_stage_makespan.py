"""The queue of a stage, played in virtual time: a stage on CPUs and GPUs ends no later than on the GPUs alone."""

from __future__ import annotations

import heapq
import math

import pytest

from placement.stages.batch_queue import BatchQueue, Capacity, Request
from placement.stages.map_batches import pool_of_routers

GPUS = 4
CPUS = 8
WINDOW = math.prod(pool_of_routers({"gpu": GPUS, "cpu": CPUS}, nodes=4))
"""Batches that routers have under way for so many workers."""

TICK_S = 0.25
SPEEDS = (0.7, 1.0, 1.3, 1.5)
"""Seconds on the CPUs of the nodes, over their mean."""


def makespan(batches: int, ratio: float) -> float:
    """Seconds of a stage whose batches take 1 s on a GPU and some `ratio` s on a CPU. The first result counts."""
    queue, now, started, done = BatchQueue(), 0.0, 0, set[int]()
    request = Request(32, math.log(ratio), ratio, 1.0)
    gpus, cpus = GPUS, list(SPEEDS) * (CPUS // len(SPEEDS))
    ends: list[tuple[float, int, float]] = []  # (when, batch, seconds of a CPU's run; 0.0: a GPU's)
    on_cpus: dict[int, float] = {}  # batch -> its begin, where no GPU runs it too
    capacity = Capacity({"gpu": GPUS, "cpu": len(cpus)}, {"gpu": GPUS, "cpu": len(cpus)})
    while len(done) < batches:
        while started < batches and started - len(done) < WINDOW:
            queue.add(started, request)
            started += 1
        flow = capacity._replace(flow_s=now)
        while gpus and (number := queue.take("gpu", flow)) is not None:
            gpus -= 1
            heapq.heappush(ends, (now + 1.0, number, 0.0))
        while cpus and (number := queue.take("cpu", flow)) is not None:
            seconds = ratio * cpus.pop()
            heapq.heappush(ends, (now + seconds, number, seconds))
            on_cpus[number] = now
        for number in [n for n, began in on_cpus.items() if queue.needs_backup("cpu", request, now - began)][:gpus]:
            gpus -= 1
            heapq.heappush(ends, (now + 1.0, number, 0.0))
            del on_cpus[number]
        if ends[0][0] > now + TICK_S:
            now += TICK_S
            continue
        now, number, seconds = heapq.heappop(ends)
        if seconds:
            cpus.append(seconds / ratio)
        else:
            gpus += 1
        queue.measured("cpu" if seconds else "gpu", request, seconds or 1.0)
        on_cpus.pop(number, None)
        done.add(number)
    return now


@pytest.mark.parametrize("ratio", [2.0, 12.0, 20.0, 40.0])
@pytest.mark.parametrize("batches", [10, 60, 150, 1_000])
def test_a_stage_ends_no_later_than_on_its_gpus_alone(batches: int, ratio: float) -> None:
    assert makespan(batches, ratio) <= math.ceil(batches / GPUS) + 2.0  # the last batches are run again on a GPU


def test_a_long_stage_comes_near_what_both_devices_can_do_together() -> None:
    for ratio in (2.0, 12.0, 20.0):
        bound = 1_000 / (GPUS + 2 * sum(1 / speed for speed in SPEEDS) / ratio)
        assert makespan(1_000, ratio) <= 1.1 * bound
