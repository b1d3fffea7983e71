"""Parts of a real multi-node cluster are killed: every result is right, nothing is counted twice, nothing hangs.

The clusters are in processes of their own (failures.py); here is what they must have told. See test_control_plane.py
for the placement actor and the log, tests/core/test_sweep_kill.py for 100 kills of a sweep without Ray.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

CELLS = 8  # two tables on two kinds of node, with one CPU and with all


def run(folder: Path, which: str) -> dict[str, Any]:
    """What failures.py tells."""
    env = {**os.environ, "RAY_USAGE_STATS_ENABLED": "0", "RAY_ENABLE_UV_RUN_RUNTIME_ENV": "0", "OMP_NUM_THREADS": "1"}
    script = str(Path(__file__).with_name("failures.py"))
    done = subprocess.run(
        [sys.executable, script, str(folder), which], env=env, capture_output=True, text=True, timeout=580
    )
    assert done.returncode == 0, done.stderr[-3000:]
    told: dict[str, Any] = json.loads(next(line for line in reversed(done.stdout.splitlines()) if line.startswith("{")))
    print(told)
    return told


@pytest.fixture(scope="module")
def told(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    return run(tmp_path_factory.mktemp("failures"), "quick")


def test_a_worker_killed_in_a_task(told: dict[str, Any]) -> None:
    seen = told["worker"]
    assert seen.get("right"), seen
    assert seen["died"] == 3  # two tasks that were run again, and one that might not be
    assert seen["raised"] == "WorkerCrashedError"  # what ray.remote raises
    assert seen["most_rows_of_a_task"] == 1
    assert seen["tasks_in_log"] == 8


def test_killed_agents_come_back_and_energy_goes_on(told: dict[str, Any]) -> None:
    seen = told["agent"]
    assert seen.get("energy_goes_on"), seen
    assert seen["killed"] == 2
    assert seen["other_processes"]
    assert seen["kinds"] == ["here", "there"]


def test_a_node_killed_under_a_stream_of_placed_tasks(told: dict[str, Any]) -> None:
    seen = told["stream"]
    assert seen.get("right"), seen
    assert seen["gone"]
    assert seen["all_told"]  # each row is in the log or counted as lost
    assert seen["more_told_than_tasks"] <= 10  # those that ran again, for their results had not come
    assert seen["back_in_use"]
    assert seen["most_rows_of_a_task"] == 1


@pytest.fixture(scope="module")
def sweeps(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    return run(tmp_path_factory.mktemp("sweeps"), "sweeps")


@pytest.mark.soak
def test_the_driver_of_a_sweep_is_killed_three_times(sweeps: dict[str, Any]) -> None:
    seen = sweeps["drivers"]
    assert seen.get("killed") == [True, True, True], seen
    assert seen["before"] == seen["last"]["found"] >= 3
    assert seen["cells"] == CELLS
    assert seen["most_rows_of_a_cell"] == 1


@pytest.mark.soak
def test_a_node_killed_in_a_sweep(sweeps: dict[str, Any]) -> None:
    seen = sweeps["sweep"]
    assert seen.get("cells") == CELLS, seen
    assert seen["configs"] == ["here", "there"]  # another node of the kind took over
    assert seen["first"]["left"] == 0
    assert seen["most_rows_of_a_cell"] == 1
    assert seen["seconds"] < 150  # a cell that asks for a dead node would wait for its whole budget
