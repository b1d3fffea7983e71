"""The process of a sweep is killed at 100 random moments: the log reads back whole, it goes on, no cell is there twice.

Without Ray: the emulated sweep, with a file for each preset, forked from one warm process. tests/ray/test_failures.py
kills the driver of a sweep on Ray.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest

from placement.log import readout

SWEEPS = Path(__file__).parent / "programs" / "killed_sweeps.py"


@pytest.mark.parametrize("kills", [25, pytest.param(100, marks=pytest.mark.soak)])
def test_a_sweep_is_killed_at_random_moments(tmp_path: Path, kills: int) -> None:
    command = [sys.executable, "-W", "ignore", str(SWEEPS), str(tmp_path), str(kills)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=600)
    assert done.returncode == 0, done.stderr[-2000:]
    told = json.loads(done.stdout.splitlines()[-1])
    print(told)
    assert told["kills"] >= kills
    assert told["part_done"] > kills / 5  # else the kills came too early or too late to say anything
    for i in range(told["sweeps"]):
        found = readout(tmp_path / f"log{i}")
        assert found.skipped == ()
        columns = (found.table[name].to_pylist() for name in ("preset", "config", "device", "cpus"))
        cells = Counter(zip(*columns, strict=True))
        assert set(cells.values()) == {1}
        assert len(cells) == told["cells"]
