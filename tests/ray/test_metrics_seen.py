"""Metrics in Ray's own Prometheus endpoint, on a cluster with Ray's metrics on."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest


@pytest.mark.soak
def test_metrics_are_seen_in_rays_own_endpoint(tmp_path: Path) -> None:
    script = str(Path(__file__).with_name("metrics_seen.py"))
    env = {
        **os.environ, "LOG": str(tmp_path), "RAY_USAGE_STATS_ENABLED": "0", "RAY_ENABLE_UV_RUN_RUNTIME_ENV": "0",
    }  # fmt: skip
    done = subprocess.run([sys.executable, script], env=env, capture_output=True, text=True, timeout=600)
    assert done.returncode == 0, done.stderr[-3000:]
    found = json.loads(done.stdout.splitlines()[-1])
    lines: list[str] = found["lines"]
    decisions = [line for line in lines if line.startswith("ray_placement_decisions")]
    assert any('device="cpu"' in line and float(line.rsplit(" ", 1)[1]) >= 20 for line in decisions), lines
    assert any('device="cpu"' in line for line in lines if line.startswith("ray_placement_queue_tasks"))
    assert any(line.startswith("ray_placement_selector") for line in lines)
    view = found["view"]
    assert view["decisions"][0]["device"] == "cpu"
    assert {queue["device"] for queue in view["queues"]} == {"cpu"}
