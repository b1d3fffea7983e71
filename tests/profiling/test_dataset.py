import math
import os
from functools import partial
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from placement.errors import LogError
from placement.log import LogWriter, TaskRecord, read_log, table_of
from placement.spec.features import FEATURES
from placement.spec.joint_threshold import JointThreshold
from profiling.dataset.frames import published
from profiling.dataset.import_pairs import import_pairs
from profiling.dataset.pairs import Pair, labelled, pairs

DATA = Path(os.environ.get("PLACEMENT_DATA", Path(__file__).parents[2] / "../shared/data"))
HARDWARE = {"cpu_gflops": 100.0, "gpu_gflops": 1e4, "gpu_memory_gb": 12.0, "cpu_tdp_w": 65.0, "gpu_tdp_w": 170.0}
TASK = {"flops": 1e9, "batch_size": 8, "parameters": 1000, "input_bytes": 4096.0}


def run(device, seconds=1.0, **columns):
    known = {
        **HARDWARE,
        **TASK,
        "run_id": "r",
        "source": "sweep",
        "function": "f",
        "config": "A",
        "cpus": 4.0,
        "compute_s": seconds,
        "time_provenance": "measured",
    }
    return TaskRecord(**{**known, "device": device, **columns})


def only_pair(*rows):
    (pair,) = pairs(table_of(rows))
    return pair


def test_a_pair_has_both_runs_and_the_features():
    pair = only_pair(run("cpu", 3.0), run("gpu", 1.0, gpus=1.0))
    assert (pair.cpu.seconds, pair.gpu.seconds, pair.speedup) == (3.0, 1.0, 3.0)
    assert pair.features == (*HARDWARE.values(), *(float(value) for value in TASK.values()))
    assert len(pair.features) == len(FEATURES)
    assert pair.label(JointThreshold()).reason == "fast_enough_energy_unknown"


@pytest.mark.parametrize(
    "other",
    [
        {"config": "B"},
        {"cpus": 8.0},
        {"flops": 2e9},
        {"preset": "p"},
        {"function": "g"},
        {"source": "production", "startup_s": 0.0},
    ],
)
def test_what_differs_is_no_pair(other):
    with pytest.raises(LogError, match="1 are finished CPU runs and 1 finished GPU runs"):
        pairs(table_of([run("cpu"), run("gpu", **other)]))


def test_unknown_columns_still_pair():
    pair = only_pair(run("cpu", flops=None, cpus=None), run("gpu", flops=None, cpus=None))
    assert pair.features is None
    assert only_pair(run("cpu", flops=0.0), run("gpu", flops=0.0)).features is None


def test_warm_seconds_are_transfer_and_compute_without_startup():
    pair = only_pair(run("cpu", 3.0, startup_s=9.0), run("gpu", 1.0, transfer_s=0.5, startup_s=9.0))
    assert (pair.cpu.seconds, pair.gpu.seconds) == (3.0, 1.5)


def test_a_processs_first_gpu_run_is_in_no_label():
    """Its startup_s is None: CUDA was initialised somewhere in its seconds."""
    served = partial(run, source="production")
    rows = [served("cpu", 3.0), served("gpu", 60.0, startup_s=None), served("gpu", 1.0, startup_s=0.0)]
    assert only_pair(*rows).gpu.seconds == 1.0


def test_means_are_over_runs():
    pair = only_pair(run("cpu", 1.0, repeats=3), run("cpu", 5.0), run("gpu", 1.0))
    assert pair.cpu.seconds == pytest.approx(2.0)
    assert (pair.cpu_runs, pair.gpu_runs) == (4, 1)


def test_energy_is_eq_2():
    pair = only_pair(run("cpu", 2.0, cpu_joules=80.0), run("gpu", 1.0, cpu_joules=40.0, gpu_joules=100.0))
    assert (pair.cpu.joules, pair.gpu.joules, pair.energy_ratio) == (80.0, 140.0, 1.75)
    assert pair.label(JointThreshold()).reason == "too_much_energy"
    assert pair.label(JointThreshold(energy_ratio=2.0)).device == "gpu"


def test_table_2s_watts_make_its_ratios():
    pair = only_pair(run("cpu", 253.113, cpu_watts=38.718), run("gpu", 25.717, cpu_watts=44.897, gpu_watts=22.866))
    assert pair.speedup == pytest.approx(9.84, abs=0.01)
    assert pair.energy_ratio == pytest.approx(0.178, abs=0.001)


@pytest.mark.parametrize("known", [{"cpu_joules": 40.0}, {"gpu_joules": 100.0}, {}])
def test_a_missing_energy_is_unknown_never_zero(known):
    pair = only_pair(run("cpu", 2.0, cpu_joules=80.0), run("gpu", 1.0, **known))
    assert pair.gpu.joules is None
    assert pair.energy_ratio is None
    assert pair.energy_provenance is None


def test_energy_is_the_mean_of_the_runs_that_have_one():
    pair = only_pair(run("cpu", cpu_joules=10.0, repeats=2), run("cpu", cpu_joules=None, repeats=9), run("gpu"))
    assert pair.cpu.joules == pytest.approx(10.0)


def test_a_censored_run_is_its_budget_and_loses():
    pair = only_pair(run("cpu", 60.0, censored=True, cpu_joules=1.0), run("gpu", 50.0, cpu_joules=1.0, gpu_joules=9.0))
    assert pair.speedup is None
    assert pair.energy_ratio is None
    assert pair.label(JointThreshold()).reason == "cpu_did_not_finish"
    assert only_pair(run("cpu"), run("gpu", censored=True)).label(JointThreshold()).device == "cpu"
    both = only_pair(run("cpu", censored=True), run("gpu", censored=True))
    assert both.label(JointThreshold()) is None
    assert labelled([both]).empty


def test_a_finished_run_is_preferred_to_a_censored_one():
    assert only_pair(run("cpu", 10.0, censored=True), run("cpu", 30.0), run("gpu")).cpu.seconds == 30.0


def test_provenances_are_not_mixed_and_the_worse_device_is_told():
    pair = only_pair(
        run("cpu", 9.0, time_provenance="emulated"), run("cpu", 3.0), run("gpu", 1.0, time_provenance="emulated")
    )
    assert pair.cpu.seconds == 3.0
    assert pair.time_provenance == "emulated"
    pair = only_pair(
        run("cpu", cpu_joules=5.0, energy_provenance="estimated", energy_error=0.5),
        run("cpu", cpu_joules=8.0, energy_provenance="measured", energy_error=0.01),
        run("gpu", cpu_joules=5.0, gpu_joules=1.0, energy_provenance="estimated", energy_error=0.5),
    )
    assert pair.cpu.joules == 8.0
    assert (pair.energy_provenance, pair.energy_error) == ("estimated", 0.5)


def test_failures_and_fallbacks_are_no_runs():
    rows = [run("cpu", 2.0), run("gpu", 1.0)]
    noise = [run("cpu", 99.0, fallback="cuda_out_of_memory"), run("gpu", 99.0, error="boom"), run("gpu", 0.0)]
    assert only_pair(*rows, *noise) == only_pair(*rows)


def test_shares_of_a_gpu_are_pairs_of_their_own():
    found = pairs(table_of([run("cpu", 4.0), run("gpu", 1.0, gpus=1.0), run("gpu", 2.0, gpus=0.5)]))
    assert sorted((pair.gpus, pair.speedup) for pair in found) == [(0.5, 2.0), (1.0, 4.0)]


def test_labelled_is_a_flat_frame_at_the_thresholds_asked_for():
    found = pairs(
        table_of([run("cpu", 3.0), run("gpu", 1.0), run("cpu", 1.2, preset="small"), run("gpu", 1.0, preset="small")])
    )
    frame = labelled(found, both_classes=True)
    assert dict(zip(frame["preset"].fillna("-"), frame["label"], strict=True)) == {"-": "gpu", "small": "cpu"}
    assert set(FEATURES) < set(frame.columns)
    assert frame["gpu_joules"].isna().all()
    assert set(labelled(found, JointThreshold(speedup=1.1))["label"]) == {"gpu"}
    with pytest.raises(LogError, match=r"of 2 pairs, 0 are labelled cpu and 2 gpu at speedup >= 1\.1"):
        labelled(found, JointThreshold(speedup=1.1), both_classes=True)


def test_an_empty_log_has_no_pairs():
    with pytest.raises(LogError, match="of 0 rows"):
        pairs(table_of([]))


@given(
    st.lists(
        st.tuples(st.sampled_from(["cpu", "gpu"]), st.floats(1e-6, 1e6), st.integers(1, 50)), min_size=1, max_size=8
    )
)
def test_a_pairs_seconds_lie_between_its_runs(runs):
    by_device = {device: [(s, n) for name, s, n in runs if name == device] for device in ("cpu", "gpu")}
    table = table_of([run(device, seconds, repeats=repeats) for device, seconds, repeats in runs])
    if not all(by_device.values()):
        with pytest.raises(LogError):
            pairs(table)
        return
    (pair,) = pairs(table)
    for side, values in ((pair.cpu, by_device["cpu"]), (pair.gpu, by_device["gpu"])):
        total = sum(repeats for _, repeats in values)
        assert side.seconds == pytest.approx(math.fsum(s * n for s, n in values) / total)


# Import of foreign pairs.

FOREIGN = {
    "task": ["t", "t"],
    "cpu": ["c", "c"],
    "gpu": ["g", "g"],
    "cpu_seconds": [4.0, 1.0],
    "gpu_seconds": [1.0, 1.0],
}


def foreign(path, **columns):
    pq.write_table(pa.table({**FOREIGN, **columns}), path)
    return path


def test_imported_pairs_are_rows_like_any_other(tmp_path):
    path = foreign(
        tmp_path / "pairs.parquet", energy_ratio=[1.7, math.nan], input_elements=[10.0, 10.0], cpu_peak_gflops=[7, 7]
    )
    rows = import_pairs(path)
    assert [(row.device, row.source, row.workload) for row in rows] == [
        ("cpu", "import", "t"),
        ("gpu", "import", "t"),
    ] * 2
    assert {row.gflops_basis for row in rows} == {"peak"}
    LogWriter(tmp_path / "log").append(rows)
    LogWriter(tmp_path / "log").append(import_pairs(path))
    first, second = pairs(read_log(tmp_path / "log"))  # imported twice, counted once
    assert isinstance(first, Pair)
    assert (first.speedup, first.energy_ratio, first.energy_provenance) == (4.0, 1.7, "measured")
    assert first.label(JointThreshold()).reason == "too_much_energy"
    assert (second.speedup, second.energy_ratio, second.energy_provenance) == (1.0, None, None)
    assert (first.input_bytes, first.cpu_gflops, first.batch_size) == (40.0, 7.0, None)


def test_a_csv_is_imported_too(tmp_path):
    path = tmp_path / "pairs.csv"
    path.write_text("task,cpu,gpu,cpu_seconds,gpu_seconds\nt,c,g,2,1\n")
    assert [row.compute_s for row in import_pairs(path)] == [2.0, 1.0]


@pytest.mark.parametrize(
    ("delimiter", "number", "encoding"),
    [(";", "2,5", "utf-8"), (";", "2.5", "utf-8"), ("\t", "2,5", "utf-8"), (",", "2.5", "utf-8-sig"),
     ("\t", "2.5", "utf-16")],
)  # fmt: skip
def test_text_as_spreadsheets_write_it(tmp_path, delimiter, number, encoding):
    path = tmp_path / "PAIRS.CSV"
    lines = (
        ("task", "cpu", "gpu", "cpu_seconds", "gpu_seconds", "flops"),
        ("007", "c", "3090", number, "1", 2**60 + 1),
    )
    path.write_text("".join(delimiter.join(map(str, line)) + "\n" for line in lines), encoding)
    cpu, gpu = import_pairs(path)
    assert (cpu.workload, gpu.gpu_name, cpu.compute_s, gpu.compute_s, cpu.flops) == ("007", "3090", 2.5, 1.0, 2.0**60)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ('task,cpu,gpu,cpu_seconds,gpu_seconds\nt,c,g,"2,5",1\n', "invalid value '2,5'.*decimal comma is read where"),
        ("task;cpu;gpu;cpu_seconds;gpu_seconds\nt;c;g;1.234,5;1\n", r"invalid value '1\.234,5'"),
        ("task,cpu,gpu,cpu_seconds,gpu_seconds,cpu_seconds\nt,c,g,2,1,3\n", r"\['cpu_seconds'\] more than once"),
        ("task,cpu,gpu,cpu_seconds,gpu_seconds\n", "no pair with both times"),
        ("", "Empty CSV file"),
    ],
)
def test_text_that_cannot_be_read_right_is_refused(tmp_path, text, says):
    (tmp_path / "p.csv").write_text(text)
    with pytest.raises(LogError, match=says) as caught:
        import_pairs(tmp_path / "p.csv")
    assert "\n" not in str(caught.value)


def test_tables_of_pairs_in_other_types(tmp_path):
    columns = {"flops": [2**60 + 1, 3], "task": pa.array(["t", "t"]).dictionary_encode(), "batch_size": [8.0, None]}
    rows = import_pairs(foreign(tmp_path / "P.PARQUET", **columns))
    assert [(row.workload, row.flops, row.batch_size) for row in rows[::2]] == [("t", 2.0**60, 8), ("t", 3.0, None)]
    pq.write_table(pa.table(FOREIGN).append_column("task", pa.array(["a", "b"])), tmp_path / "twice.parquet")
    with pytest.raises(LogError, match=r"\['task'\] more than once"):
        import_pairs(tmp_path / "twice.parquet")


def test_a_hive_partitioned_folder_is_imported_once(tmp_path):
    pq.write_to_dataset(pa.table({**FOREIGN, "gpu": ["g", "h"]}), tmp_path / "pairs", partition_cols=["gpu"])
    rows = import_pairs(tmp_path / "pairs")
    assert sorted(row.gpu_name for row in rows) == ["g", "g", "h", "h"]
    assert {row.batch_id for row in import_pairs(tmp_path / "pairs")} == {rows[0].batch_id}


def test_pairs_without_a_time_are_left_out_aloud(tmp_path, caplog):
    path = foreign(tmp_path / "pairs.parquet", cpu_seconds=[math.nan, 1.0])
    assert len(import_pairs(path)) == 2
    assert "1 of 2 pairs left out" in caplog.text
    with pytest.raises(LogError, match="no pair with both times"):
        import_pairs(foreign(tmp_path / "none.parquet", cpu_seconds=[0.0, -1.0]))


def test_what_is_no_table_of_pairs_is_refused(tmp_path):
    pq.write_table(pa.table({"task": ["t"]}), tmp_path / "other.parquet")
    with pytest.raises(LogError, match=r"lacks the columns \['cpu', 'gpu', 'cpu_seconds', 'gpu_seconds'\]"):
        import_pairs(tmp_path / "other.parquet")
    (tmp_path / "broken.parquet").write_bytes(b"no")
    with pytest.raises(LogError, match="no table of pairs"):
        import_pairs(tmp_path / "broken.parquet")
    with pytest.raises(LogError, match="column 'cpu_seconds' is not double"):
        import_pairs(foreign(tmp_path / "text.parquet", cpu_seconds=["fast", "slow"]))
    with pytest.raises(FileNotFoundError):
        import_pairs(tmp_path / "absent.parquet")


def test_joules_of_foreign_pairs_are_those_of_whole_runs(tmp_path):
    path = foreign(tmp_path / "pairs.parquet", cpu_joules=[50.0, 0.0], gpu_joules=[80.0, 20.0])
    first, second = pairs(table_of(import_pairs(path)))
    assert (first.cpu.joules, first.gpu.joules, first.energy_ratio) == (50.0, 80.0, 1.6)
    assert first.energy_provenance == "measured"
    assert first.label(JointThreshold()).reason == "too_much_energy"
    assert (second.cpu.joules, second.energy_ratio) == (None, None)  # a run without energy was not measured
    joules = {"cpu_joules": [50.0, 1.0], "gpu_joules": [80.0, 2.0]}
    both = foreign(tmp_path / "both.parquet", energy_ratio=[9.0, 9.0], **joules)
    assert [pair.energy_ratio for pair in pairs(table_of(import_pairs(both)))] == [1.6, 2.0]
    imported = labelled(pairs(table_of(import_pairs(path))))
    frame = published(path)
    for name in ("cpu_joules", "gpu_joules", "energy_ratio"):
        assert frame[name].iloc[0] == imported[name].iloc[0]


def test_the_published_pairs_are_all_taken():
    path = DATA / "pairs.parquet"
    if not path.exists():
        pytest.skip(f"no measurements by others at {DATA} (set PLACEMENT_DATA)")
    table = pq.read_table(path).to_pandas()
    frame = labelled(pairs(table_of(import_pairs(path))))
    assert len(frame) == len(table)
    share = frame[frame["source_name"] == "help"]["label"].eq("cpu").mean()
    assert share == pytest.approx(0.806, abs=0.001)  # the majority class that data/README.md states
    told = frame["energy_ratio"].notna()
    assert told.sum() == table["energy_ratio"].notna().sum()
