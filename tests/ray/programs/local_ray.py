"""A Ray of its own for a program of test_ordinary.py."""

from __future__ import annotations

import os
from typing import Any

import ray

from placement.ray_internals.emulation import small_node_agents

small_agents = small_node_agents()  # to the end of the program: half of the start is what nobody here looks at


def start(**options: Any) -> Any:
    """ray.init() of a new cluster on this machine, with two CPUs and no dashboard."""
    os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
    quiet = {"include_dashboard": False, "log_to_driver": False, "logging_level": "ERROR"}
    return ray.init(address="local", num_cpus=2, **quiet, **options)


small_agents.__enter__()
