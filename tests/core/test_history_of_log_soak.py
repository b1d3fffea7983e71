"""The time in which the history is restored from a log of a million rows (make soak)."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from placement.control_plane.history_recovery import entries_in
from placement.log import LogWriter, compact
from placement.spec.task_record import SCHEMA_VERSION, Rows

KEYS, ROWS, FILES = 10_000, 1_000_000, 20
LIMIT_S = 2.0


def some_rows(number: int, first: int) -> Rows:
    """Rows of 10,000 functions in turn, on either device of four configs."""
    turns = range(first, first + number)
    same = {
        "schema_version": SCHEMA_VERSION, "run_id": "r", "source": "production", "function": "job.train", "cpus": 1.0,
        "emulated": False, "policy": "balanced", "time_provenance": "measured", "cold": False, "startup_s": 0.0,
        "flops": 1e9, "input_bytes": 1e6, "batch_size": 8, "parameters": 1_000_000, "steps": 1,
        "energy_provenance": "measured", "reason": "fast_and_efficient",
    }  # fmt: skip
    each = {
        "function_key": [f"job.train@{turn % KEYS:016x}" for turn in turns],
        "batch_id": [f"w:{turn // 100}" for turn in turns],
        "time_utc": [1.7e9 + turn for turn in turns],
        "config": ["ABCD"[turn // KEYS % 4] for turn in turns],
        "device": ["cpu" if turn // KEYS % 8 < 4 else "gpu" for turn in turns],
        "compute_s": [0.1 + turn % 7 / 1000 for turn in turns],
        "cpu_joules": [2.0] * number,
        "gpu_joules": [3.0] * number,
        "task_id": [f"{turn:048x}" for turn in turns],
    }
    return Rows(number, same, each)


@pytest.mark.soak
@pytest.mark.parametrize("merged", [False, True])
def test_ten_thousand_keys_of_a_million_rows_are_restored_in_two_seconds(tmp_path: Path, merged: bool) -> None:
    for number in range(FILES):
        LogWriter(tmp_path).append([some_rows(ROWS // FILES, number * ROWS // FILES)])
    if merged:
        compact(tmp_path)
    entries_in(str(tmp_path))  # the first loads pyarrow's code
    wall, cpu = time.perf_counter(), time.process_time()
    entries = entries_in(str(tmp_path))
    wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
    print(f"{len(entries):,} keys of {ROWS:,} rows in {wall:.2f} s ({cpu:.2f} s of CPU), one file: {merged}")
    assert len(entries) == KEYS
    runs = [sum(t.runs + 1 for h in entry.nodes.values() for t in h.timings.values()) for entry in entries]
    assert sum(runs) == ROWS
    assert wall < LIMIT_S
