"""Workers on live nodes that are not emulated. Their GPUs are faked, and a failure is raised by the task itself."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest


def run(script: str, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """What the script prints; it has a cluster of its own."""
    env = {**os.environ, "LOG": str(tmp_path_factory.mktemp("log")), "RAY_USAGE_STATS_ENABLED": "0"}
    script = str(Path(__file__).with_name(script))
    done = subprocess.run([sys.executable, script], env=env, capture_output=True, text=True, timeout=600)
    assert done.returncode == 0, done.stderr[-3000:]
    # Ray prints to a driver's stdout too, of an actor that was killed.
    found: dict[str, Any] = json.loads(next(line for line in done.stdout.splitlines() if line.startswith("{")))
    return found


@pytest.fixture(scope="module")
def seen(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    return run("gpu_failure.py", tmp_path_factory)


@pytest.fixture(scope="module")
def several(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    return run("several_gpus.py", tmp_path_factory)


def test_where_a_node_has_several_gpus_a_worker_serves_one_task(several: dict[str, Any]) -> None:
    first, second = several["one_after_the_other"]
    assert first[2] != second[2]
    assert (first[0], second[0]) == ("cuda:0", "cuda:0")
    assert {visible for _, visible, _ in several["at_once"]} == {"0", "1"}  # each its own


def test_a_task_that_takes_all_of_a_nodes_gpus_keeps_its_worker(several: dict[str, Any]) -> None:
    first, second = several["both"]
    assert first == second == ["cuda:0", "0,1", first[2]]


def test_a_gpu_worker_is_kept(seen: dict[str, Any]) -> None:
    assert {device for device, _ in seen["warm"]} == {"cuda:0"}
    assert len({pid for _, pid in seen["warm"]}) == 1


def test_a_worker_with_a_bare_cuda_context_is_kept_and_one_that_holds_memory_ends(seen: dict[str, Any]) -> None:
    assert seen["bare"][0] == seen["bare"][1]
    for way in ("holding", "in_parts"):
        first, next_one = seen[way]
        assert first != next_one


def test_a_kept_worker_is_given_to_no_other_function_and_to_no_plain_task(seen: dict[str, Any]) -> None:
    """CUDA is initialised in it, so that they could not fork, or set their allocator up, as in a fresh process."""
    kept = {seen["warm"][0][1], *seen["bare"]}
    assert kept.isdisjoint(seen["others"])
    assert len(set(seen["others"])) == 2


def test_a_worker_ends_that_must_not_be_kept(seen: dict[str, Any]) -> None:
    """With max_calls=1, with the switch in a runtime_env, where the task left a plain GPU task of its own running."""
    once, switched_off, parent = seen["ended"]  # the script has seen each of them end
    assert len({once, switched_off, parent, seen["child"], *seen["others"]}) == 6


def test_an_actor_that_was_killed_remembers_runs_and_failures_and_decides_the_same(seen: dict[str, Any]) -> None:
    before, after = seen["remembered"]
    assert after == before
    assert before["unfit"]
    assert before["runs"]
    assert any("failed there before" in reason for _, _, reason in before["considered"])


def test_a_failure_ends_in_a_result_from_the_cpu_in_the_same_worker(seen: dict[str, Any]) -> None:
    assert seen["failed"] == ["cpu", seen["warm"][0][1]]
    fallen = [row for row in seen["rows"] if row["fallback"]]
    assert len(fallen) == 1
    assert fallen[0]["device"] == "cpu"
    assert "out of memory" in fallen[0]["fallback"]


def test_that_worker_is_retired(seen: dict[str, Any]) -> None:
    assert seen["after"] is None or seen["after"][1] != seen["warm"][0][1]


def test_the_same_size_is_not_tried_there_again(seen: dict[str, Any]) -> None:
    assert "failed there before: RuntimeError: CUDA out of memory" in seen["table"]
    assert seen["table"].startswith("cpu (no_gpu_candidate)")


def test_strict_opts_out(seen: dict[str, Any]) -> None:
    assert "CUDA out of memory" in seen["strict"]
    assert any(row["error"] == "RuntimeError" for row in seen["rows"])
