"""The actor killed under load, and a log that cannot be written: tasks go on, no row is lost unsaid or doubled."""

from __future__ import annotations

import os
import signal
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import ray
from conditions import rows_of, wait_until

import placement
from placement import TaskSpec, placed_remote
from placement.control_plane.client import actor, forget_actor
from placement.errors import ControlPlaneError
from placement.prediction.selector_file import shipped_selector

pytestmark = pytest.mark.usefixtures("emulated")

SMALL = TaskSpec(flops=1e6, input_bytes=1e3, batch_size=1, parameters=1_000)


@placed_remote(spec=SMALL, policy="cpu_only")
def twice(x: int) -> int:
    return 2 * x


@placed_remote(spec=SMALL, policy="cpu_only")
def thrice(x: int) -> int:
    return 3 * x


def asked(question: Callable[[], Any]) -> Any:
    """What the actor says, once it answers: it may have been killed a moment ago."""

    def answer() -> Any:
        try:
            return question()
        except (ControlPlaneError, ray.exceptions.RayError, ValueError):  # ValueError: there is no actor of the name
            forget_actor()
            return None

    return wait_until(answer, "the actor does not come back")


def kill_actor() -> None:
    """SIGKILL, as the kernel's out-of-memory killer would."""
    os.kill(asked(lambda: ray.get(actor().process_id.remote())), signal.SIGKILL)


def test_the_actor_is_killed_under_load(log_uri: str) -> None:
    placement.swap({**shipped_selector().to_dict(), "version": "kept"})
    try:
        results, sent = [], []
        for turn in range(3):
            refs = [twice.remote(turn * 100 + i) for i in range(100)]
            sent += refs
            kill_actor()
            results += ray.get(refs, timeout=300)
        assert results == [2 * i for i in range(300)]
        status = asked(placement.status)
        assert status["selector"] == "kept"
        assert status["log"] == log_uri
        wait_until(lambda: sum(placement.status()["nodes"].values()) == 4, placement.status)
        rows_of(log_uri, sent)
        rows = [row for row in placement.read_log(log_uri).to_pylist() if row["workload"] == "twice"]
        assert Counter(Counter(row["task_id"] for row in rows).values()) == {1: 300}
    finally:
        asked(placement.status)
        placement.rollback()


def test_a_log_that_vanishes_is_counted_and_told(log_uri: str, tmp_path: Path) -> None:
    blocked = tmp_path / "file"
    blocked.write_text("a file where the log's folder should be")
    before = placement.status()["rows_lost"]
    placement.start(log=blocked / "log", timeout_s=600)
    try:
        assert ray.get([thrice.remote(i) for i in range(10)], timeout=300) == [3 * i for i in range(10)]
        wait_until(lambda: placement.status()["rows_lost"] >= before + 10, placement.status)
    finally:
        placement.start(log=log_uri, timeout_s=600)
    rows_of(log_uri, [thrice.remote(i) for i in range(5)])
    assert sum(row["workload"] == "thrice" for row in placement.read_log(log_uri).to_pylist()) == 5
