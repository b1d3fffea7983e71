"""Learning from a log whose tasks ran on one device each."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from placement.errors import LogError
from placement.log import LogWriter, TaskRecord, records_of, table_of
from placement.prediction.selector_file import selector_of
from placement.spec.joint_threshold import JointThreshold
from profiling.dataset.frames import of_labelled
from profiling.dataset.pairs import NO_RUN, labelled, pairs
from profiling.dataset.runs import LARGEST_WEIGHT
from profiling.evaluation.unpaired_curve import FIGURES, accuracy_curve, one_sided, replayed
from profiling.learning.counterfactuals import completed
from profiling.learning.fit_residuals import IMPUTED_VARIANCE, WEIGHT
from profiling.learning.random_effects import group_effects
from profiling.learning.refit import training_frame
from profiling.learning.speedup import FittedModels, fit_speedup_selector
from profiling.sweep.preset_grid import emulated_table, work_of_presets

RULE = JointThreshold()


@pytest.fixture(scope="module")
def table() -> pa.Table:
    """The rows of a part of the emulated grid."""
    return emulated_table([work for work in work_of_presets() if work.has_gpu][::10])


@pytest.fixture(scope="module")
def grid(table: pa.Table) -> pd.DataFrame:
    return of_labelled(labelled(pairs(table), both_classes=True))


def production(table: pa.Table) -> list[TaskRecord]:
    """Rows without a single pair: each task ran on the device where it was faster."""
    rows = [replace(row, source="production", policy="selector", propensity=1.0) for row in records_of(table)]
    by_work: dict[tuple[object, ...], list[TaskRecord]] = {}
    for row in rows:
        by_work.setdefault((row.preset, row.config, row.cpus), []).append(row)
    return [min(some, key=lambda row: (row.compute_s or 0.0) + (row.transfer_s or 0.0)) for some in by_work.values()]


def test_work_that_ran_on_one_device_is_one_sided(table: pa.Table) -> None:
    log = table_of(production(table))
    with pytest.raises(LogError, match="no pairs"):
        pairs(log)
    found = pairs(log, one_sided=True)
    assert len(found) == log.num_rows
    assert all((pair.cpu is NO_RUN) != (pair.gpu is NO_RUN) for pair in found)
    assert all(pair.speedup is None and pair.label(RULE) is None for pair in found)


@pytest.mark.parametrize(
    ("propensity", "weight"),
    [(None, 1.0), (1.0, 1.0), (0.5, 2.0), (1e-9, LARGEST_WEIGHT), (0.0, 1.0), (-1.0, 1.0), (2.0, 1.0), (np.nan, 1.0)],
)
def test_a_run_weighs_the_inverse_of_its_propensity(propensity: float | None, weight: float) -> None:
    row = TaskRecord(run_id="r", source="production", function="f", device="cpu", config="A", cpus=1.0, compute_s=1.0,
                     propensity=propensity)  # fmt: skip
    (pair,) = pairs(table_of([row]), one_sided=True)
    assert pair.cpu_weight == pytest.approx(weight)


def test_only_missing_runs_are_imputed_and_they_have_a_variance(grid: pd.DataFrame) -> None:
    log = replayed(grid, (grid["label"] == "gpu").to_numpy(float), np.arange(len(grid)), 800, 0.1, _chance())
    hidden = one_sided(grid, log)
    found = completed(hidden)
    for device in ("cpu", "gpu"):
        made = hidden[f"{device}_seconds"].notna()
        assert not made.all()
        assert found.loc[made, f"{device}_seconds"].equals(hidden.loc[made, f"{device}_seconds"])
        assert (found[f"{device}_seconds"] > 0).all()
    both = hidden[["cpu_seconds", "gpu_seconds"]].notna().all(axis=1)
    assert ((found[IMPUTED_VARIANCE] > 0) == ~both).all()
    assert (found.loc[both, WEIGHT] == 1.0).all()
    truth = grid.iloc[np.unique(log["pair"])]
    off = np.log(found["cpu_seconds"] / found["gpu_seconds"]).to_numpy() - np.log(truth["speedup"].to_numpy(float))
    assert np.median(np.abs(off)) < np.log(2.0)
    assert 0.5 < np.mean(off[~both] ** 2 / found.loc[~both, IMPUTED_VARIANCE]) < 2.0, "it is off by what it says"


def _chance() -> np.random.Generator:
    return np.random.default_rng(0)


def test_a_log_without_a_single_pair_gives_a_selector(table: pa.Table, grid: pd.DataFrame, tmp_path: Path) -> None:
    LogWriter(tmp_path / "log").append(production(table))
    frame = training_frame(tmp_path / "log", RULE)
    selector = fit_speedup_selector(frame, RULE)
    assert selector.training["one_sided"] == selector.training["rows"] == len(grid)
    again = selector_of(selector.to_dict())
    assert again.version == selector.version
    assert again.trees is not None
    gpu = (grid["label"] == "gpu").to_numpy()
    right = (FittedModels(None, again.trees, 1.0).p_gpu(grid, RULE) >= 0.5) == gpu
    assert right.mean() > max(gpu.mean(), 1 - gpu.mean()) + 0.05


def test_pairs_and_work_on_one_device_are_learned_from_together(table: pa.Table, tmp_path: Path) -> None:
    LogWriter(tmp_path / "log").append([*records_of(table)[:400], *production(table)[400:]])
    frame = training_frame(tmp_path / "log", RULE)
    made = frame[["cpu_seconds", "gpu_seconds"]].notna().all(axis=1)
    assert 0 < made.sum() < len(frame)


def test_a_log_of_one_device_says_how_the_other_one_is_timed(table: pa.Table, tmp_path: Path) -> None:
    rows = [replace(row, source="production") for row in records_of(table) if row.device == "cpu"]
    LogWriter(tmp_path / "log").append(rows)
    with pytest.raises(LogError, match=r"no pairs.* 0 on a GPU.*exploration=0.01"):
        training_frame(tmp_path / "log", RULE)


def test_a_sweeps_work_without_a_gpu_implementation_is_left_out(table: pa.Table, tmp_path: Path) -> None:
    rows = records_of(table)
    alone = replace(rows[0], preset="no-gpu", function="pre")
    LogWriter(tmp_path / "log").append([*rows, alone])
    assert set(training_frame(tmp_path / "log", RULE)["function"]) == set(labelled(pairs(table))["function"])


def test_a_replay_tries_as_often_as_its_rows_say_and_within_its_budget(grid: pd.DataFrame) -> None:
    p_gpu = np.where(grid["label"] == "gpu", 0.8, 0.3)
    log = replayed(grid, p_gpu, np.arange(len(grid)), 4_000, 0.05, _chance())
    open_to_trials = log[log["propensity"] < 1.0]
    expected = np.where(p_gpu[open_to_trials["pair"]] >= 0.5, 0.2, 0.3)
    assert open_to_trials["trial"].mean() == pytest.approx(expected.mean(), abs=0.08)
    assert np.allclose(open_to_trials["propensity"], np.where(open_to_trials["trial"], expected, 1 - expected))
    taken = np.where(log["gpu"], grid["gpu_seconds"].iloc[log["pair"]], grid["cpu_seconds"].iloc[log["pair"]])
    assert 0 < taken[log["trial"]].sum() <= 0.05 * taken.sum()


def test_the_curve_has_every_figure(grid: pd.DataFrame) -> None:
    (short,) = accuracy_curve([200], frame=grid)
    assert {"rows", *FIGURES} <= set(short)
    assert short["rows"] == 200
    assert short["unpaired"] > short["history"]


@pytest.mark.soak
def test_without_pairs_it_is_learned_as_well_as_with_them() -> None:
    *_, last = accuracy_curve([20_000])
    assert last["unpaired"] > last["pairs"] - 0.02


def test_effects_of_a_group_tell_of_the_device_that_it_was_not_timed_on() -> None:
    chance = _chance()
    true = chance.multivariate_normal([0.0, 0.0], [[0.5, 0.4], [0.4, 0.5]], 400)
    codes = np.repeat(np.arange(400), 4)
    seen = true[codes] + chance.normal(0.0, 0.2, (1600, 2))
    seen[codes < 200, 1] = np.nan
    found = group_effects(codes, seen)
    assert np.corrcoef(found.mean[:200, 1], true[:200, 1])[0, 1] > 0.7
    assert np.allclose(found.mean[200:], true[200:], atol=0.5)
    assert found.variance[:200, 1].mean() > 5 * found.variance[200:, 1].mean()
    error = found.mean[:200, 1] - true[:200, 1]
    assert 0.6 < np.mean(error**2 / found.variance[:200, 1]) < 1.5
