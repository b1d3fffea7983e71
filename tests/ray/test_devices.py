"""A GPU that fails, on a live node that is not emulated; its one GPU is faked, the failure is raised by the task."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest


@pytest.fixture(scope="module")
def seen(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    env = {**os.environ, "LOG": str(tmp_path_factory.mktemp("log")), "RAY_USAGE_STATS_ENABLED": "0"}
    script = Path(__file__).with_name("gpu_failure.py")
    done = subprocess.run([sys.executable, str(script)], env=env, capture_output=True, text=True, timeout=240)
    assert done.returncode == 0, done.stderr[-3000:]
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found


def test_a_gpu_worker_is_kept(seen: dict[str, Any]) -> None:
    assert {device for device, _ in seen["warm"]} == {"cuda:0"}
    assert len({pid for _, pid in seen["warm"]}) == 1


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
