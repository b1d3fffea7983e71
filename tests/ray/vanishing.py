"""A task waits for the GPU of a config whose only node goes; it must run elsewhere. Prints the config it ran on."""

from __future__ import annotations

import time

import ray
from ray.cluster_utils import Cluster

import placement
from placement import TaskSpec, placed_remote
from placement.control_plane.ray_context import own_label
from placement.prediction.runtime_history import Place
from placement.scheduling.decision import key_of
from placement.submission.snapshot_client import caller

SPEC = TaskSpec(flops=1e13, input_bytes=1e6, batch_size=64, parameters=100_000_000)


@placed_remote(spec=SPEC, policy="min_time")
def task() -> str | None:
    return own_label("config")


@ray.remote(num_gpus=1, num_cpus=0)
def held(path: str) -> None:
    import os

    while not os.path.exists(path):
        time.sleep(0.05)


def main(release: str) -> None:
    cluster = Cluster(shutdown_at_exit=True)
    node = {"num_gpus": 1, "object_store_memory": 100 * 2**20}
    cluster.add_node(
        num_cpus=1, object_store_memory=100 * 2**20, include_dashboard=False,
        _system_config={"health_check_period_ms": 500, "health_check_failure_threshold": 3},
    )  # fmt: skip
    nodes = {
        c: cluster.add_node(num_cpus=1, labels={"config": c, "placement.emulated": "true"}, **node) for c in ("B", "C")
    }
    ray.init(address=cluster.address, log_to_driver=False)
    placement.start()
    caller().current()
    for config, seconds in (("B", 0.1), ("C", 5.0)):
        for _ in range(5):
            place = Place(config, "gpu", 1.0)
            caller().history.observe(key_of(task.name, SPEC), place, seconds, None, 0.0)
    blocking = [held.options(label_selector={"config": c}).remote(release) for c in ("B", "C")]
    time.sleep(2)
    ref = task.options(device="gpu").remote()
    decision = placement.explain(ref).decision
    assert decision.configs == ("B",), decision
    time.sleep(1)
    cluster.remove_node(nodes["B"])
    open(release, "w").close()
    print("ran on", ray.get(ref, timeout=60))
    del blocking
    ray.shutdown()
    cluster.shutdown()


if __name__ == "__main__":
    import sys

    main(sys.argv[1])
