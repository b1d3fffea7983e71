"""`make soak`: 20 minutes (SOAK_MINUTES) of a mixed stream from three drivers with random kills. See soaking.py."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

MINUTES = float(os.environ.get("SOAK_MINUTES", "20"))
LARGEST_GROWTH_MB_PER_MIN = 1.0
"""Of the actor and an agent over the second half; a leak of a kilobyte a task would be some 3 MB a minute."""
ROWS_OF_A_KILL = 20
"""What a worker has finished and not yet sent dies with it: at most some tenths of a second of its work."""
STEADY_MINUTES = 10.0  # before this a process is still filling its caches: what it grows by says nothing


@pytest.mark.soak
@pytest.mark.slow
def test_a_mixed_stream_with_random_kills(tmp_path: Path) -> None:
    env = {**os.environ, "RAY_USAGE_STATS_ENABLED": "0", "RAY_ENABLE_UV_RUN_RUNTIME_ENV": "0", "OMP_NUM_THREADS": "1"}
    script = str(Path(__file__).with_name("soaking.py"))
    done = subprocess.run(
        [sys.executable, script, str(tmp_path), str(MINUTES)],
        env=env, capture_output=True, text=True, timeout=MINUTES * 60 + 600,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-5000:]
    told = json.loads(next(line for line in reversed(done.stdout.splitlines()) if line.startswith("{")))
    print(json.dumps(told, indent=1))
    assert told["wrong"] == 0
    assert told["errors"] == []
    assert told["tasks"] > 50 * MINUTES
    assert told["tasks_twice"] == 0
    assert 0 <= told["rows_missing"] <= ROWS_OF_A_KILL * sum(told["kills"].values())
    assert {"worker", "node"} <= set(told["kills"])
    for name in ("actor", "agent"):
        if MINUTES >= STEADY_MINUTES:
            assert told[name]["mb_per_min"] < LARGEST_GROWTH_MB_PER_MIN, told
