"""A head whose autoscaler starts fake nodes on this machine; see test_autoscaler.py, which starts this in namespaces.

Run as `unshare ... python autoscaled.py`: prints one line of JSON for each thing that it saw.
(ray.cluster_utils.AutoscalingCluster needs a file that Ray's wheel does not bring, and runs `ray stop`.)
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import ray

import placement
from placement import TaskSpec, placed_remote

FOLDER = Path("/run/autoscaled")
PROVIDER = "ray.autoscaler._private.fake_multi_node.node_provider.FakeMultiNodeProvider"
ADDRESS = "127.0.0.1:6379"
HEAD = "ray.head.default"  # and its type
HEAD_ID = "f" * 56 + "0000"  # what Ray's fake provider calls its head
LARGE = TaskSpec(flops=4e12, input_bytes=2e7, batch_size=64, parameters=25_000_000, steps=50)
SMALL = TaskSpec(flops=1e5, input_bytes=1e3, batch_size=1, parameters=100)
WAIT_S = 120.0
EMULATED = {"placement.emulated": "true"}
TYPES: dict[str, Any] = {
    HEAD: {"resources": {"CPU": 1}, "labels": {"config": "head"}, "node_config": {}, "max_workers": 0},
    "cpu": {"resources": {"CPU": 1}, "labels": {"config": "cpu"}, "node_config": {}, "max_workers": 1},
    "gpu-c": {"resources": {"CPU": 1, "GPU": 1}, "labels": {"config": "C", **EMULATED}, "max_workers": 1},
    "gpu-d": {"resources": {"CPU": 1, "GPU": 1}, "labels": {"config": "D", **EMULATED}, "max_workers": 1},
}
CLUSTER = {
    "cluster_name": "fake", "max_workers": 4, "idle_timeout_minutes": 0.1, "upscaling_speed": 10,
    "provider": {"type": "external", "module": PROVIDER, "launch_multiple": True, "head_node_id": HEAD_ID,
                 "gcs_address": ADDRESS, "disable_node_updaters": True},
    "available_node_types": {name: {"node_config": {}, "min_workers": 0, **one} for name, one in TYPES.items()},
    "head_node_type": HEAD, "auth": {}, "docker": {}, "file_mounts": {}, "initialization_commands": [],
    "setup_commands": [], "head_setup_commands": [], "worker_setup_commands": [], "head_start_ray_commands": [],
    "worker_start_ray_commands": [], "cluster_synced_files": [], "rsync_exclude": [], "rsync_filter": [],
}  # fmt: skip


def start_head() -> None:
    """As `ray up` would, with the cluster's token on; then this script again as a driver, in the same environment."""
    FOLDER.mkdir()
    (FOLDER / "cluster.json").write_text(json.dumps(CLUSTER))
    (FOLDER / "token").write_text("0" * 64)
    environment = {
        **os.environ, "RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN_PATH": str(FOLDER / "token"), "RAY_FAKE_CLUSTER": "1",
        "RAY_enable_autoscaler_v2": "1", "RAY_CLOUD_INSTANCE_ID": HEAD_ID, "RAY_NODE_TYPE_NAME": HEAD,
        "RAY_OVERRIDE_NODE_ID_FOR_TESTING": HEAD_ID, "AUTOSCALER_UPDATE_INTERVAL_S": "1",
        "RAY_USAGE_STATS_ENABLED": "0", "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "1",
    }  # fmt: skip
    command = ["start", "--head", "--port=6379", "--num-cpus=1", "--num-gpus=0", "--labels=config=head",
               "--include-dashboard=false", f"--autoscaling-config={FOLDER / 'cluster.json'}"]  # fmt: skip
    ray_command = str(Path(sys.executable).parent / "ray")
    subprocess.run([ray_command, *command], env=environment, check=True, stdout=sys.stderr, stdin=subprocess.DEVNULL)
    for name in ("RAY_CLOUD_INSTANCE_ID", "RAY_NODE_TYPE_NAME", "RAY_OVERRIDE_NODE_ID_FOR_TESTING"):
        del environment[name]
    status = subprocess.run([sys.executable, __file__, "driver"], env=environment).returncode
    if status:
        logs = Path("/tmp/ray/session_latest/logs")
        for path in (*logs.glob("monitor*"), *logs.glob("autoscaler*")):
            print(f"--- {path.name}", path.read_text()[-6000:], sep="\n", file=sys.stderr)
    sys.exit(status)


def configs() -> Counter[str]:
    """How many nodes of each config are alive."""
    return Counter(node["Labels"].get("config", "?") for node in ray.nodes() if node["Alive"])


def wait_for(what: Callable[[], bool], wait_s: float = WAIT_S) -> bool:
    """Whether it came true in time."""
    deadline = time.monotonic() + wait_s
    while not what() and time.monotonic() < deadline:
        time.sleep(0.25)
    return what()


def where(seconds: float) -> tuple[str, bool]:
    """(the config of this node, whether this task was given a GPU), after so many seconds."""
    time.sleep(seconds)
    return ray.get_runtime_context().get_node_labels().get("config", "?"), bool(ray.get_gpu_ids())


@placed_remote(spec=lambda large, seconds: LARGE if large else SMALL)
def task(large: bool, seconds: float) -> tuple[str, bool]:
    """See `where`."""
    return where(seconds)


def tell(**what: Any) -> None:
    """One line for the test."""
    print(json.dumps(what), flush=True)


def main() -> None:
    """CPU-worthy tasks, then GPU-worthy ones, then nothing to do."""
    ray.init(address=ADDRESS, logging_level="ERROR", log_to_driver=False)
    placement.start(policy="selector", timeout_s=600)
    tell(step="unnamed", decision=task.explain(True, 0.0).decision.reason)
    placement.start(node_types=FOLDER / "cluster.json", timeout_s=600)
    small, large = task.explain(False, 0.0).decision, task.explain(True, 0.0).decision
    tell(step="named", small=[small.device, small.reason], large=[large.device, large.reason, large.configs])
    ran = ray.get([task.remote(False, 0.2) for _ in range(12)], timeout=WAIT_S)
    tell(step="small", ran=sorted(set(map(tuple, ran))), nodes=configs())
    refs = [task.remote(True, 1.0) for _ in range(6)]
    tell(step="large", ran=sorted(set(ray.get(refs, timeout=WAIT_S))), nodes=configs())
    gone = wait_for(lambda: not configs() - Counter(head=1))
    tell(step="idle", gone=gone, nodes=configs())
    waits = wait_for(lambda: task.explain(True, 0.0).decision.reason.endswith("awaits_node"), 10.0)
    tell(step="after", awaits_node=waits)


def prepare() -> None:
    """A loopback and folders of its own, so that no other cluster of this machine is seen or met."""
    for command in (
        "ip link set lo up",
        "mount -t tmpfs tmpfs /run",
        "mkdir -p /run/upper /run/work",
        "mount -t overlay overlay -o lowerdir=/tmp,upperdir=/run/upper,workdir=/run/work /tmp",
        "mkdir -p /tmp/ray",
        "mount -t tmpfs tmpfs /tmp/ray",  # hidden: Ray may be at work in it outside
    ):
        subprocess.run(command.split(), check=True)


if __name__ == "__main__":
    if sys.argv[1:] == ["driver"]:
        main()
    else:
        prepare()
        start_head()
