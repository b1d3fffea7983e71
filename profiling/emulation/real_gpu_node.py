"""This machine's own GPUs beside an emulated cluster: one more node, real, of config `local`."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from placement.errors import ControlPlaneError
from placement.spec.node import CONFIG
from profiling.emulation.emulated_cluster import LOCAL

START_S = 90.0
STOP_S = 15.0


@contextmanager
def local_gpu_node(address: str, cpus: int = 1) -> Iterator[int]:
    """Joins this machine with its NVIDIA GPUs to the cluster at `address` in the `with` block; yields the number of its
    GPUs.

    0: there is none, and nothing was started. cpus: that Ray may grant there.
    Raises ControlPlaneError where the node does not come up in time.
    """
    gpus = count_gpus()
    if not gpus:
        yield 0
        return
    command = [
        str(Path(sys.executable).parent / "ray"), "start", f"--address={address}", f"--num-gpus={gpus}",
        f"--num-cpus={cpus}", f"--labels={CONFIG}={LOCAL}", "--block",
    ]  # fmt: skip
    # Without the variable a task that asked for no GPU would see every GPU of the machine.
    environment = os.environ | {"RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "1"}
    node = subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        _await_node(node)
        yield gpus
    finally:
        node.terminate()
        try:
            node.wait(STOP_S)
        except subprocess.TimeoutExpired:
            node.kill()


def count_gpus() -> int:
    """Number of NVIDIA GPUs that the driver lists."""
    from placement.hardware.meters import find_gpus

    return len(find_gpus())


def _await_node(node: subprocess.Popen[bytes]) -> None:
    import ray

    deadline = time.monotonic() + START_S
    while not any(n["Alive"] and n["Labels"].get(CONFIG) == LOCAL for n in ray.nodes()):
        if node.poll() is not None or time.monotonic() > deadline:
            why = f"it ended with {node.returncode}" if node.returncode is not None else f"not within {START_S:g} s"
            raise ControlPlaneError(f"this machine's node did not join the cluster: {why}. See the logs in /tmp/ray.")
        time.sleep(0.25)
