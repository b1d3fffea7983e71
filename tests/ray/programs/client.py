"""Run by client_server.py: tasks and actors over Ray Client, ordinary and placed. Argument: the server's port."""

from __future__ import annotations

import sys

import ray
from output import say

from placement import TaskSpec, placed_remote

ray.init(f"ray://127.0.0.1:{sys.argv[1]}")


def add(x: int, y: int = 1) -> int:
    return x + y


class Counter:
    def __init__(self, n: int = 0) -> None:
        self.n = n

    def add(self) -> int:
        self.n += 1
        return self.n


ways = placed_remote, placed_remote(devices="any"), placed_remote(spec=TaskSpec(flops=1.0))
for remote in (ray.remote, *ways):
    f, A = remote(add), remote(Counter)
    a = A.options(num_cpus=0).remote(5)
    say(ray.get([f.remote(1), f.options(num_cpus=0.5).remote(1, y=5), f.remote(f.remote(1)), a.add.remote()]))
