"""Ordinary tasks and actors: prints what they know of their GPU, and the named actors that there are afterwards."""

from __future__ import annotations

import os
import time

import ray
from local_ray import start
from output import say

from placement import current_device, placed_remote

start(num_gpus=1)
f = placed_remote(lambda: (current_device(), len(ray.get_gpu_ids())))


@placed_remote
class A:
    def get(self) -> tuple[str, str | None]:
        return current_device(), os.environ.get("CUDA_VISIBLE_DEVICES")


say(ray.get([f.remote(), f.options(num_gpus=1).remote()]))
say(ray.get([A.remote().get.remote(), A.options(num_gpus=1).remote().get.remote()]))
time.sleep(1.5)  # a worker that has something to tell would have started the control plane by now
say([a["Name"] for a in ray._private.state.actors().values() if a["Name"]])
