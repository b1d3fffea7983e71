"""The benchmark: that it measures what it says and writes every figure; how fast anything is, no test asks."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from profiling.bench import Figure, as_json, table
from profiling.bench.decisions import decide_growth, decide_new_us
from profiling.bench.imports import import_extra_ms

NAMES = {
    "submit_vs_plain", "submit_vs_options", "throughput_vs_plain", "decide_known_us", "decide_args_us", "decide_new_us",
    "import_extra_ms", "records_cost", "actor_records_per_s", "gpu_vs_plain",
    "first_call_on_loop_ms",
}  # fmt: skip


def test_decisions_are_timed_for_few_and_many_kinds() -> None:
    figures = [decide_new_us(4, times=20), *decide_growth(times=10)]
    assert [f.name for f in figures] == [
        "decide_new_us", "decide_new_1000_kinds_us", "decide_new_after_10_us", "decide_new_after_1000000_us",
    ]  # fmt: skip
    assert all(f.value and f.low and f.high and f.low <= f.value <= f.high for f in figures)


def test_the_import_brings_nothing_heavy() -> None:
    assert import_extra_ms(rounds=1).note == "heavy modules brought in: none"


def test_what_cannot_be_measured_is_null_and_said() -> None:
    found = as_json([Figure("gpu_vs_plain", None, target=">= 10", note="no GPU on this machine: not measured")])
    assert found["gpu_vs_plain"] is None
    assert "not measured" in found["figures"]["gpu_vs_plain"]["note"]
    assert table([Figure("gpu_vs_plain", None)]).row_count == 1


@pytest.mark.soak
def test_the_command_writes_every_figure(tmp_path: Path) -> None:
    command = [str(Path(sys.executable).with_name("placement")), "bench", "--rounds", "2", "--calls", "50"]
    done = subprocess.run([*command, "--json", str(tmp_path / "b.json")], capture_output=True, text=True, timeout=600)
    assert done.returncode == 0, done.stderr
    found = json.loads((tmp_path / "b.json").read_text())
    assert set(found) >= NAMES
    assert all(found[name] > 0 for name in NAMES - {"gpu_vs_plain", "records_cost", "first_call_on_loop_ms"})
