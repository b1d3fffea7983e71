"""Held-out evaluation: its folds leak nothing, its learners give known answers, its figures are what they say."""

import json

import numpy as np
import pandas as pd
import pytest
from rich.console import Console
from typer.testing import CliRunner

from placement.errors import LogError, OptionError
from placement.prediction.selector_file import selector_of
from placement.spec.joint_threshold import JointThreshold
from profiling.cli.evaluate_holdout import _app
from profiling.dataset.frames import published
from profiling.evaluation.holdout import COLUMNS, WITH_PROBES, folds, holdout
from profiling.evaluation.holdout_scores import Answers, balanced_accuracy, calibration_error, score
from profiling.learning.descent import TrainingOptions
from profiling.learning.history_replay import after_runs
from profiling.learning.learner import Fold
from profiling.learning.mlp import MlpLearner
from profiling.learning.registry import learners
from profiling.learning.speedup import fit_speedup_selector
from profiling.report.holdout_tables import show

CPUS = {"old": 4e9, "slow": 6e9, "quick": 3e10}  # FLOP/s
GPUS = {"small": 3e11, "middle": 6e11, "large": 1.2e12}


def table(works=60, noise=0.03):
    """Pairs with known times, in the columns of a published table: each device times each work once."""
    chance = np.random.default_rng(1)
    flops = np.exp(chance.uniform(np.log(1e6), np.log(1e9), works))
    jitter = {name: np.exp(noise * chance.standard_normal(works)) for name in (*CPUS, *GPUS)}
    rows = [
        {"source": "made" if number % 3 else "up", "family": f"f{number % 4}", "task": f"w{number}", "cpu": cpu,
         "gpu": gpu, "cpu_peak_gflops": 100.0, "gpu_peak_gflops": 1e4, "gpu_memory_gb": 8.0, "cpu_tdp_w": 65,
         "gpu_tdp_w": 200, "flops": flops[number], "batch_size": 1.0, "parameters": flops[number] / 100,
         "input_elements": 1000.0, "cpu_seconds": (1e-4 + flops[number] / CPUS[cpu]) * jitter[cpu][number],
         "gpu_seconds": (3e-3 + flops[number] / GPUS[gpu]) * jitter[gpu][number], "kernels": 10.0,
         "framework": "torch"}
        for number in range(works) for cpu in CPUS for gpu in GPUS
    ]  # fmt: skip
    return pd.DataFrame(rows)


@pytest.fixture(scope="module")
def file(tmp_path_factory):
    path = tmp_path_factory.mktemp("pairs") / "pairs.parquet"
    table().to_parquet(path)
    return path


@pytest.fixture(scope="module")
def frame(file):
    return published(file)


@pytest.fixture(scope="module")
def few(tmp_path_factory):
    """Enough pairs for what a learner may look at; how well it learns, `frame` tells."""
    path = tmp_path_factory.mktemp("few") / "pairs.parquet"
    table(works=24).to_parquet(path)
    return published(path)


LEARNERS = {**learners(), "paper": MlpLearner(TrainingOptions(epochs=30, patience=30))}
"""The net is fitted for a moment only: what it may look at does not hang on how well it learns."""


@pytest.mark.parametrize("by", COLUMNS)
def test_folds_leak_nothing(frame, by):
    tested = np.concatenate([fold.test for fold in folds(frame, by)])
    assert len(np.unique(tested)) == len(tested), "each pair is tested once at most"
    for fold in folds(frame, by):
        train, test = frame.iloc[fold.train], frame.iloc[fold.test]
        assert not set(fold.train) & set(fold.test)
        if by == "random":
            continue
        assert not set(train["workload"]) & set(test["workload"]), "a test work's time is in nobody's training"
        held = train[train[COLUMNS[by]] == fold.name]
        if by in WITH_PROBES:
            assert set(test[COLUMNS[by]]) == {fold.name}
            assert 0 < held["workload"].nunique() <= 8
        elif by == "family":
            assert held.empty


def test_the_seed_fixes_the_folds_and_names_play_no_part(frame):
    renamed = frame.assign(workload=frame["workload"].map(lambda name: f"z{name[::-1]}"))
    for one, same, other in zip(folds(frame, "gpu", 3), folds(renamed, "gpu", 3), folds(frame, "gpu", 4), strict=True):
        assert (one.train == same.train).all()
        assert (one.test == same.test).all()
        assert one.train.tolist() != other.train.tolist()


@pytest.mark.parametrize("name", LEARNERS)
def test_no_learner_looks_at_who_the_work_is(few, name):
    fold = [next(folds(few, "cpu"))]
    shuffled = few.assign(
        **{c: np.random.default_rng(0).permutation(few[c]) for c in ("workload", "family", "source_name")}
    )
    rule = JointThreshold()
    one, other = (LEARNERS[name].held_out(each, fold, rule)[0] for each in (few, shuffled))
    assert one == pytest.approx(other, abs=1e-9)


@pytest.mark.parametrize("name", LEARNERS)
def test_no_learner_looks_at_the_answer(few, name):
    fold = next(folds(few, "workload"))
    spoiled = few.copy()
    spoiled.loc[fold.test, ["cpu_seconds", "gpu_seconds"]] = 1e9
    spoiled.loc[fold.test, "label"] = "cpu"
    one, other = (LEARNERS[name].held_out(each, [fold], JointThreshold())[0] for each in (few, spoiled))
    assert one == pytest.approx(other, abs=1e-9)


def test_known_answers(frame):
    result = holdout(frame, "gpu", seeds=(0,), only=("majority", "boosted_trees", "ratio"))
    accuracy = {name: one.accuracy for name, one in result.learners.items()}
    assert result.learners["ratio"].roc_auc > 0.99
    assert accuracy["ratio"] > 0.95, "3 % of noise blurs few labels"
    assert accuracy["ratio"] > accuracy["majority"]
    assert result.default == "ratio"
    assert set(result.learners["ratio"].by_device) == set(GPUS)
    assert 0.9 < result.learners["ratio"].oracle_fraction < 1.1


def test_the_flops_rule_finds_the_threshold(frame):
    clean = frame.assign(label=np.where(frame["flops"] > 5e7, "gpu", "cpu"))
    half = np.arange(len(frame)) % 2 == 0
    answers = learners()["flops_rule"].held_out(
        clean, [Fold("x", np.flatnonzero(half), np.flatnonzero(half))], JointThreshold()
    )[0]
    assert ((answers >= 0.5) == (clean["label"] == "gpu")[half]).all()


def test_one_class_and_unknown_features_are_survived(few):
    poor = few.assign(kernels=np.nan, framework=None, cpu_gflops=np.nan)
    for name, learner in LEARNERS.items():
        fold = next(folds(poor, "workload"))
        assert np.isfinite(learner.held_out(poor, [fold], JointThreshold())[0]).all(), name
        all_cpu = poor.assign(label="cpu")
        if name != "ratio":  # it learns times, not labels
            assert (learner.held_out(all_cpu, [fold], JointThreshold())[0] < 0.5).all(), name


def test_scores_are_what_they_say():
    frame = pd.DataFrame({
        "label": ["gpu", "gpu", "cpu", "cpu"], "cpu_seconds": [10.0, 8.0, 1.0, 2.0],
        "gpu_seconds": [1.0, 2.0, 2.0, 1.5], "cpu_joules": [5.0, np.nan, 1.0, 1.0], "gpu_joules": [2.0, 1.0, 3.0, 1.0],
    })  # fmt: skip
    answers = Answers(np.arange(4), np.array([0.9, 0.2, 0.1, 0.6]), np.array(["a", "a", "b", "b"], object))
    found = score(frame, [answers])
    assert found.accuracy == 0.5
    assert found.balanced_accuracy == 0.5
    assert found.roc_auc == 0.75
    assert found.brier == pytest.approx((0.01 + 0.64 + 0.01 + 0.36) / 4)
    assert found.regret_seconds == pytest.approx(((8 - 2) + (1.5 - 2)) / 4)
    assert found.regret_joules == pytest.approx(0.0), "of the three pairs whose joules are known"
    assert found.oracle_fraction == pytest.approx((1 + 2 + 1 + 2) / (1 + 8 + 1 + 1.5))
    assert found.by_device["a"].accuracy == 0.5
    assert found.by_device["b"].rows == 2


def test_calibration_and_balance():
    gpu = np.array([True, False] * 50)
    assert calibration_error(gpu, np.full(100, 0.5)) == 0
    assert calibration_error(gpu, np.full(100, 0.9)) == pytest.approx(0.4)
    assert balanced_accuracy(np.array([True, True, True, False]), np.ones(4, bool)) == 0.5
    assert balanced_accuracy(np.ones(3, bool), np.ones(3, bool)) == 1.0


def test_misuse_is_told(frame):
    with pytest.raises(OptionError, match="valid are gpu, cpu, config, workload"):
        holdout(frame, "colour")
    with pytest.raises(OptionError, match="it has made, up"):
        holdout(frame, "gpu", ["nobody"])
    with pytest.raises(LogError, match="cannot hold out a gpu"):
        holdout(frame[frame["gpu_name"] == "large"], "gpu")


def test_the_command_prints_and_writes_it(file, tmp_path):
    out = tmp_path / "found.json"
    run = CliRunner().invoke(
        _app(), [str(file), "--holdout", "cpu", "--source", "made", "--seeds", "1", "--json", str(out)]
    )
    assert run.exit_code == 0, run.output
    found = json.loads(out.read_text())
    assert {"holdout", "rows", "default", "learners"} <= set(found)
    assert list(found["learners"]) == ["majority", "flops_rule", "logistic", "boosted_trees", "paper", "ratio"]
    for one in found["learners"].values():
        assert {"accuracy", "balanced_accuracy", "roc_auc", "brier", "calibration_error", "regret_seconds",
                "oracle_fraction", "by_device"} <= set(one)  # fmt: skip
        assert set(one["by_device"]) == set(CPUS)
        assert set(one["by_device"]["old"]) == {"accuracy", "balanced_accuracy", "rows"}
    wrong = CliRunner().invoke(_app(), [str(file), "--holdout", "colour"])
    assert wrong.exit_code == 2


def test_the_table_names_the_worst(frame):
    console = Console(record=True, width=160)
    show(holdout(frame, "gpu", seeds=(0,), only=("majority", "logistic", "ratio")), console)
    text = console.export_text()
    assert "Unseen gpu, 8 probe tasks on it" in text
    assert "its worst:" in text


def test_history_stands_apart_and_nearly_ends_the_errors(frame):
    result = holdout(frame, "random", seeds=(0,), only=("majority",))
    assert list(result.learners) == ["majority"]
    told = result.to_json()["history"]
    assert told["prior"] == "majority"
    assert told["accuracy"] > result.learners["majority"].accuracy
    speedup = (frame["cpu_seconds"] / frame["gpu_seconds"]).to_numpy()
    far = np.abs(np.log(speedup / 2.0)) > np.log(1.1)
    answers = after_runs(frame[far], np.full(int(far.sum()), 0.5), JointThreshold(), 0)
    assert ((answers >= 0.5) == (speedup[far] >= 2.0)).mean() >= 0.99


def test_a_refitted_ratio_selector_can_be_read_back(frame):
    made = fit_speedup_selector(frame, JointThreshold(1.5))
    read = selector_of(json.loads(json.dumps(made.to_dict())))
    assert (read.version, read.thresholds) == (made.version, JointThreshold(1.5))
    assert made.metrics["training_accuracy"] > 0.9
    assert fit_speedup_selector(frame, JointThreshold(1.5)).version == made.version
