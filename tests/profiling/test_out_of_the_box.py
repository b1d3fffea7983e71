"""The shipped selector on published pairs: figures by source, and fits without a source."""

import json

import numpy as np
import pandas as pd
import pytest
from typer.testing import CliRunner

from placement.prediction.selector_file import shipped_selector
from profiling.cli.app import main
from profiling.dataset.frames import published
from profiling.dataset.pair_specs import BARE, node_of, sustained, task_of
from profiling.dataset.published_pairs import left_out, with_location
from profiling.evaluation.out_of_the_box import POOLED, out_of_the_box
from profiling.evaluation.source_figures import answers_of, figures
from profiling.learning.fit_residuals import fit_residuals, predict, weights_of
from profiling.learning.pair_targets import log_speedups

FIGURES = {"accuracy", "balanced_accuracy", "roc_auc", "brier", "calibration_error", "speedup_factor", "speedup_bias",
           "cpu_seconds_factor", "gpu_seconds_factor", "within_spread", "extrapolating", "regret_seconds",
           "regret_joules"}  # fmt: skip


@pytest.fixture(scope="module")
def table(tmp_path_factory):
    """Two sources of made-up pairs: speed-ups rise with the size."""
    chance = np.random.default_rng(0)
    flops = 10 ** chance.uniform(6, 11, 120)
    cpu = 1e-4 + flops / 2e10
    rows = pd.DataFrame({
        "task": [f"t{i}" for i in range(120)], "cpu": "Xeon", "gpu": "T4", "source": ["one", "mlxops"] * 60,
        "family": "f", "framework": "torch", "flops": flops, "batch_size": 1, "parameters": 1e6, "kernels": 60,
        "input_elements": 1e4, "cpu_peak_gflops": 1000.0, "gpu_peak_gflops": 8000.0, "gpu_memory_gb": 16.0,
        "cpu_tdp_w": 100.0, "gpu_tdp_w": 70.0, "cpu_seconds": cpu, "gpu_seconds": 2e-3 + flops / 1e12,
    })  # fmt: skip
    path = tmp_path_factory.mktemp("pairs") / "pairs.csv"
    rows.to_csv(path, index=False)
    return path


@pytest.fixture(scope="module")
def frame(table):
    return sustained(with_location(published(table)))


def test_the_command_writes_the_figures_of_each_source(table, tmp_path):
    path = tmp_path / "figures.json"
    done = CliRunner().invoke(
        main, ["evaluate", "--out-of-the-box", "--pairs", str(table), "--shipped-only", "--json", str(path)]
    )
    assert done.exit_code == 0, done.output
    found = json.loads(path.read_text())["shipped"]
    assert set(found) == {"one", "mlxops", POOLED}
    assert all(set(each) >= FIGURES for each in found.values())
    assert found[POOLED]["accuracy"] == pytest.approx((found["one"]["accuracy"] + found["mlxops"]["accuracy"]) / 2)
    assert found[POOLED]["rows"] == 120


def test_specs_and_nodes_are_those_of_the_table(frame):
    row = frame.to_dict("records")[1]
    task, node = task_of(row), node_of(row)
    assert (task.kernels, task.input_bytes, task.framework) == (60, 4e4, "torch")
    assert task.inputs_on_device  # of mlxops
    assert (node.cpu_gflops, node.gpu_gflops) == (500.0, 4800.0)
    assert all(getattr(task_of(row, BARE), name) is None for name in BARE)


def test_each_source_is_answered_by_a_fit_without_it(frame):
    asked = []

    def refit(source):
        asked.append(source)
        return shipped_selector()

    found = out_of_the_box(frame, shipped_selector(), refit, frame)
    assert asked == ["one", "mlxops"]
    assert found.left_out == found.shipped
    assert set(found.baselines) == {"majority", "flops_rule", "logistic", "boosted_trees"}


def test_networks_of_the_same_work_are_left_out_together():
    frame = pd.DataFrame({"source_name": ["help", "nnmeter", "gbm"]})
    assert left_out(frame, "help").tolist() == [True, True, False]
    assert left_out(frame, "gbm").tolist() == [False, False, True]


def test_a_fit_halves_the_error_of_the_roofline_and_knows_its_own(frame):
    fitted = fit_residuals(frame)
    told, errors = predict(fitted, frame), log_speedups(frame)
    assert np.median(np.abs(told.speedup - errors)) < 0.3
    assert (np.abs(told.speedup - errors) <= told.std).mean() > 0.5
    assert told.support.min() > 0.99


def worked(sources, flops):
    """A frame of one framework whose pieces of work differ by their FLOPs alone."""
    same = {"batch_size": 1.0, "parameters": 1e6, "input_bytes": 1e4, "kernels": 10.0, "framework": "torch"}
    return pd.DataFrame({"source_name": sources, "flops": flops, **same})


def test_every_source_and_every_piece_of_work_in_it_counts_alike_in_a_fit():
    frame = worked(["few"] * 2 + ["many"] * 6 + [None] * 2, [1.0, 2.0, *[1.0] * 5, 2.0, 1.0, 2.0])
    weights = weights_of(frame)
    assert weights[:2].sum() == pytest.approx(weights[2:8].sum()) == pytest.approx(weights[8:].sum())
    assert weights[2:7].sum() == pytest.approx(weights[7])
    assert weights.sum() == pytest.approx(6)
    assert weights_of(frame.assign(weight=2.0)) == pytest.approx(2 * weights)
    assert weights_of(worked([None] * 3, [1.0, 1.0, 2.0])).tolist() == [0.5, 0.5, 1.0]
    assert weights_of(worked([None], [1.0]).drop(columns="source_name")).tolist() == [1.0]


def test_an_answer_that_is_right_has_a_factor_of_one(frame):
    answers = answers_of(shipped_selector(), frame)
    cpu, gpu = frame["cpu_seconds"].to_numpy(), frame["gpu_seconds"].to_numpy()
    right = answers.__class__(
        (frame["label"] == "gpu").to_numpy(float),
        np.log(cpu / gpu),
        np.full(len(cpu), 0.1),
        cpu,
        gpu,
        answers.extrapolating,
    )
    found = figures(frame, right)
    assert found["accuracy"] == found["speedup_factor"] == found["within_spread"] == 1.0
    assert found["regret_seconds"] == 0.0
    assert found["brier"] == 0.0
