"""Run by test_head_failure.py in a process of its own: the head's GCS is killed, and started on what it had stored.

Ray keeps the GCS's tables in an external Redis or, since 2.5x, in a RocksDB folder; without either a dead GCS is a dead
cluster, and nothing of ours can help. Prints JSON.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import time
from collections import Counter
from pathlib import Path
from typing import Any

import ray
from conditions import answer
from ray.cluster_utils import Cluster

import placement
from placement import TaskSpec, placed_remote
from placement.control_plane.client import actor
from placement.prediction.selector_file import shipped_selector
from placement.ray_internals.emulation import small_node_agents

SPEC = TaskSpec(flops=1e6, input_bytes=1e3, batch_size=1, parameters=1_000)


@placed_remote(spec=SPEC, policy="cpu_only")
def twice(x: int) -> int:
    time.sleep(0.02)
    return 2 * x


def main(log: str) -> None:
    told: dict[str, Any] = {}
    node = {"num_cpus": 1, "num_gpus": 0, "object_store_memory": 100 * 2**20}
    with small_node_agents():
        cluster = Cluster(shutdown_at_exit=True)
        head = cluster.add_node(
            labels={"config": "here"}, include_dashboard=False, no_monitor=True, include_log_monitor=False, **node
        )
        cluster.add_node(labels={"config": "there"}, **node)
        ray.init(address=cluster.address, log_to_driver=False, logging_level="ERROR")
        placement.start(log=log, timeout_s=600)
        placement.swap({**shipped_selector().to_dict(), "version": "kept"})
        told["before"] = ray.get([twice.remote(x) for x in range(50)], timeout=300) == [2 * x for x in range(50)]
        refs = [twice.remote(x) for x in range(50, 150)]
        head.kill_gcs_server()
        refs += [twice.remote(x) for x in range(150, 200)]  # decided and sent with no head to ask
        time.sleep(3)
        head.start_gcs_server()
        told["while_dead"] = ray.get(refs, timeout=600) == [2 * x for x in range(50, 200)]
        told["after"] = ray.get([twice.remote(x) for x in range(50)], timeout=300) == [2 * x for x in range(50)]
        status = answer(placement.status)
        told |= {"selector": status["selector"], "log_kept": status["log"] == log, "nodes": status["nodes"]}
        os.kill(answer(lambda: ray.get(actor().process_id.remote(), timeout=300)), signal.SIGKILL)
        status = answer(placement.status)
        told["selector_after_the_actor_too"] = status["selector"]
        told["last"] = ray.get([twice.remote(x) for x in range(50)], timeout=300) == [2 * x for x in range(50)]
        answer(lambda: placement.flush(60))
        rows = placement.read_log(log).to_pylist()
        told["rows"], told["most_rows_of_a_task"] = len(rows), max(Counter(row["task_id"] for row in rows).values())
        ray.shutdown()
        cluster.shutdown()
    print(json.dumps(told))


if __name__ == "__main__":
    main(str(Path(sys.argv[1]) / "log"))
