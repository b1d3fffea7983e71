"""Run by test_devices.py in a process of its own: a node that is not emulated, with two faked GPUs; prints JSON."""

import json
import os
import tempfile

import fake_nvml
import ray
from conditions import wait_until

import placement
from placement import TaskSpec, current_device, placed_remote

SPEC = TaskSpec(flops=1e9, input_bytes=1e6, batch_size=8, parameters=1000)


@placed_remote(spec=SPEC, policy="gpu_only")
def where(meeting: str = "", tasks: int = 0) -> tuple[str, str, int]:
    """tasks: how many must have come to the folder `meeting` before one of them goes on."""
    if tasks:
        tempfile.mkstemp(dir=meeting)
        wait_until(lambda: len(os.listdir(meeting)) >= tasks, "the other task does not run beside this one")
    return current_device(), os.environ["CUDA_VISIBLE_DEVICES"], os.getpid()


fake_nvml.install()
ray.init("local", num_cpus=2, num_gpus=2, include_dashboard=False, logging_level="ERROR", log_to_driver=False)
placement.start(timeout_s=600)
one_after_the_other = [ray.get(where.remote()) for _ in range(2)]
with tempfile.TemporaryDirectory() as folder:
    at_once = ray.get([where.remote(folder, 2) for _ in range(2)])
both = [ray.get(where.options(num_gpus=2).remote()) for _ in range(2)]
print(json.dumps({"one_after_the_other": one_after_the_other, "at_once": at_once, "both": both}))
ray.shutdown()
