"""One of several drivers: sends a burst of GPU-worthy tasks, prints {config: tasks} of where they ran, and the end."""

from __future__ import annotations

import json
import sys
import time
from collections import Counter

import ray

from placement import TaskSpec, placed_remote
from placement.control_plane.ray_context import own_label
from placement.prediction.runtime_history import Place
from placement.scheduling.decision import key_of
from placement.submission.snapshot_client import caller

SPEC = TaskSpec(flops=1e13, input_bytes=1e6, batch_size=64, parameters=100_000_000)
CPU_S, GPU_S = 3.0, 0.3


@placed_remote(spec=SPEC, policy="balanced", num_cpus=0)
def task() -> str:
    device = "gpu" if ray.get_gpu_ids() else "cpu"
    time.sleep(GPU_S if device == "gpu" else CPU_S)
    return f"{own_label('config')} {device}"


def main(start_at: float, tasks: int) -> None:
    ray.init(log_to_driver=False, logging_level="ERROR")
    caller().current()
    key = key_of(task.handle.history_key(), SPEC)
    for config in "ABCD":
        for _ in range(5):
            caller().history.observe(key, Place(config, "cpu", 0.0), CPU_S, None, 0.0)
            caller().history.observe(key, Place(config, "gpu", 0.0), GPU_S, None, 0.0)
    time.sleep(max(0.0, start_at - time.time()))
    began = time.time()
    ran = ray.get([task.remote() for _ in range(tasks)], timeout=600)
    print(json.dumps({"ran": Counter(ran), "seconds": time.time() - began}))


if __name__ == "__main__":
    main(float(sys.argv[1]), int(sys.argv[2]))
