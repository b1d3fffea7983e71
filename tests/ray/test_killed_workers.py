"""A worker that is killed takes along what it had not sent: nobody gets those rows back, but they are counted."""

from __future__ import annotations

import os
import signal
import sys

import ray
from conditions import wait_until
from ray import cloudpickle

import placement
from placement import TaskSpec, placed_remote

cloudpickle.register_pickle_by_value(sys.modules[__name__])

SPEC = TaskSpec(flops=1e6, input_bytes=1e3, batch_size=1, parameters=1_000)
EACH = 25
PATIENCE_S = 300.0


@placed_remote(spec=SPEC, device="cpu", max_retries=3)
def counted(_: int) -> int:
    return os.getpid()


def accounted() -> int:
    counts = placement.flush(PATIENCE_S)
    return counts["rows_written"] + counts["rows_lost"]


def test_what_a_killed_worker_had_not_sent_is_counted(emulated: str) -> None:
    there = counted.options(label_selector={"config": "B"})
    done, before, lost_before = 0, accounted(), placement.status()["rows_lost"]
    for _ in range(10):
        pids = ray.get([there.remote(i) for i in range(EACH)])
        os.kill(pids[-1], signal.SIGKILL)  # at once: the outbox has had no time (all nodes are on this machine)
        ray.get(there.remote(0))  # Ray starts another worker, which finds what that one left
        done += EACH + 1
        if await_accounted(before + done) > lost_before:
            break
    else:
        raise AssertionError("of ten workers killed one at least had not sent all")
    for _ in range(3):
        ray.get(there.remote(0))  # this worker, too, looks for what the dead left
        done += 1
        assert await_accounted(before + done) > lost_before  # and nothing is counted twice


def await_accounted(rows: int) -> int:
    """The rows lost, once all are written or lost."""
    wait_until(lambda: accounted() == rows, lambda: f"{accounted()} rows are accounted for, not {rows}", PATIENCE_S)
    return int(placement.status()["rows_lost"])
