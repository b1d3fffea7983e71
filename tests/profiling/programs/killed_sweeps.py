"""Kills emulated sweeps at random moments and lets others go on; prints how many there were, as JSON.

Each sweep is forked from this warm process. Arguments: the folder of the logs, the number of kills.
"""

from __future__ import annotations

import json
import os
import random
import signal
import sys
import time
from pathlib import Path

import workloads
from placement.log import done_cells
from profiling.sweep.sweep import emulate_sweep

NAMES = ("parse_table_b100", "parse_table_b1000", "xgboost_infer_r150_t20_d3", "xgboost_train_r150_t20_d3")
presets = [workloads.preset(name) for name in NAMES]
folder, kills = Path(sys.argv[1]), int(sys.argv[2])


def timed(log: Path) -> tuple[float, int]:
    began = time.perf_counter()
    done = emulate_sweep(log, presets, write_every_s=0)
    return time.perf_counter() - began, done.done


random.seed(3)
timed(folder / "warm")
span, cells = timed(folder / "timed")
number, sweeps = 0, 0
rounds: list[int] = []


def part_done() -> int:
    """Kills that met a sweep half way."""
    return sum(0 < n < cells for n in rounds)


def enough() -> bool:
    """Some kills come before the first row or after the last: then there are more of them."""
    return number >= kills and (part_done() > kills / 5 or number >= 5 * kills)


def files() -> int:
    """Files of the log that a sweep has finished."""
    return len(list(log.glob("*.parquet")))


def wait_for_a_moment() -> None:
    """Returns a random moment after a random number of further files, however fast the machine is; or at the end."""
    wanted = files() + random.randrange(len(NAMES))
    while files() < wanted and not os.waitid(os.P_PID, child, os.WEXITED | os.WNOHANG | os.WNOWAIT):
        time.sleep(0.001)
    time.sleep(random.uniform(0.0, span / len(NAMES)))


while not enough():
    log = folder / f"log{sweeps}"
    while len(done_cells(log)) < cells and not enough():
        child = os.fork()
        if child == 0:
            emulate_sweep(log, presets, write_every_s=0)
            os._exit(0)
        wait_for_a_moment()
        if os.waitpid(child, os.WNOHANG)[0]:
            continue  # it had finished
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
        number += 1
        rounds.append(len(done_cells(log)))
    last = emulate_sweep(log, presets, write_every_s=0)
    assert last.done + last.found == cells, last
    sweeps += 1
print(json.dumps({"sweeps": sweeps, "cells": cells, "kills": number, "part_done": part_done()}))
