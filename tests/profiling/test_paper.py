"""`placement paper`: each part on a small log of made-up times; the committed grid and mix are what they say."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from made_up import write_flops_selector
from typer.testing import CliRunner

import workloads
from placement.errors import LogError
from placement.prediction.selector_file import parse_selector
from placement.spec.features import FEATURES
from placement.spec.joint_threshold import JointThreshold
from profiling.cli.app import main
from profiling.cli.measure_here import folder_name
from profiling.emulation.preset_specs import spec_of
from profiling.learning.mlp_training import Examples
from profiling.paper import (
    PARTS,
    PaperOptions,
    fig1,
    held_out_nets,
    influence,
    mix,
    sensitivity,
    source,
    table2,
    table5,
)
from profiling.sweep.preset_grid import work_entry, work_of_presets
from profiling.sweep.sweep_rows import PresetDescription

FEW = PaperOptions(seeds=2, epochs=20)


@pytest.fixture
def found(made_up_log: Path) -> source.Source:
    return source.read(made_up_log)


TRACED = (
    "mobilenetv3_train_b4_s32_w0.25",
    "resnet18_infer_b1_s32_w0.25",
    "xgboost_train_r150_t20_d3",
    "jpeg_resize_b1_s64",
)


@pytest.mark.parametrize("name", TRACED)
def test_a_committed_preset_is_what_a_fresh_trace_gives(name: str) -> None:
    fresh = PresetDescription.of(workloads.preset(name))
    assert next(work for work in work_of_presets() if work.preset == name) == fresh
    assert spec_of(json.loads(json.dumps(work_entry(fresh)))) == fresh.spec


def test_every_preset_is_committed() -> None:
    assert [work.preset for work in work_of_presets()] == [preset.name for preset in workloads.presets("full")]


def test_the_committed_mix_is_what_its_rule_gives() -> None:
    assert mix.counts() == mix.made()
    assert set(table2.RUNS.values()) <= {preset.name for preset in workloads.presets("paper")}


def test_the_published_table_2_has_the_paper_s_labels() -> None:
    rows = {row.run: row for row in table2.published(JointThreshold())}
    assert [name for name, row in rows.items() if row.label == "cpu"] == ["mobilenet_imagenet100"]
    assert rows["bert_imdb"].speedup == pytest.approx(42.56, abs=0.01)
    assert rows["bert_imdb"].energy_ratio == pytest.approx(0.075, abs=0.001)
    assert rows["timesformer_k400"].cpu_seconds is None


def test_measured_rows_stand_beside_the_emulated_ones(found: source.Source) -> None:
    measured = found.pairs.iloc[:1].assign(
        preset=table2.RUNS["bert_imdb"], time_provenance="measured", config="here", cpus=4.0
    )
    part = table2.run(source.Source("log", measured, found.rule), FEW)
    assert [row["where"] for row in part.data["rows"] if row["provenance"] == "measured"].count("here") == 1


def test_the_rule_s_own_choices_are_the_labels(found: source.Source) -> None:
    frame = found.pairs
    assert (sensitivity.choices(frame, JointThreshold()) == (frame["label"] == "gpu")).all()
    shares = [row["gpu_share"] for row in sensitivity.run(found, FEW).data["speedup"]]
    assert shares == sorted(shares, reverse=True), "a higher T_t gives the GPU less"


def test_shares_by_config(found: source.Source) -> None:
    shares = fig1.shares(found.pairs)
    assert list(shares) == ["A", "B", "C", "D"], "the weakest GPU first"
    for config, one in shares.items():
        labels = found.pairs.loc[found.pairs["config"] == config, "label"]
        assert one["share"]["all"] == pytest.approx((labels == "gpu").mean())
        assert one["share"]["all"] <= one["fast"]["all"]


def test_table_5_has_the_oracle_and_intervals(found: source.Source) -> None:
    part = table5.run(found, PaperOptions(seeds=2, epochs=20, beside=("majority",)))
    (rows,) = part.data["mixes"].values()
    policies = rows["policies"]
    assert policies["cpu_only"]["throughput"] == {"mean": 1.0, "ci95": 0.0}
    assert policies["gpu_only"]["gpu_reduction"]["mean"] == 0.0
    assert policies["oracle"]["selection_accuracy"]["mean"] == 1.0
    assert {"selector, random split", "selector, unseen config", "majority, random split"} <= set(rows["of_oracle"])
    of_oracle = rows["of_oracle"]["selector, random split"]
    shares = policies["selector, random split"]["throughput"]["mean"] / policies["oracle"]["throughput"]["mean"]
    assert of_oracle["throughput"]["mean"] == pytest.approx(shares)
    assert of_oracle["throughput"]["met"] == (shares >= 0.95)


def test_a_mix_weighs_its_presets(found: source.Source) -> None:
    weights = source.weights_of(found.pairs, {"bert_imdb-b1": 7})
    assert set(weights) == {0.0, 7.0}
    assert (weights > 0).sum() == 4  # A-D
    with pytest.raises(LogError, match="none of the mix"):
        source.weights_of(found.pairs, {"nothing": 1})


def test_an_interval_is_student_s() -> None:
    mean, half = held_out_nets.interval([1.0, 2.0, 3.0])
    assert mean == 2.0
    assert half == pytest.approx(4.303 / np.sqrt(3), rel=1e-3)


def test_only_a_feature_that_is_looked_at_has_influence(tmp_path: Path) -> None:
    net = parse_selector(write_flops_selector(tmp_path).read_text())
    chance = np.random.default_rng(0)
    inputs = chance.uniform(0, 30, (200, len(FEATURES)))
    p_gpu = net.probabilities(inputs)  # type: ignore[attr-defined]
    every = np.ones(200, bool)
    lost = influence.drops(held_out_nets.HeldOut("random", 0, ((every, net),), p_gpu), Examples(inputs, p_gpu >= 0.5))
    assert lost.pop("flops") > 0.1
    assert set(lost.values()) == {0.0}


@pytest.mark.parametrize("part", PARTS)
def test_each_part_is_one_command(part: str, made_up_log: Path, tmp_path: Path) -> None:
    told = tmp_path / "told.json"
    command = ["paper", part, str(made_up_log), "--seeds", "2", "--epochs", "5", "--json", str(told)]
    done = CliRunner().invoke(main, command, env={"COLUMNS": "80"})
    assert done.exit_code == 0, done.output
    tables = [line for line in done.output.splitlines() if line.startswith(" ")]
    assert max(map(len, tables)) <= 80
    assert "…" not in done.output, "nothing is cut off"
    assert json.loads(told.read_text())["part"] == part


def test_a_figure_is_drawn_and_a_table_is_not(made_up_log: Path, tmp_path: Path) -> None:
    command = ["paper", "fig5", str(made_up_log), "--seeds", "2", "--epochs", "5", "--plot", str(tmp_path / "roc.svg")]
    assert CliRunner().invoke(main, command).exit_code == 0
    assert "<svg" in (tmp_path / "roc.svg").read_text()
    refused = CliRunner().invoke(main, ["paper", "sensitivity", str(made_up_log), "--plot", str(tmp_path / "no.svg")])
    assert refused.exit_code == 2


def test_measuring_needs_a_gpu_and_says_so(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    from profiling.cli import measure_here

    monkeypatch.setattr(measure_here, "gpu_names", list)
    with pytest.raises(SystemExit) as ended:
        measure_here.measure(None, None, 1.0, Path("data"), None, None)
    assert ended.value.code == 2
    assert "no NVIDIA GPU" in " ".join(capsys.readouterr().err.split())


def test_a_log_is_named_after_its_gpu() -> None:
    assert folder_name("NVIDIA GeForce RTX 4090") == "geforce-rtx-4090"
    assert folder_name("") == "gpu"
