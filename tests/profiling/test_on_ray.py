"""The sweep and the refit on the session's emulated cluster: real Ray tasks, real Ray Train."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

import pytest

import workloads
from placement.errors import NotServedError
from placement.log import read_log
from placement.prediction.selector_file import parse_selector
from placement.spec.joint_threshold import JointThreshold
from profiling.dataset.pairs import labelled, pairs
from profiling.learning.descent import TrainingOptions
from profiling.learning.refit import refit, wait_for_cpu
from profiling.sweep.measure_cell import Protocol
from profiling.sweep.sweep import sweep

QUICK = Protocol(window_s=0.01, least=1, budget_s=60)
NAMES = ("xgboost_infer_r150_t20_d3", "xgboost_train_r150_t20_d3", "parse_table_b100")
CELLS_OF_A_TABLE = 1 + 4 * 3 * 2  # the machine itself, and A-D by CPUs and device
CELLS_OF_PARSING = 1 + 4 * 3  # on the CPU only
SWEEP_DRIVER = Path(__file__).parent / "programs" / "sweep_driver.py"


def cells(log: Path) -> Counter:
    columns = (read_log(log)[name].to_pylist() for name in ("preset", "config", "device", "cpus"))
    return Counter(zip(*columns, strict=True))


def test_a_sweep_measures_this_machine_once_and_computes_a_to_d(emulated: str, tmp_path: Path) -> None:
    presets = [workloads.preset(name) for name in NAMES]
    first = sweep(tmp_path / "log", presets[:1], tmp_path / "data", protocol=QUICK)
    assert (first.done, first.failed, first.rows) == (1, 0, CELLS_OF_A_TABLE)
    second = sweep(tmp_path / "log", presets, tmp_path / "data", protocol=QUICK)
    assert second.found == CELLS_OF_A_TABLE
    assert second.rows == CELLS_OF_A_TABLE + CELLS_OF_PARSING
    assert set(cells(tmp_path / "log").values()) == {1}
    rows = read_log(tmp_path / "log").to_pylist()
    for row in rows:
        assert row["time_provenance"] == ("measured" if row["config"] == "local" else "emulated")
        assert row["emulated"] is (row["config"] != "local")
        assert row["device"] == "cpu" or row["workload"] != "parse_table"
    frame = labelled(pairs(read_log(tmp_path / "log")))
    assert sorted(set(frame["config"])) == ["A", "B", "C", "D"]
    assert len(frame) == 2 * 4 * 3


def test_a_sweep_out_of_time_leaves_the_rest_to_the_next(emulated: str, tmp_path: Path) -> None:
    presets = [workloads.preset(name) for name in NAMES]
    none = sweep(tmp_path / "log", presets, tmp_path / "data", protocol=QUICK, budget_s=1e-9)
    assert (none.done, none.left, none.rows) == (0, 3, 0)


def test_a_sweep_killed_while_it_measures_goes_on(emulated: str, tmp_path: Path) -> None:
    log, data = tmp_path / "log", tmp_path / "data"
    child = subprocess.Popen([sys.executable, str(SWEEP_DRIVER), emulated, str(log), str(data), "2.0", *NAMES])
    deadline = time.monotonic() + 300
    while not list(log.glob("*.parquet")) and time.monotonic() < deadline and child.poll() is None:
        time.sleep(0.05)
    os.kill(child.pid, signal.SIGKILL)
    child.wait()
    before = cells(log)
    after = sweep(log, [workloads.preset(name) for name in NAMES], data, protocol=QUICK)
    assert sum(before.values()) == CELLS_OF_A_TABLE, "the kill came too late to say anything"
    assert after.found == CELLS_OF_A_TABLE
    assert set(cells(log).values()) == {1}
    assert len(cells(log)) == 2 * CELLS_OF_A_TABLE + CELLS_OF_PARSING


def test_refit_through_ray_train_writes_a_selector_file(emulated: str, made_up_log: Path, tmp_path: Path) -> None:
    path = tmp_path / "selector.json"
    done = refit(made_up_log, path, rule=JointThreshold(2.5), options=TrainingOptions(epochs=200), timeout_s=600)
    selector = parse_selector(path.read_bytes())
    assert selector.version == done.selector.version
    assert selector.thresholds.speedup == 2.5
    assert selector.training["trained_by"] == "ray.train.torch.TorchTrainer"
    assert selector.training["rows"] == done.rows == 80
    assert selector.metrics["training_accuracy"] > 0.9


def test_a_full_cluster_refuses_a_refit_in_time(emulated: str) -> None:
    import ray

    # More than there are CPUs, so that none stays free; a lambda, for workers cannot import the tests.
    held = [ray.remote(num_cpus=1)(lambda: time.sleep(300)).remote() for _ in range(8)]
    try:
        deadline, full_since = time.monotonic() + 300, None
        while time.monotonic() < deadline and (full_since is None or time.monotonic() < full_since + 2):
            full = ray.available_resources().get("CPU", 0.0) < 1
            full_since = (full_since or time.monotonic()) if full else None
            time.sleep(0.1)
        with pytest.raises(NotServedError, match=r"none was free within 0\.3 s"):
            wait_for_cpu(0.3)
    finally:
        for ref in held:
            ray.cancel(ref, force=True)
