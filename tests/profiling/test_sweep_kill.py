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

SWEEPS = """
import json, os, random, signal, sys, time
from pathlib import Path
import workloads
from placement.log import done_cells
from profiling.sweep.sweep import emulate_sweep

folder, kills = Path(sys.argv[1]), int(sys.argv[2])
names = ("parse_table_b100", "parse_table_b1000", "xgboost_infer_r150_t20_d3", "xgboost_train_r150_t20_d3")
presets = [workloads.preset(name) for name in names]
random.seed(3)

def timed(log):
    began = time.perf_counter()
    done = emulate_sweep(log, presets, write_every_s=0)
    return time.perf_counter() - began, done.done

timed(folder / "warm")
span, cells = timed(folder / "timed")
number, sweeps, rounds = 0, 0, []
while number < kills:
    log = folder / f"log{sweeps}"
    while len(done_cells(log)) < cells and number < kills:
        child = os.fork()
        if child == 0:
            emulate_sweep(log, presets, write_every_s=0)
            os._exit(0)
        time.sleep(random.uniform(0.0, 2 * span))
        if os.waitpid(child, os.WNOHANG)[0]:
            continue  # it had finished
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
        number += 1
        rounds.append(len(done_cells(log)))
    last = emulate_sweep(log, presets, write_every_s=0)
    assert last.done + last.found == cells, last
    sweeps += 1
print(json.dumps({"sweeps": sweeps, "cells": cells, "kills": number, "part_done": sum(0 < n < cells for n in rounds)}))
"""


@pytest.mark.parametrize("kills", [25, pytest.param(100, marks=pytest.mark.soak)])
def test_a_sweep_is_killed_at_random_moments(tmp_path: Path, kills: int) -> None:
    command = [sys.executable, "-W", "ignore", "-c", SWEEPS, str(tmp_path), str(kills)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr[-2000:]
    told = json.loads(done.stdout.splitlines()[-1])
    print(told)
    assert told["kills"] == kills
    assert told["part_done"] > kills / 5  # else the kills came too early or too late to say anything
    for i in range(told["sweeps"]):
        found = readout(tmp_path / f"log{i}")
        assert found.skipped == ()
        columns = (found.table[name].to_pylist() for name in ("preset", "config", "device", "cpus"))
        cells = Counter(zip(*columns, strict=True))
        assert set(cells.values()) == {1}
        assert len(cells) == told["cells"]
