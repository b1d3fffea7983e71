"""Places tasks and actors on the cluster at an address, or on one of its own; prints what came of them as JSON."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterator
from typing import Any

import ray
from output import say
from ray._private import utils

import placement
from placement import TaskSpec, placed_remote
from placement.errors import PlacementError
from placement.ray_internals import way
from placement.ray_internals.connection import connection

SMALL = TaskSpec(flops=1e6, input_bytes=1e3, batch_size=1, parameters=1_000)


def held() -> tuple[str | None, int]:
    return os.environ.get("CUDA_VISIBLE_DEVICES"), len(ray.get_gpu_ids())


def device() -> str:
    return "gpu" if ray.get_gpu_ids() else "cpu"


def square(x: int) -> int:
    return x * x


def counted(n: int) -> Iterator[int]:
    for i in range(n):  # noqa: UP028 - Ray streams no `yield from range(n)`
        yield i


def named(**given: Any) -> dict[str, Any]:
    return given


class Holder:
    def gpus(self) -> int:
        return len(ray.get_gpu_ids())


def explained(f: Any) -> Any:
    try:
        return [f.options(device=name).explain().decision.device for name in ("gpu", "cpu")]
    except AttributeError:  # a handle that is not placed explains nothing: the function itself says why
        try:
            f.explain()
        except PlacementError as error:
            return type(error).__name__
        raise


def main(address: str) -> None:
    if address == "local":
        # No full agent on the node: on a busy machine it takes longer to import than a starting node waits for it.
        utils.get_dashboard_dependency_error = lambda: ImportError("this cluster has no dashboard")
        ray.init(address="local", num_cpus=4, num_gpus=4, include_dashboard=False, log_to_driver=False)
    else:
        ray.init(address=address, log_to_driver=False)
    placement.start(timeout_s=600)
    any_device = placed_remote(devices="any")
    f, small = any_device(held), placed_remote(spec=SMALL, policy="gpu_only")(device)
    parent = any_device(lambda g: ray.get(g.options(num_cpus=0).remote(1)))
    actors = {name: placed_remote(device=name)(Holder).remote() for name in ("cpu", "gpu")}
    seen = {
        "connection": type(connection).__name__,
        "ways": [way.of_tasks(), way.of_actors()],
        "pinned": {name: ray.get(f.options(device=name).remote()) for name in ("cpu", "gpu")},
        "explained": explained(f),
        "policy": ray.get(small.remote()),
        "mapped": list(placed_remote(devices="any", device="cpu")(square).map(range(4))),
        "streamed": [ray.get(ref) for ref in any_device(counted).options(device="cpu").remote(3)],
        "actor": {name: ray.get(actor.gpus.remote()) for name, actor in actors.items()},
        "travelled": ray.get(parent.options(device="cpu").remote(any_device(square))),
        "by_self": ray.get(any_device(named).remote(self=1)),
        "chosen": [
            placement.choose(SMALL, device="gpu").ray_options()["num_gpus"],
            placement.choose(SMALL, device="cpu").ray_options()["num_cpus"],
        ],
        "records": placement.flush(300.0).get("rows_received", 0),
    }
    say(json.dumps(seen))


if __name__ == "__main__":
    main(sys.argv[1])
