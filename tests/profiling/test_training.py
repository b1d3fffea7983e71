"""The fit itself, the refit's refusals and its file; no Ray."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from placement.errors import LogError, OptionError
from placement.log import LogWriter, read_log, records_of
from placement.prediction.selector_file import parse_selector, selector_of, shipped_selector
from placement.scheduling.policies.selector_policy import SelectorPolicy
from placement.spec.joint_threshold import JointThreshold
from placement.spec.node import paper_configs
from placement.spec.task import TaskSpec
from profiling.dataset.published_pairs import FILES
from profiling.evaluation.evaluate import evaluate
from profiling.evaluation.policy_scores import policy_scores
from profiling.learning.descent import TrainingOptions
from profiling.learning.fit_shipped import GRID, emulated_grid
from profiling.learning.mlp_training import Examples, fit, fit_many
from profiling.learning.refit import described, training_frame, write_selector
from profiling.learning.registry import SELECTORS
from profiling.learning.speedup import FittedModels

QUICK = TrainingOptions(epochs=150, patience=50)


def made_up(rows: int = 240, seed: int = 0) -> Examples:
    """The GPU is right where the sixth feature is above the first: linear, so any net can learn it."""
    inputs = np.random.default_rng(seed).normal(10, 3, (rows, 9))
    return Examples(inputs, inputs[:, 5] > inputs[:, 0])


@pytest.fixture(scope="module")
def fitted() -> list:
    data = made_up()
    half = np.arange(len(data.gpu)) % 2 == 0
    return fit_many(data, [half, ~half], options=QUICK)


def test_a_net_is_right_on_what_it_has_not_seen(fitted: list) -> None:
    fresh = made_up(seed=1)
    assert len(fitted) == 2
    for found in fitted:
        right = (found.selector.probabilities(fresh.inputs) >= 0.5) == fresh.gpu
        assert right.mean() > 0.9 > max(fresh.gpu.mean(), 1 - fresh.gpu.mean())


def test_nets_fitted_together_learn_from_their_own_part_alone() -> None:
    data = made_up()
    half = np.arange(len(data.gpu)) % 2 == 0
    spoilt = Examples(data.inputs, np.where(half, data.gpu, ~data.gpu))  # the other part says the opposite
    alone, other = fit_many(spoilt, [half, ~half], options=QUICK)
    fresh = made_up(seed=1)
    assert ((alone.selector.probabilities(fresh.inputs) >= 0.5) == fresh.gpu).mean() > 0.9
    assert ((other.selector.probabilities(fresh.inputs) >= 0.5) == fresh.gpu).mean() < 0.1


def test_the_same_seed_gives_the_same_selector() -> None:
    data, part = made_up(60), np.ones(60, bool)
    first, same = (fit_many(data, [part], options=replace(QUICK, epochs=20))[0] for _ in range(2))
    other = fit_many(data, [part], options=replace(QUICK, epochs=20, seed=1))[0]
    assert first.selector.version == same.selector.version != other.selector.version


def test_training_stops_early() -> None:
    data = made_up(60)
    noise = Examples(data.inputs, np.random.default_rng(0).random(60) < 0.5)
    epochs: list[int] = []
    fit_many(noise, [np.ones(60, bool)], options=TrainingOptions(patience=30), on_epoch=lambda e, _: epochs.append(e))
    assert max(epochs, default=0) < 800


def test_a_selector_reads_back_from_its_file(fitted: list, tmp_path: Path) -> None:
    selector = fitted[0].selector
    write_selector(selector, tmp_path / "new" / "selector.json")
    read = parse_selector((tmp_path / "new" / "selector.json").read_bytes())
    assert read.version == selector.version
    inputs = made_up(5).inputs
    assert np.allclose(read.probabilities(inputs), selector.probabilities(inputs))
    assert [entry.name for entry in (tmp_path / "new").iterdir()] == ["selector.json"]


@pytest.mark.parametrize("gpu", [True, False])
def test_one_class_is_refused(gpu: bool) -> None:
    data = made_up(60)
    with pytest.raises(LogError, match="nothing to learn from"):
        fit_many(Examples(data.inputs, np.full(60, gpu)), [np.ones(60, bool)])


def test_options_out_of_range_are_all_named() -> None:
    with pytest.raises(OptionError, match=r"epochs=0, dropout=1.*out of range"):
        TrainingOptions(epochs=0, dropout=1)


def test_thresholds_change_without_measuring_again(made_up_log: Path) -> None:
    gpu = [
        (training_frame(made_up_log, JointThreshold(speedup))["label"] == "gpu").mean() for speedup in (2.0, 10.0, 20.0)
    ]
    assert gpu[0] > gpu[1] > gpu[2] > 0


def test_a_log_with_one_answer_is_refused(made_up_log: Path) -> None:
    with pytest.raises(LogError, match="nothing to learn from"):
        training_frame(made_up_log, JointThreshold(speedup=1e-9, energy_ratio=1e9))


def test_a_log_without_pairs_is_refused(made_up_log: Path, tmp_path: Path) -> None:
    rows = [row for row in records_of(read_log(made_up_log)) if row.device == "cpu"]
    LogWriter(tmp_path / "half").append(rows)
    for learner in SELECTORS:
        with pytest.raises(LogError, match="no pairs"):
            training_frame(tmp_path / "half", JointThreshold(), learner)


def test_a_log_without_features_is_refused(made_up_log: Path, tmp_path: Path) -> None:
    rows = [replace(row, flops=None) for row in records_of(read_log(made_up_log))]
    LogWriter(tmp_path / "blank").append(rows)
    for learner, told in (("paper", "all nine features"), ("ratio", "of none of the 80 pairs the FLOPs")):
        with pytest.raises(LogError, match=told):
            training_frame(tmp_path / "blank", JointThreshold(), learner)


def test_the_file_says_where_its_data_come_from(made_up_log: Path) -> None:
    rule = JointThreshold(2.5, 1.2)
    frame = training_frame(made_up_log, rule)
    data = json.loads(json.dumps(described(fit(frame, rule, QUICK).selector, frame, made_up_log).to_dict()))
    training = data["training"]
    assert training["emulated"] is True
    assert training["time_provenance"] == {"emulated": len(frame)}
    assert sum(training["configs"].values()) == training["rows"] == len(frame)
    assert (training["log"], training["seed"]) == ("log", 0)
    assert str(made_up_log.parent) not in json.dumps(data)
    assert selector_of(data).thresholds == rule


PUBLISHERS = {"mlxops", "gbm", "pyhpc", "gaissa", "help", "starpu", "nnmeter"}


def test_the_shipped_selector_says_what_it_was_fitted_to_and_beats_the_majority() -> None:
    shipped = shipped_selector()
    training = shipped.training
    assert set(training["sources"]) == {GRID, *PUBLISHERS}
    assert sum(source["rows"] for source in training["sources"].values()) == training["rows"]
    assert set(training["files"]) == {*FILES, *training["through_the_emulator"]}
    assert all(re.fullmatch("[0-9a-f]{64}", digest) for digest in training["files"].values())
    grid = emulated_grid().iloc[::20]
    gpu = (grid["label"] == "gpu").to_numpy()
    right = (FittedModels(shipped.model, shipped.trees, shipped.share).p_gpu(grid, shipped.thresholds) > 0.5) == gpu
    assert right.mean() > max(gpu.mean(), 1 - gpu.mean()) + 0.1
    node = paper_configs()["D"]
    small = TaskSpec(flops=1e6, input_bytes=1e4, batch_size=1, parameters=10_000)
    large = TaskSpec(flops=1e13, input_bytes=4e6, batch_size=32, parameters=110_000_000)
    least = SelectorPolicy().p_least
    assert shipped.estimate(small, node, 1).p_gpu < least < shipped.estimate(large, node, 1).p_gpu


def test_table_5_by_the_real_policies(made_up_log: Path) -> None:
    frame = training_frame(made_up_log, JointThreshold())
    oracle = (frame["label"] == "gpu").to_numpy(dtype=float)
    scores = policy_scores(frame, oracle)
    assert list(scores) == ["cpu_only", "gpu_only", "random", "flops_rule", "selector", "oracle"]
    assert (scores["cpu_only"].throughput, scores["cpu_only"].gpu_reduction) == (1.0, 1.0)
    assert (scores["gpu_only"].energy_efficiency, scores["gpu_only"].gpu_reduction) == (1.0, 0.0)
    assert scores["cpu_only"].selection_accuracy is scores["gpu_only"].selection_accuracy is None
    assert scores["selector"] == scores["oracle"], "asked with the oracle's own answer, the selector is the oracle"
    assert scores["random"].selection_accuracy == pytest.approx(0.5, abs=0.1)
    by_hand = frame["cpu_seconds"].sum() / np.where(oracle, frame["gpu_seconds"], frame["cpu_seconds"]).sum()
    assert scores["oracle"].throughput == pytest.approx(by_hand)


def test_accuracies_stand_beside_the_majority_and_regret(made_up_log: Path) -> None:
    found = evaluate(made_up_log, options=QUICK)
    assert set(found.accuracy) == {"random", "config", "workload"}
    assert min(found.accuracy["random"][name] for name in ("paper", "ratio")) > found.accuracy["random"]["majority"]
    for split, score in found.splits.items():
        assert sum(fold["rows"] for fold in score.by_fold.values()) == len(found.frame)
        for name, whole in found.accuracy[split].items():
            pooled = sum(fold[name] * fold["rows"] for fold in score.by_fold.values()) / len(found.frame)
            assert pooled == pytest.approx(whole)
        assert not np.isnan(found.held_out[split]).any()
    assert "76 pairs whose energies are known" in " ".join(found.notes)
    json.dumps(found.to_dict(), allow_nan=False)


def test_no_figure_of_the_selector_comes_from_a_pair_it_was_fitted_on(made_up_log: Path) -> None:
    """Labels drawn by lot can be learned by heart only: held out, they are guessed at chance."""
    frame = training_frame(made_up_log, JointThreshold())
    from profiling.evaluation.evaluate import evaluate_frame

    frame["label"] = np.where(np.random.default_rng(3).random(len(frame)) < 0.5, "gpu", "cpu")
    accuracy = evaluate_frame(
        frame, options=TrainingOptions(epochs=400, patience=400, dropout=0.0), learner="paper"
    ).accuracy
    assert accuracy["random"]["paper"] < 0.7
