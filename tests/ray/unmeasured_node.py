"""On a cluster of its own: a node on which torch cannot be imported, and one whose NVIDIA driver never answers."""

from __future__ import annotations

import json
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import ray
from conditions import wait_until
from ray.cluster_utils import Cluster

import placement
from placement import NodeSpec, placed_remote

NO_TORCH = "raise ImportError('libcudnn.so.9: cannot open shared object file')\n"
NO_ANSWER = """
import time


class NVMLError(Exception):
    pass


def nvmlInit():
    time.sleep(3600)
"""


def total(x: list[float]) -> float:
    return sum(x)


def seconds_of(action: Callable[[], Any]) -> float:
    start = time.monotonic()
    assert action() == 6.0
    return time.monotonic() - start


def spec_of(config: str) -> NodeSpec:
    found = placement.inventory().spec(config)
    assert found is not None
    return found


def main(folder: Path) -> None:
    for name, text in (("torch", NO_TORCH), ("pynvml", NO_ANSWER)):
        (folder / name / name).mkdir(parents=True)
        (folder / name / name / "__init__.py").write_text(text)
    cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 1, "include_dashboard": False})
    try:
        for name in ("torch", "pynvml"):
            variables = {
                "PYTHONPATH": f"{folder / name}:{':'.join(sys.path[1:])}",
                "TMPDIR": tempfile.mkdtemp(dir=folder),
            }
            cluster.add_node(num_cpus=1, resources={name: 1}, labels={"config": name}, env_vars=variables)
        ray.init(address=cluster.address, log_to_driver=False, logging_level="ERROR")
        cluster.wait_for_nodes()
        plain, placed = ray.remote(total), placed_remote(devices="any")(total)
        seconds_of(lambda: ray.get(plain.remote([1.0, 2.0, 3.0]), timeout=600))
        found: dict[str, Any] = {"start": seconds_of(lambda: placement.start(node_types={}, timeout_s=600) and 6.0)}
        for name in ("torch", "pynvml"):
            on_it = placed.options(resources={name: 0.1})
            found[f"first on {name}"] = seconds_of(
                lambda on_it=on_it: ray.get(on_it.remote([1.0, 2.0, 3.0]), timeout=600)
            )
        found["first anywhere"] = seconds_of(lambda: ray.get(placed.remote([1.0, 2.0, 3.0]), timeout=600))
        wait_until(
            lambda: "being probed" not in spec_of("torch").not_measured, "the node without torch is still being probed"
        )
        for name in ("torch", "pynvml"):
            spec = spec_of(name)
            found[name] = {"cpus": spec.cpus, "not_measured": spec.not_measured, "cpu_gflops": spec.cpu_gflops}
        print(json.dumps(found))
    finally:
        ray.shutdown()
        cluster.shutdown()


if __name__ == "__main__":
    main(Path(sys.argv[1]))
