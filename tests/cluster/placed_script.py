"""What test_ray_up.py runs by `ray exec`: waits for the nodes, places tasks, prints what it saw as JSON."""

from __future__ import annotations

import json
import sys
import time

import ray

import placement
from placement import TaskSpec, current_device, placed_remote

LARGE = TaskSpec(flops=4e12, input_bytes=2e7, batch_size=64, parameters=25_000_000, steps=50)
SMALL = TaskSpec(flops=1e5, input_bytes=1e3, batch_size=1, parameters=100)
WAIT_S = 300.0


def where() -> tuple[str, str | None, bool]:
    """(the host, its config, whether this task was given a GPU)."""
    import socket

    labels = ray.get_runtime_context().get_node_labels()
    return socket.gethostname(), labels.get("config"), bool(ray.get_gpu_ids())


@placed_remote(spec=lambda large: LARGE if large else SMALL, policy="selector")  # what waits is not looked at
def task(large: bool) -> tuple[str, str | None, bool, str]:
    """Where it ran, and what current_device() says there."""
    return (*where(), current_device())


def main(nodes: int) -> None:
    """See the module."""
    ray.init(address="auto", logging_level="ERROR", log_to_driver=False)
    deadline = time.monotonic() + WAIT_S
    while (alive := sum(node["Alive"] for node in ray.nodes())) < nodes and time.monotonic() < deadline:
        time.sleep(0.2)
    before = placement.status()
    while set(placement.status()["nodes"]) != {"A", "C", "D"} and time.monotonic() < deadline:
        time.sleep(0.2)
    ran = {name: ray.get([task.remote(large) for _ in range(4)]) for name, large in (("large", True), ("small", False))}
    each = [ray.remote(where).options(label_selector={"ray.io/node-id": node["NodeID"]}) for node in ray.nodes()]
    hosts = sorted(ray.get([one.remote() for one in each]))
    counts = placement.flush(20)
    told = {"alive": alive, "log": before["log"], "nodes": placement.status()["nodes"], "hosts": hosts}
    print(json.dumps({**told, **ran, "counts": counts}))


if __name__ == "__main__":
    main(int(sys.argv[1]))
