"""What the figures show, before it is drawn: pure functions over small tables."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from placement.log import read_log
from placement.prediction.selector_file import parse_selector
from profiling.dataset.pairs import labelled
from profiling.dataset.pairs import pairs as pairs_of
from profiling.report import figure_data


@pytest.fixture
def pairs(made_up_log):
    return labelled(pairs_of(read_log(made_up_log)))


def test_gpu_share_counts_the_labels_of_each_config_weakest_gpu_first(pairs):
    share = figure_data.gpu_share(pairs)
    assert list(share["config"]) == ["A", "B", "C", "D"]
    assert list(share["pairs"]) == [20] * 4
    a = pairs[pairs["config"] == "A"]
    assert share["rule"][0] == sum(label == "gpu" for label in a["label"]) / 20
    assert share["selector"].isna().all()


@pytest.mark.parametrize(
    ("shares", "words"),
    [([0.1, 0.1, 0.4], "rises too"), ([0.4, 0.2], "falls instead"), ([0.2, 0.5, 0.3], "does not rise"),
     ([0.3, 0.3], "does not rise"), ([0.3], "one config")],
)  # fmt: skip
def test_the_trend_of_figure_one_is_told_as_it_is(shares, words):
    assert words in figure_data.trend(pd.DataFrame({"rule": shares}))


def test_gpu_share_of_a_selector_leaves_out_pairs_it_says_nothing_of(pairs):
    p = np.where(pairs["config"] == "A", np.nan, 1.0)
    p[pairs["config"].to_numpy() == "B"] = [0.4] * 5 + [0.5] * 5 + [np.nan] * 10
    share = figure_data.gpu_share(pairs, p).set_index("config")["selector"]
    assert math.isnan(share["A"])
    assert share["B"] == 0.5
    assert share["D"] == 1.0


def test_probabilities_are_the_selectors_and_unknown_features_have_none(pairs, selector_file):
    pairs.loc[0, "flops"] = np.nan
    p = figure_data.probabilities(parse_selector(selector_file.read_text()), pairs)
    assert math.isnan(p[0])
    assert ((p[1:] > 0.5) == (pairs["flops"][1:] > 1e10)).all()


def test_a_perfect_and_a_reversed_prediction_have_the_extreme_areas():
    truth = [True, False] * 10
    perfect = figure_data.curves(truth, [0.9 if t else 0.1 for t in truth])
    assert (perfect.auc, perfect.average_precision, perfect.base_rate) == (1.0, 1.0, 0.5)
    assert figure_data.curves(truth, [0.1 if t else 0.9 for t in truth]).auc == 0.0


def test_curves_need_both_classes_and_leave_out_what_was_not_predicted():
    assert figure_data.curves([True] * 5, [0.5] * 5) is None
    assert figure_data.curves([True, True, False], [0.5, 0.6, math.nan]) is None
    assert figure_data.curves([True, True, False, False], [0.5, math.nan, 0.1, 0.2]).count == 3


def test_calibration_bins_hold_mean_prediction_and_share_of_gpu():
    predicted, observed, counts = figure_data.calibration(np.array([1, 0, 1, 1]), np.array([0.11, 0.19, 1.0, 0.95]))
    assert predicted == pytest.approx([0.15, 0.975])
    assert observed == pytest.approx([0.5, 1.0])
    assert list(counts) == [2, 2]


@given(st.lists(st.tuples(st.booleans(), st.floats(0, 1)), min_size=1, max_size=60))
def test_calibration_loses_no_prediction(drawn):
    truth, p = (np.array(column, dtype=float) for column in zip(*drawn, strict=True))
    predicted, observed, counts = figure_data.calibration(truth, p)
    assert counts.sum() == len(drawn)
    assert (predicted * counts).sum() == pytest.approx(p.sum())
    assert (observed * counts).sum() == pytest.approx(truth.sum())


def test_threshold_points_leave_out_runs_that_did_not_finish(pairs):
    points = figure_data.threshold_points(pairs)
    assert len(pairs) - len(points) == 4  # timesformer at batch 64 was cut off on the CPU of each config
    assert points["energy_ratio"].isna().sum() == 4  # trees at batch 64 have no energy, and stay


def test_placed_counts_tasks_by_the_device_they_ran_on(made_up_log):
    where = figure_data.placed(read_log(made_up_log)).set_index("workload")
    assert list(where.index) == ["resnet18", "tokenise", "xgboost"]
    assert tuple(where.loc["resnet18", ["cpu", "gpu", "fallbacks", "errors"]]) == (2, 12, 1, 1)
    assert where.loc["resnet18", "configs"] == "A 2, D 12"
    assert where.loc["tokenise", "reason"] == figure_data.ORDINARY
    assert where.loc["xgboost", "reason"] == "gpu_not_worth_it"
    assert list(where["kind"]) == ["infer", "", "infer"]


def test_placed_of_a_log_without_production_rows_is_empty(made_up_log):
    table = read_log(made_up_log, filters=[("source", "==", "sweep")])
    assert figure_data.placed(table).empty


def test_provenance_counts_best_first_and_names_the_unknown():
    found = figure_data.provenance(["emulated", None, "measured"], ["emulated", float("nan")])
    assert list(found.items()) == [("measured", 1), ("emulated", 2), ("unknown", 2)]


def test_the_papers_table_five_is_copied_right():
    throughput = {name: values["throughput"] for name, values in figure_data.PAPER_POLICIES.items()}
    assert throughput == {"cpu_only": 1.0, "gpu_only": 1.6, "random": 1.25, "flops_rule": 1.35, "selector": 1.45}
    reduction = [values["gpu_reduction"] for values in figure_data.PAPER_POLICIES.values()]
    assert reduction == [1.0, 0.0, 0.5, 0.45, 0.65]
