"""A task waits for the GPU of a config whose only node goes; it must run elsewhere. Prints the config it ran on."""

from __future__ import annotations

from pathlib import Path

import ray
from conditions import in_use, wait_for_file, wait_until
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
    wait_for_file(path, 300)


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
    placement.start(timeout_s=600)
    caller().current()
    for config, seconds in (("B", 0.1), ("C", 5.0)):
        for _ in range(5):
            place = Place(config, "gpu", 1.0)
            caller().history.observe(key_of(task.handle.history_key(), SPEC), place, seconds, None, 0.0)
    blocking = [held.options(label_selector={"config": c}).remote(release) for c in ("B", "C")]
    wait_until(lambda: {"1 GPU held on B", "1 GPU held on C"} <= set(in_use()), in_use)
    ref = task.options(device="gpu").remote()
    decision = placement.explain(ref).decision
    assert decision.configs == ("B",), decision
    wait_until(lambda: any("wait" in line for line in in_use()), "the task does not wait for a GPU")
    cluster.remove_node(nodes["B"])
    Path(release).touch()
    print("ran on", ray.get(ref, timeout=300))
    del blocking
    ray.shutdown()
    cluster.shutdown()


if __name__ == "__main__":
    import sys

    main(sys.argv[1])
