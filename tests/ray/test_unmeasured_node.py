"""One odd node stalls nobody: it serves with what is known of it, and says why it is not measured."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path


def test_nodes_that_cannot_be_probed_serve_and_nobody_waits_for_them(tmp_path: Path) -> None:
    script = str(Path(__file__).with_name("unmeasured_node.py"))
    env = {**os.environ, "RAY_USAGE_STATS_ENABLED": "0", "RAY_ENABLE_UV_RUN_RUNTIME_ENV": "0"}
    done = subprocess.run([sys.executable, script, str(tmp_path)], env=env, capture_output=True, text=True, timeout=600)
    assert done.returncode == 0, done.stderr[-3000:]
    found = json.loads(done.stdout.splitlines()[-1])
    torch, driver = found["torch"], found["pynvml"]
    assert driver["cpus"] == 1
    assert driver["not_measured"]  # "being probed" for three minutes, in which it has run a task all the same
    (reason,) = torch["not_measured"]
    assert reason.startswith("torch on the CPU: ImportError: libcudnn.so.9")
    assert torch["cpu_gflops"] > 0  # NumPy's kernels need no torch
