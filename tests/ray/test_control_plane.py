"""The actor killed under load, and a log that cannot be written: tasks go on, no row is lost unsaid or doubled."""

from __future__ import annotations

import os
import signal
import time
from collections import Counter
from pathlib import Path

import pytest
import ray

import placement
from placement import TaskSpec, placed_remote
from placement.control_plane.client import actor, forget_actor
from placement.prediction.selector_file import shipped_selector

pytestmark = pytest.mark.usefixtures("emulated")

SMALL = TaskSpec(flops=1e6, input_bytes=1e3, batch_size=1, parameters=1_000)


@placed_remote(spec=SMALL, policy="cpu_only")
def twice(x: int) -> int:
    return 2 * x


@placed_remote(spec=SMALL, policy="cpu_only")
def thrice(x: int) -> int:
    return 3 * x


def kill_actor() -> None:
    """SIGKILL, as the kernel's out-of-memory killer would."""
    pid = ray.get(actor().process_id.remote())
    os.kill(pid, signal.SIGKILL)


def wait_for_actor() -> dict[str, object]:
    deadline = time.monotonic() + 60
    while True:
        try:
            return placement.status()
        except Exception:
            forget_actor()
            assert time.monotonic() < deadline
            time.sleep(0.2)


def test_the_actor_is_killed_under_load(log_uri: str) -> None:
    placement.swap({**shipped_selector().to_dict(), "version": "kept"})
    try:
        results = []
        for turn in range(3):
            refs = [twice.remote(turn * 100 + i) for i in range(100)]
            kill_actor()
            results += ray.get(refs, timeout=60)
        assert results == [2 * i for i in range(300)]
        status = wait_for_actor()
        assert status["selector"] == "kept"
        assert status["log"] == log_uri
        assert sum(placement.status()["nodes"].values()) == 4
        placement.flush(60)
        rows = [row for row in placement.read_log(log_uri).to_pylist() if row["workload"] == "twice"]
        assert Counter(Counter(row["task_id"] for row in rows).values()) == {1: 300}
    finally:
        wait_for_actor()
        placement.rollback()


def test_a_log_that_vanishes_is_counted_and_told(log_uri: str, tmp_path: Path) -> None:
    blocked = tmp_path / "file"
    blocked.write_text("a file where the log's folder should be")
    before = placement.status()["rows_lost"]
    placement.start(log=blocked / "log")
    try:
        assert ray.get([thrice.remote(i) for i in range(10)], timeout=60) == [3 * i for i in range(10)]
        deadline = time.monotonic() + 60
        while placement.status()["rows_lost"] < before + 10 and time.monotonic() < deadline:
            time.sleep(0.2)
        assert placement.status()["rows_lost"] >= before + 10
    finally:
        placement.start(log=log_uri)
    ray.get([thrice.remote(i) for i in range(5)])
    placement.flush(30)
    assert sum(row["workload"] == "thrice" for row in placement.read_log(log_uri).to_pylist()) == 5
