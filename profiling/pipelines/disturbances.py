"""Disturbances of a run: a node with a GPU is killed, or another job takes half of the GPUs for a while."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any


@contextmanager
def after(seconds: float, act: Callable[[], None]) -> Iterator[None]:
    """Calls `act` once so many seconds have passed, unless the block has ended by then."""
    timer = threading.Timer(seconds, act)
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        timer.cancel()


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


def take_gpus(count: int, seconds: float) -> None:
    """Holds GPUs for a while, as another job's actors do: as soon as each is free."""
    import ray

    @ray.remote(num_gpus=1, num_cpus=0)
    class Holder:
        def here(self) -> bool:
            return True

    holders: list[Any] = [Holder.remote() for _ in range(count)]
    timer = threading.Timer(seconds, lambda: [ray.kill(one) for one in holders])
    timer.daemon = True
    timer.start()
