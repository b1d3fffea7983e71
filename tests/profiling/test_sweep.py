"""Cells, the rows computed for configs that are not here, and a sweep that is killed and started again."""

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
from placement.log import read_log
from placement.spec.node import NodeSpec, paper_configs
from placement.spec.task_record import TaskRecord
from profiling.emulation.emulator import emulate
from profiling.sweep.cell_jobs import jobs_of
from profiling.sweep.measure_cell import Protocol, measure
from profiling.sweep.measurement_nodes import Site
from profiling.sweep.sweep import emulate_sweep
from profiling.sweep.sweep_rows import (
    Anchor,
    Measured,
    SweepCell,
    Work,
    anchor_of,
    cells_of,
    cpus_of,
    emulated_row,
    measured_row,
)

TABLES = [one for one in workloads.all_presets() if one.workload == "xgboost_iris"]  # their specs need no trace
HERE = NodeSpec("local", cpus=2, cpu_name="somewhere", cpu_gflops=60.0, ram_gb=16.0, cpu_tdp_w=65.0)


@pytest.fixture(scope="module")
def work() -> Work:
    return Work.of(TABLES[0])


def test_every_number_of_cpus_is_run_on_each_device() -> None:
    node = paper_configs()["A"]
    assert cpus_of(node) == (1.0, 4.0, 12.0)
    assert len(cells_of("x", True, node)) == 6
    assert {cell.device for cell in cells_of("x", False, node)} == {"cpu"}
    assert {cell.device for cell in cells_of("x", True, HERE)} == {"cpu"}


def test_an_emulated_cpu_row_is_the_emulators_times_how_the_machine_itself_differed(work: Work) -> None:
    node = paper_configs()["B"]
    predicted = emulate(work.spec, HERE, "cpu", cpus=2).seconds
    assert predicted is not None
    anchor = anchor_of(work, Measured(3 * predicted, 5, 0.0, synthetic=True), HERE, 2)
    assert anchor is not None
    assert anchor.residual == pytest.approx(3)
    rows = {device: emulated_row(SweepCell("x", "B", device, 4), work, node, anchor, "r") for device in ("cpu", "gpu")}
    for device, factor in (("cpu", 3.0), ("gpu", 1.0)):
        told, row = emulate(work.spec, node, device, cpus=4), rows[device]
        assert isinstance(row, TaskRecord)
        assert row.compute_s == pytest.approx(told.compute_s * factor)
        assert row.cpu_joules == pytest.approx(told.cpu_joules * factor)
        assert (row.time_provenance, row.energy_provenance, row.emulated) == ("emulated", "emulated", True)
    assert rows["cpu"].cpu_gflops == pytest.approx(node.cpu_gflops * 4 / 16)


def test_work_that_does_not_fit_a_gpu_has_no_row_there(work: Work) -> None:
    tight = NodeSpec("t", cpus=4, gpus=1, cpu_gflops=100.0, gpu_gflops=1e4, gpu_memory_gb=0.01, ram_gb=16.0)
    assert emulated_row(SweepCell("x", "t", "gpu", 1), work, tight, Anchor(), "r") is None
    assert emulated_row(SweepCell("x", "t", "cpu", 1), work, tight, Anchor(), "r") is not None


def test_a_run_over_its_budget_is_the_budget_and_anchors_nothing(work: Work) -> None:
    cut = Measured(60.0, 1, 0.0, censored=True)
    row = measured_row(SweepCell("x", "local", "cpu", 2), work, HERE, cut, "r")
    assert (row.compute_s, row.censored, row.time_provenance) == (60.0, True, "measured")
    assert anchor_of(work, cut, HERE, 2) is None


def test_a_run_that_failed_has_no_time(work: Work) -> None:
    failed = Measured(0.0, 0, 0.0, error="ValueError: no")
    row = measured_row(SweepCell("x", "local", "cpu", 2), work, HERE, failed, "r")
    assert (row.compute_s, row.time_provenance, row.error) == (None, None, "ValueError: no")


def test_what_is_done_is_not_run_again_and_what_is_missing_brings_its_anchor_back() -> None:
    nodes = tuple(paper_configs().values())
    site = Site("n", HERE, 1.0, (2.0,), nodes)
    jobs, found = jobs_of([site], TABLES[:2], set())
    assert (len(jobs), found) == (2, 0)
    assert len(jobs[0].computed) == 4 * 3 * 2
    done = {job.cell.key for job in jobs} | {cell.key for job in jobs for cell, _ in job.computed}
    assert jobs_of([site], TABLES[:2], done) == ([], len(done))
    lost = next(iter(jobs[0].computed))[0]
    again, _ = jobs_of([site], TABLES[:2], done - {lost.key})
    assert [job.cell for job in again] == [jobs[0].cell]
    assert [cell for cell, _ in again[0].computed] == [lost]


def test_a_finished_grid_is_left_as_it_is(tmp_path: Path) -> None:
    first = emulate_sweep(tmp_path / "log", TABLES[:3])
    second = emulate_sweep(tmp_path / "log", TABLES[:3])
    assert first.rows == first.done == 3 * 4 * 3 * 2
    assert (second.rows, second.done, second.found) == (0, 0, first.done)


SLOW_SWEEP = Path(__file__).parent / "programs" / "slow_sweep.py"


def test_a_killed_sweep_goes_on_where_it_stopped_and_runs_no_cell_twice(tmp_path: Path) -> None:
    log = tmp_path / "log"
    child = subprocess.Popen([sys.executable, str(SLOW_SWEEP), str(log)])
    deadline = time.monotonic() + 300
    while len(list(log.glob("*.parquet"))) < 3 and time.monotonic() < deadline:
        time.sleep(0.01)
    os.kill(child.pid, signal.SIGKILL)
    child.wait()
    before = read_log(log).num_rows
    after = emulate_sweep(log, TABLES)
    cells = Counter(
        zip(*(read_log(log)[name].to_pylist() for name in ("preset", "config", "device", "cpus")), strict=True)
    )
    assert 0 < before < len(TABLES) * 24, "the kill came too early or too late to say anything"
    assert after.found == before
    assert set(cells.values()) == {1}
    assert len(cells) == len(TABLES) * 24


def test_real_code_is_measured_warm_and_repeated(tmp_path: Path) -> None:
    preset = workloads.preset("xgboost_infer_r150_t20_d3")
    found = measure(preset, str(tmp_path), "cpu", 1, Protocol(window_s=0.02, least=3, budget_s=30))
    assert found.error is None
    assert found.repeats >= 3
    assert found.seconds > 0
    assert found.synthetic is False


def test_a_run_over_its_budget_is_stopped(tmp_path: Path) -> None:
    small, large = (workloads.preset(f"xgboost_train_{size}") for size in ("r150_t20_d3", "r100000_t100_d6"))
    measure(small, str(tmp_path), "cpu", 1, Protocol())  # imports are no part of a run
    found = measure(large, str(tmp_path), "cpu", 1, Protocol(budget_s=0.01))
    assert (found.seconds, found.censored) == (0.01, True)


def test_a_preset_that_raises_is_an_error_and_no_time(tmp_path: Path) -> None:
    class Broken:
        framework = None

        def prepare(self, data_root: str) -> None:
            raise ValueError(f"no data in {data_root}")

    found = measure(Broken(), str(tmp_path), "cpu", 1, Protocol())  # type: ignore[arg-type]
    assert found.error == f"ValueError: no data in {tmp_path}"
    assert found.seconds == 0.0
