"""Disturbances of a run: a node with a GPU is killed, or another job has half of the GPUs for a while."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple


class Act(NamedTuple):
    """One thing that happens so many seconds after the clock has started."""

    after_s: float
    do: Callable[[], None]


def kill_node(config: str) -> None:
    """Kills the raylet of a configuration's node on this machine, and Ray ends its workers."""
    import ray

    node = next(n for n in ray.nodes() if n["Alive"] and n["Labels"].get("config") == config)
    socket = node["RayletSocketName"].encode()
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            words = (folder / "cmdline").read_bytes().split(b"\0")
        except OSError:
            continue
        if words[0].endswith(b"raylet") and b"--raylet_socket_name=" + socket in words:
            os.kill(int(folder.name), signal.SIGKILL)


@contextmanager
def held_gpus(count: int) -> Iterator[Callable[[], None]]:
    """Holds GPUs, as another job's actors do, until the function that it yields is called, or the block ends."""
    import ray

    @ray.remote(num_gpus=1, num_cpus=0)
    class Holder:
        def here(self) -> bool:
            return True

    holders: list[Any] = [Holder.remote() for _ in range(count)]

    def release() -> None:
        while holders:
            ray.kill(holders.pop())

    try:
        ray.get([holder.here.remote() for holder in holders])
        yield release
    finally:
        release()
