"""Prints what first calls on an event loop come to, and what comes behind them."""

from __future__ import annotations

import asyncio
import json
import os
import sys
import time
from typing import Any

import ray
from output import say

from placement import TaskSpec, current_device, placed_remote
from placement.submission import first_calls

SPEC = TaskSpec(flops=1e6, input_bytes=1e3, batch_size=1, parameters=1_000)


def work(x: int) -> tuple[int, str, int, Any]:
    return x, current_device(), len(ray.get_gpu_ids()), os.environ.get("CUDA_VISIBLE_DEVICES")


class Counter:
    def where(self) -> int:
        return len(ray.get_gpu_ids())


@ray.remote(num_cpus=0)
class Serves:
    """An async actor, whose methods run on an event loop."""

    async def calls(self, f: Any) -> dict[str, Any]:
        found: dict[str, Any] = {"has_client": first_calls.CLIENT in sys.modules}
        refs = {"open": f.remote(1), "pinned": f.options(device="gpu").remote(2), "again": f.remote(3)}
        actor = placed_remote(spec=SPEC)(Counter).remote()
        found["waited_for_none"] = sys.modules[first_calls.CLIENT].caller().snapshot is None
        found |= {name: await ref for name, ref in refs.items()}
        found["actor"] = await actor.where.remote()
        deadline = time.monotonic() + 300
        while sys.modules[first_calls.CLIENT].caller().snapshot is None and time.monotonic() < deadline:
            await asyncio.sleep(0.05)
        found["came_behind"] = f.explain(1).decision.reason != first_calls.REASON
        found["later"] = await f.remote(4)
        return found


if __name__ == "__main__":
    ray.init("local", num_cpus=2, num_gpus=1, include_dashboard=False, log_to_driver=False, logging_level="ERROR")
    placed = placed_remote(spec=SPEC)(work)
    say(json.dumps(ray.get(Serves.remote().calls.remote(placed), timeout=600)))
