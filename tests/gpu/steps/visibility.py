"""The GPUs, by UUID, that a CPU-placed task, a GPU-placed one and a plain Ray task see through torch."""

from __future__ import annotations

import os
from typing import Any

import ray
from gpu_step import SPEC, ray_with_gpu, report

from placement import current_device, placed_remote
from placement.hardware.meters import find_gpus


def seen() -> dict[str, Any]:
    """The device, the variable, and the UUIDs of torch's devices."""
    import torch

    uuids = [str(torch.cuda.get_device_properties(i).uuid) for i in range(torch.cuda.device_count())]
    return {"device": current_device(), "variable": os.environ.get("CUDA_VISIBLE_DEVICES"), "uuids": uuids}


def main() -> None:
    """Three tasks, one after the other, twice: the second time in workers that are warm."""
    driver = [gpu.uuid.removeprefix("GPU-") for gpu in find_gpus(None)]
    with ray_with_gpu():
        placed = placed_remote(spec=SPEC)(seen)
        plain = ray.remote(num_gpus=1)(seen)
        found = {}
        for turn in ("first", "again"):
            found[turn] = {
                "cpu": ray.get(placed.options(device="cpu").remote()),
                "gpu": ray.get(placed.options(device="gpu").remote()),
                "plain_ray": ray.get(plain.remote()),
            }
    turns = list(found.values())
    report(
        {"driver": driver, **found},
        a_cpu_task_sees_no_gpu=all(not turn["cpu"]["uuids"] for turn in turns),
        a_gpu_task_sees_the_first_gpu=all(turn["gpu"]["uuids"] == driver[:1] for turn in turns),
        a_gpu_task_sees_what_plain_ray_shows=all(turn["gpu"]["uuids"] == turn["plain_ray"]["uuids"] for turn in turns),
        devices_are_named=all((t["cpu"]["device"], t["gpu"]["device"]) == ("cpu", "cuda:0") for t in turns),
    )


if __name__ == "__main__":
    main()
