"""One program, two clusters after each other: the second is started by the first call, as Ray does."""

from __future__ import annotations

import os

import ray
from local_ray import start
from output import say

from placement import placed_remote

start(num_gpus=1)
f = placed_remote(devices="any")(lambda: 1)
g = placed_remote(lambda: 2)


@placed_remote(devices="any")
class A:
    def get(self) -> int:
        return 3


first = ray.get([f.remote(), g.remote()])
ray.shutdown()
os.environ["RAY_ADDRESS"] = "local"  # what Ray does by itself where nothing was started
a = A.remote()
say(first, ray.get([a.get.remote(), f.remote(), g.remote()]))
