"""Ray's own autoscaler with fake nodes: what GPU-worthy and CPU-worthy tasks bring up, and what goes when none is left.

It runs in namespaces, beside whatever cluster the test run has.
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from namespaces import NAMESPACES, clean_environment, what_stands_in_the_way

pytestmark = pytest.mark.soak  # two minutes; the rules it shows are held by the pure tests too

SCRIPT = Path(__file__).resolve().with_name("autoscaled.py")
TIMEOUT_S = 800


@pytest.fixture(scope="module")
def steps() -> dict[str, Any]:
    """What the script saw, by step."""
    reason = what_stands_in_the_way()
    if reason:
        pytest.skip(f"a cluster with an autoscaler of its own {reason}")
    command = [*NAMESPACES, sys.executable, str(SCRIPT)]
    done = subprocess.run(command, env=clean_environment(), capture_output=True, text=True, timeout=TIMEOUT_S)
    assert done.returncode == 0, f"{done.stdout}\n{done.stderr[-6000:]}"
    return {(step := json.loads(line))["step"]: step for line in done.stdout.splitlines() if line.startswith("{")}


def test_nothing_is_known_of_types_that_nobody_named(steps: dict[str, Any]) -> None:
    assert steps["unnamed"]["decision"] == "only_device"


def test_a_task_that_only_a_type_could_serve_waits_and_says_so(steps: dict[str, Any]) -> None:
    device, reason = steps["named"]["small"]
    assert device == "cpu"
    assert reason.startswith("gpu_not_worth_it")  # so small that the selector extrapolates, and says so
    assert steps["named"]["large"] == ["gpu", "gpu_worth_it, awaits_node", ["D", "C"]]
    assert steps["after"]["awaits_node"]


def test_cpu_worthy_tasks_bring_up_no_gpu_node(steps: dict[str, Any]) -> None:
    assert set(steps["small"]["nodes"]) == {"head", "cpu"}
    assert {config for config, _ in steps["small"]["ran"]} <= {"head", "cpu"}


def test_gpu_worthy_tasks_bring_up_gpu_nodes_and_run_there(steps: dict[str, Any]) -> None:
    assert set(steps["large"]["nodes"]) >= {"C", "D"}
    assert {config for config, _ in steps["large"]["ran"]} <= {"C", "D"}
    assert all(has_gpu for _, has_gpu in steps["large"]["ran"])


def test_idle_nodes_go(steps: dict[str, Any]) -> None:
    assert steps["idle"] == {"step": "idle", "gone": True, "nodes": {"head": 1}}
