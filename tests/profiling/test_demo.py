"""The demo, run once as a user runs it, checked point by point; and what it does to a folder that is not empty."""

from __future__ import annotations

import json

import pytest

from placement.errors import OptionError
from placement.log import readout
from placement.prediction.selector_file import parse_selector
from profiling.demo.demo import Places
from profiling.demo.task_stream import CPU_ONLY, PLACEABLE

WORKLOADS = {"bert_imdb", "xgboost_iris", "resnet18_imagenet100", "mobilenetv3_imagenet100", "timesformer_k400"}
POLICIES = {"cpu_only", "gpu_only", "random", "flops_rule", "selector", "oracle"}


@pytest.mark.soak  # a time on the clock says something on an idle machine alone
def test_it_takes_at_most_five_minutes(demo_run):
    assert demo_run.summary["wall_seconds"] <= 300


def test_two_hundred_tasks_were_placed_and_none_failed(demo_run):
    assert demo_run.summary["failures"] == []
    assert demo_run.summary["tasks_placed"] >= 200
    assert sum(sum(counts.values()) for counts in demo_run.summary["placed"].values()) >= 200


def test_each_workload_and_preprocessing_task_ran_twenty_times(demo_run):
    placed = demo_run.summary["placed"]
    assert set(placed) == set(PLACEABLE) | set(CPU_ONLY)
    assert set(PLACEABLE) >= WORKLOADS
    assert min(counts["cpu"] + counts["gpu"] for counts in placed.values()) >= 20


def test_each_device_got_a_fifth_of_what_could_go_to_either(demo_run):
    placed = demo_run.summary["placed"]
    by_device = {device: sum(placed[name][device] for name in PLACEABLE) for device in ("cpu", "gpu")}
    assert min(by_device.values()) >= 0.2 * sum(by_device.values())


def test_what_has_no_gpu_implementation_never_got_one(demo_run):
    assert CPU_ONLY
    assert all(demo_run.summary["placed"][name]["gpu"] == 0 for name in CPU_ONLY)


def test_the_policies_are_the_papers_five_and_the_oracle(demo_run):
    policies = demo_run.summary["policies"]
    assert set(policies) == POLICIES
    for score in policies.values():
        assert {"throughput", "energy_efficiency", "selection_accuracy", "gpu_reduction"} <= set(score)
    assert policies["cpu_only"]["throughput"] == pytest.approx(1.0)
    assert policies["cpu_only"]["gpu_reduction"] == pytest.approx(1.0)
    assert policies["gpu_only"]["energy_efficiency"] == pytest.approx(1.0)
    assert policies["gpu_only"]["gpu_reduction"] == pytest.approx(0.0)
    assert policies["oracle"]["selection_accuracy"] == pytest.approx(1.0)
    assert policies["selector"]["selection_accuracy"] > policies["random"]["selection_accuracy"]


def test_accuracy_is_told_for_each_split_beside_the_majority(demo_run):
    accuracy = demo_run.summary["accuracy"]
    assert set(accuracy) == {"random", "config", "workload"}
    for score in accuracy.values():
        assert 0.3 < score["majority"] <= 1
        assert 0 <= score["paper"] <= 1
    assert min(accuracy["random"]["paper"], accuracy["random"]["ratio"]) > accuracy["random"]["majority"]


def test_emulated_figures_are_never_called_measured(demo_run):
    configs = set(demo_run.summary["configs"])
    assert configs >= {"A", "B", "C", "D"}
    if configs == {"A", "B", "C", "D"}:  # no GPU here: no pair can have been measured
        assert "measured" not in demo_run.summary["provenance"]["pairs_times"]
    rows = demo_run.table.to_pylist()
    assert {row["time_provenance"] for row in rows if row["emulated"]} <= {"emulated", None}


def test_the_real_code_was_measured_on_this_machine(demo_run):
    measured = [r for r in demo_run.table.to_pylist() if r["time_provenance"] == "measured" and r["device"] == "cpu"]
    assert {row["workload"] for row in measured} >= WORKLOADS
    assert all(row["compute_s"] > 0 for row in measured)


def test_full_width_bert_and_timesformer_were_among_the_tasks(demo_run):
    large = {r["workload"] for r in demo_run.production if r["parameters"] is not None and r["parameters"] > 100e6}
    assert large == {"bert_imdb", "timesformer_k400"}


def test_every_decision_can_be_retraced_from_the_log(demo_run):
    placed = [row for row in demo_run.production if row["workload"] in PLACEABLE]
    assert placed
    for row in placed:
        assert row["policy"] == "selector"
        assert row["selector_version"] == demo_run.summary["selector"]["in_service"]
        assert (row["device"] == "gpu") == (row["probability"] >= 0.5)
        assert row["reason"]


def test_the_refitted_selector_went_into_service(demo_run):
    versions = demo_run.summary["selector"]
    selector = parse_selector((demo_run.out / "selector.json").read_bytes())
    assert versions["in_service"] == selector.version != versions["before"]
    assert selector.training["trained_by"] == "ray.train.torch.TorchTrainer"
    assert selector.training["emulated"] is True


def test_everything_lies_under_its_folder(demo_run):
    assert {path.name for path in demo_run.out.iterdir()} == {
        "log", "data", "selector.json", "report.html", "summary.json",
    }  # fmt: skip
    assert json.loads((demo_run.out / "summary.json").read_text()) == demo_run.summary
    assert readout(demo_run.out / "log").skipped == ()
    page = (demo_run.out / "report.html").read_text("utf-8")
    for title in ("What went where", "The threshold plane", "Policies side by side", "How good the probability is"):
        assert title in page


def test_it_prints_what_went_where_and_why(demo_run):
    for text in ("What went where", "Why ", "Policies (Table 5)", "Accuracy on held-out pairs", "oracle",
                 "tasks placed in", "report.html"):  # fmt: skip
        assert text in demo_run.stdout
    assert "emulated" in demo_run.stdout


def test_a_second_run_replaces_the_first_and_keeps_the_data(tmp_path):
    places = Places(tmp_path / "demo")
    places.clear()
    places.log.mkdir()
    picture = places.data / "imagenet100" / "a.JPEG"
    picture.parent.mkdir()
    for path in (places.log / "x.parquet", places.selector, places.report, places.summary, picture):
        path.write_text("old")
    places.clear()
    assert {path.name for path in places.out.rglob("*") if path.is_file()} == {"a.JPEG"}


def test_foreign_files_are_not_deleted(tmp_path):
    places = Places(tmp_path)
    places.log.mkdir()
    (places.log / "thesis.tex").write_text("mine")
    places.selector.write_text("{}")
    with pytest.raises(OptionError, match=r"thesis\.tex"):
        places.clear()
    assert places.selector.exists()
    (tmp_path / "file").write_text("")
    with pytest.raises(OptionError, match="is a file"):
        Places(tmp_path / "file").clear()
