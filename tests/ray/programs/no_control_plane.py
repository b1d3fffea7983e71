"""Ordinary tasks and actors: prints what they know of their GPU, and the named actors that there are afterwards."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from pathlib import Path

import ray
from local_ray import start
from output import say

from placement import current_device, placed_remote
from placement.worker import outbox

start(num_gpus=1)
PATIENCE_S = 300.0


def has_told() -> bool:
    """Whether nothing is left that this process had to tell of tasks before this one."""
    return outbox._outbox is None or not outbox._outbox.runs


@placed_remote
def f() -> tuple[str, int, int, bool]:
    """The device, the GPUs, this process, and whether it has told of the tasks before."""
    return current_device(), len(ray.get_gpu_ids()), os.getpid(), has_told()


@placed_remote
class A:
    def get(self) -> tuple[str, str | None]:
        return current_device(), os.environ.get("CUDA_VISIBLE_DEVICES")

    def has_told(self) -> bool:
        return has_told()


def wait_for(what: Callable[[], bool]) -> None:
    deadline = time.monotonic() + PATIENCE_S
    while not what():
        assert time.monotonic() < deadline, "a worker has something to tell for ever"
        time.sleep(0.05)


told: set[int] = set()


def workers_have_told() -> bool:
    """Whether each of the first tasks' workers has had nothing left to tell since then, or has ended."""
    told.update(pid for _, _, pid, empty in ray.get([f.remote(), f.options(num_gpus=1).remote()]) if empty)
    return all(pid in told or not Path(f"/proc/{pid}").exists() for _, _, pid, _ in first)


def actors_have_told() -> bool:
    """Whether each actor has had nothing left to tell since its first call."""
    told.update(i for i, empty in enumerate(ray.get([actor.has_told.remote() for actor in actors])) if empty)
    return told >= set(range(len(actors)))


# A worker that has something to tell, and may start the control plane for it, has done so before it has told.
first = ray.get([f.remote(), f.options(num_gpus=1).remote()])
say([(device, gpus) for device, gpus, _, _ in first])
wait_for(workers_have_told)
actors = [A.remote(), A.options(num_gpus=1).remote()]
say(ray.get([actor.get.remote() for actor in actors]))
told.clear()
wait_for(actors_have_told)
say([a["Name"] for a in ray._private.state.actors().values() if a["Name"]])
