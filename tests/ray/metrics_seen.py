"""On a cluster of its own with Ray's metrics on: prints what Ray's Prometheus endpoint says of placement."""

from __future__ import annotations

import json
import os
import socket
import sys
import time
import urllib.request

import ray

import placement
from placement import TaskSpec, placed_remote

SPEC = TaskSpec(flops=1e6, input_bytes=1e3, batch_size=1, parameters=1_000)
WANTED = ("decisions", "selector", "records_written", "queue_tasks", "wait_seconds", "joules", "snapshot")


@placed_remote(spec=SPEC)
def task(i: int) -> int:
    time.sleep(0.06)
    return i


def free_port() -> int:
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return int(s.getsockname()[1])


def main() -> None:
    port = free_port()
    ray.init(
        "local", num_cpus=1, include_dashboard=False, log_to_driver=False, _metrics_export_port=port,
        _system_config={"metrics_report_interval_ms": 1000},
    )  # fmt: skip
    placement.start(log=os.environ["LOG"], timeout_s=600)
    assert ray.get([task.remote(i) for i in range(20)]) == list(range(20))
    deadline, lines = time.monotonic() + 90, []
    while time.monotonic() < deadline:
        ray.get(task.remote(0))  # somebody looks at the queues
        try:
            text = urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=5).read().decode()
        except OSError:
            text = ""
        lines = [line for line in text.splitlines() if line.startswith("ray_placement_")]
        if all(any(line.startswith(f"ray_placement_{name}") for line in lines) for name in WANTED):
            break
        time.sleep(0.5)
    placement.flush(30)
    print(json.dumps({"lines": lines, "view": placement.control_plane.client.call("view")}))
    ray.shutdown()


if __name__ == "__main__":
    main()
    sys.exit(0)
