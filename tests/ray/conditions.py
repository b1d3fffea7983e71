"""Conditions that tests wait for, in the place of a wait of fixed length."""

from __future__ import annotations

import atexit
import contextlib
import os
import shutil
import socket
import sys
import tempfile
import time
import uuid
from collections.abc import Callable, Iterable
from functools import cache
from pathlib import Path
from typing import Any

import ray
from ray import cloudpickle

import placement
from placement.control_plane.client import forget_actor
from placement.control_plane.load_monitor import poll
from placement.errors import ControlPlaneError
from placement.submission.snapshot_client import caller

cloudpickle.register_pickle_by_value(sys.modules[__name__])  # workers cannot import the tests

PATIENCE_S = 300.0
"""A machine that does other work needs some seconds for what takes an idle one some milliseconds."""
LOOKS, LOOK_EVERY_S = 4, 0.3


def new_path() -> str:
    """The path of a file that is not there yet. What is written there goes with this process."""
    return os.path.join(_folder(), uuid.uuid4().hex)


@cache
def _folder() -> str:
    made = tempfile.mkdtemp(prefix="placement-tests-")
    atexit.register(shutil.rmtree, made, ignore_errors=True)
    return made


def wait_until(holds: Callable[[], Any], what: object, timeout_s: float = PATIENCE_S) -> Any:
    """The first true answer. AssertionError with `what` (called, where it can be) once the time is over."""
    deadline = time.monotonic() + timeout_s
    while not (found := holds()):
        assert time.monotonic() < deadline, what() if callable(what) else what
        time.sleep(0.05)
    return found


def answer(ask: Callable[[], Any], what: object = "no answer", timeout_s: float = PATIENCE_S) -> Any:
    """The first true answer, where Ray, or the placement actor, may be away for a while and asking raises."""

    def answered() -> Any:
        # Ray raises ValueError for an actor that it does not know.
        with contextlib.suppress(ray.exceptions.RayError, ControlPlaneError, ValueError):
            return ask()
        forget_actor()
        return None

    return wait_until(answered, what, timeout_s)


def wait_for_file(path: str | Path, timeout_s: float = PATIENCE_S) -> None:
    """Returns once the file is there. Tasks call it, so that they begin and end when a test says so."""
    path = Path(path)
    wait_until(path.exists, f"nobody wrote {path}", timeout_s)


def listens(port: int) -> bool:
    """Whether a server takes connections on this port of this machine."""
    with socket.socket() as s:
        return s.connect_ex(("127.0.0.1", port)) == 0


def in_use() -> list[str]:
    """What of the cluster is held or waited for, as Ray tells it; empty where nothing is."""
    polled = poll()
    held = [
        f"{node.total[name] - node.free.get(name, 0.0):g} {name} held on {node.labels.get('config', node_id)}"
        for node_id, node in polled.nodes.items()
        for name in ("CPU", "GPU")
        if node.total.get(name, 0.0) - node.free.get(name, 0.0) > 1e-4
    ]
    return held + [f"{one.count} tasks wait for {dict(one.shape)}" for one in polled.waiting]


def queues_known() -> list[str]:
    """The queues that this process believes to be there; one line says so where it knows of none."""
    caller().current()
    caller().follow_load()
    loads = caller().backlog.loads()
    queues = [f"{load.tasks:g} tasks in the queue of {queue}" for queue, load in loads.items() if load.tasks >= 0.5]
    return queues if loads else ["this process has not heard of the queues"]


def wait_for_quiet() -> None:
    """Returns once nothing runs or waits on the cluster, and the decisions of this process know that.

    Nodes tell of themselves every 0.1 s, and what waits is told up to 1.2 s late: one look may be at an old picture.
    """
    for _ in range(LOOKS):
        wait_until(lambda: not in_use() and not queues_known(), lambda: f"not quiet: {in_use()}, {queues_known()}")
        time.sleep(LOOK_EVERY_S)


def wait_for_use(resource: str, amount: float) -> None:
    """Returns once so much of a resource is held on the cluster and every node has had the time to hear of it."""

    def held() -> float:
        return sum(node.total.get(resource, 0.0) - node.free.get(resource, 0.0) for node in poll().nodes.values())

    for _ in range(LOOKS):
        wait_until(lambda: held() > amount - 1e-4, lambda: f"{held():g} {resource} held, not {amount:g}")
        time.sleep(LOOK_EVERY_S)


def rows_of(log: str, refs: Iterable[Any]) -> list[dict[str, Any]]:
    """The log's rows of these tasks, in their order, once all are there."""
    task_ids = [ref.task_id().hex() for ref in refs]

    def found() -> list[dict[str, Any]]:
        with contextlib.suppress(ControlPlaneError):  # records were still coming: looked at again
            placement.flush(PATIENCE_S)
        rows = {row["task_id"]: row for row in placement.read_log(log).to_pylist()}
        return [rows[task_id] for task_id in task_ids] if rows.keys() >= set(task_ids) else []

    return wait_until(found, "the log does not hold a row of each task", 2 * PATIENCE_S)
