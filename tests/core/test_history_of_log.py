"""The history restored from the log: the same as that of an actor which had never died."""

from __future__ import annotations

import asyncio
import dataclasses
import math
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from core_builders import TASK
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from placement.control_plane.history_of_rows import COLUMNS, Entry
from placement.control_plane.history_recovery import HistoryRecovery, entries_in
from placement.log import LogWriter, compact, table_of
from placement.log.tail import read_tail
from placement.messages.envelope import ANOTHERS_CUDA, Envelope, TaskRun
from placement.messages.node_context import NodeContext
from placement.prediction.runtime_history import History, Place, RunHistory, size_of
from placement.prediction.timings import DRIFT_SAMPLES
from placement.scheduling.decision import Decision
from placement.spec.node import NodeKind, NodeSpec
from placement.spec.task import TaskSpec
from placement.spec.task_record import TaskRecord
from placement.worker.run_records import recorded

CODE = "a" * 16
FUNCTION = f"job.train@{CODE}"
KEY = (FUNCTION, size_of(TASK))
REAL = NodeSpec("A", 4, 1, cpu_gflops=100.0)
HOSTILE = {
    "a sweep": {"source": "sweep"},
    "an ordinary task": {"policy": None},
    "no config": {"config": None},
    "an empty config": {"config": ""},
    "no device that is": {"device": "tpu"},
    "no CPUs": {"cpus": None},
    "less than none": {"cpus": -1.0},
    "as many as you like": {"cpus": math.inf},
    "nobody says whether it is emulated": {"emulated": None},
    "a negative size": {"flops": -5.0},
    "a negative count": {"batch_size": -1},
    "an infinite size": {"input_bytes": math.inf},
    "no time": {"compute_s": None},
    "a negative time": {"compute_s": -1.0},
    "an infinite time": {"compute_s": math.inf},
    "a negative transfer": {"transfer_s": -9.0},
    "a cold run": {"cold": True},
    "an error": {"error": "ValueError"},
    "a measured time of an emulated node": {"emulated": True},
    "an emulated time of a real node": {"time_provenance": "emulated"},
    "a fallback that was not the GPU's fault": {"fallback": f"{ANOTHERS_CUDA} an earlier task."},
}


def row(**given: Any) -> TaskRecord:
    known: dict[str, Any] = {
        "run_id": "r", "source": "production", "function": "job.train", "function_key": FUNCTION, "device": "cpu",
        "config": "A", "cpus": 1.0, "emulated": False, "policy": "balanced", "cold": False, "startup_s": 0.0,
        "compute_s": 1.0, "time_provenance": "measured", "flops": TASK.flops, "input_bytes": TASK.input_bytes,
        "batch_size": TASK.batch_size, "parameters": TASK.parameters, "steps": TASK.steps,
    }  # fmt: skip
    return TaskRecord(**known | given)


def restored(log: Path, *kinds: tuple[str, bool]) -> History:
    """The history of an actor that begins with this log on a cluster of such kinds (config, emulated) of node."""
    history = History()

    async def run() -> None:
        recovery = HistoryRecovery(history)
        await recovery.read(str(log))
        recovery.release(kind(*one) for one in kinds or [("A", False)])

    asyncio.run(run())
    return history


def kind(config: str, emulated: bool) -> NodeKind:
    spec = dataclasses.replace(REAL, config=config, emulated=emulated)
    return NodeKind(spec, ("n",))


RUNS = st.fixed_dictionaries({
    "name": st.sampled_from(["one", "other"]), "flops": st.sampled_from([None, 1e6, 1e12]),
    "config": st.sampled_from("AB"), "device": st.sampled_from(["cpu", "gpu"]), "cold": st.booleans(),
    "seconds": st.sampled_from([0.1, 0.11, 0.12, 3.0, 3.1]), "fails": st.sampled_from([None, "out of memory"]),
    "memory": st.sampled_from([None, 1e9, 2e9]),
})  # fmt: skip


@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(RUNS, max_size=60))
def test_it_is_what_the_actor_had(tmp_path_factory: pytest.TempPathFactory, runs: list[dict[str, Any]]) -> None:
    log, kept, rows = tmp_path_factory.mktemp("log"), History(), []
    for i, run in enumerate(runs):
        records = recorded(
            [task_run(run)], NodeContext("n", dataclasses.replace(REAL, config=run["config"])), {}, f"w:{i}"
        )
        rows += records.rows
        for observation in records.observations:
            kept.observe_all(*observation)
        for unfit in records.unfit:
            kept.mark_unfit(*unfit)
    LogWriter(log).append(rows or [row(source="sweep")])
    assert same(restored(log, ("A", False), ("B", False)).everything(), kept.everything())


def task_run(run: dict[str, Any]) -> TaskRun:
    spec = dataclasses.replace(TASK, flops=run["flops"])
    decision = Decision(run["device"], run["config"], (run["config"],), 1.0, 0.0, "r", "balanced", "s", 1)
    packed = Envelope(spec, decision, True, f"{run['name']}@{CODE}").pack()
    return TaskRun(
        run["name"], packed, 1.7e9, run["seconds"], 0.1, 0.0, run["device"], run["cold"], run["fails"], None, None,
        memory_bytes=run["memory"] if run["device"] == "gpu" else None,
    )  # fmt: skip


def same(found: dict[Any, RunHistory], right: dict[Any, RunHistory]) -> bool:
    assert found.keys() == right.keys()
    for key, entry in right.items():
        assert found[key].unfit == entry.unfit
        assert found[key].timings.keys() == entry.timings.keys()
        for place, timings in entry.timings.items():
            for ours, theirs in zip(found[key].timings[place], timings, strict=True):
                assert ours == (theirs if theirs is None else pytest.approx(theirs, rel=1e-9, abs=1e-12))
    return True


def test_a_run_three_times_off_begins_anew(tmp_path: Path) -> None:
    seconds = [1.0, 1.0, 1.1, *[9.0] * DRIFT_SAMPLES, 9.5]
    LogWriter(tmp_path).append([row(compute_s=s) for s in seconds])
    timings = restored(tmp_path).everything()[KEY].at("A", "cpu", 1.0)
    assert timings.runs == 2
    assert timings.seconds == pytest.approx(math.sqrt(9.0 * 9.5))


@pytest.mark.parametrize("given", HOSTILE.values(), ids=HOSTILE)
def test_a_hostile_row_restores_nothing(tmp_path: Path, given: dict[str, Any]) -> None:
    good = [row(compute_s=1.0), row(compute_s=1.0)]
    LogWriter(tmp_path).append([good[0], row(**{"compute_s": 77.0} | given), good[1]])
    assert restored(tmp_path, ("A", False), ("A", True)).everything() == {
        KEY: RunHistory({Place("A", "cpu", 1.0): timed(1.0)})
    }


def timed(seconds: float) -> Any:
    history = History()
    for _ in range(2):
        history.observe(KEY, Place("A", "cpu", 1.0), seconds)
    entry = history.get(KEY)
    assert entry is not None
    return entry.at("A", "cpu", 1.0)


def test_a_torn_file_restores_nothing_and_the_others_all(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    LogWriter(tmp_path).append([row(), row()])
    whole = Path(str(LogWriter(tmp_path).append([row(function_key=f"torn@{CODE}")] * 2)))
    whole.write_bytes(whole.read_bytes()[:-200])
    newer = table_of([row(function_key=f"newer@{CODE}")] * 2)
    pq.write_table(newer.replace_schema_metadata({"placement.schema_version": "9"}), tmp_path / "z.parquet")
    assert list(restored(tmp_path)) == [KEY]
    assert whole.name in caplog.text
    assert "z.parquet has schema version 9" in caplog.text


def test_emulated_rows_and_a_real_nodes_do_not_meet(tmp_path: Path) -> None:
    LogWriter(tmp_path).append([row(compute_s=1.0)] * 2)
    LogWriter(tmp_path).append([row(compute_s=5.0, emulated=True, time_provenance="emulated")] * 2)
    for emulated, seconds in ((False, 1.0), (True, 5.0)):
        entry = restored(tmp_path, ("A", emulated)).everything()[KEY]
        assert entry.at("A", "cpu", 1.0).seconds == pytest.approx(seconds)
    assert not restored(tmp_path, ("B", False)).everything()  # which may join later


def test_what_is_told_of_a_node_that_joins_later_is_remembered_then(tmp_path: Path) -> None:
    LogWriter(tmp_path).append([row(config="B"), row(config="B")])
    history = History()

    async def run() -> int:
        recovery = HistoryRecovery(history)
        await recovery.read(str(tmp_path))
        recovery.release([kind("A", False)])
        before = len(history)
        recovery.release([kind("A", False), kind("B", False)])
        return before

    assert asyncio.run(run()) == 0
    assert list(history) == [KEY]


def test_runs_since_the_restart_stand() -> None:
    place, history = Place("A", "cpu", 1.0), History()
    for _ in range(4):
        history.observe(KEY, place, 2.0)
    history.restore(KEY, RunHistory({place: timed(1.0)}, {"A": "out of memory"}))
    entry = history.get(KEY)
    assert entry is not None
    assert (entry.at(*place).runs, entry.at(*place).seconds) == (3, pytest.approx(2.0))
    assert entry.unfit == {"A": "out of memory"}


def test_rows_of_the_first_version_are_known_by_their_functions_name(tmp_path: Path) -> None:
    old = [row(schema_version=1, function_key=None, cold=None, compute_s=s) for s in (9.0, 2.0, 2.0)]
    first_on_gpu = row(schema_version=1, function_key=None, cold=None, startup_s=None, compute_s=30.0, device="gpu")
    table = table_of([*old, first_on_gpu]).drop_columns(["function_key", "cold"])
    pq.write_table(table.replace_schema_metadata({"placement.schema_version": "1"}), tmp_path / "1.parquet")
    history = restored(tmp_path)
    known = history.known(KEY)
    assert known is not None
    assert known.at("A", "cpu", 1.0).seconds == pytest.approx(2.0)
    assert known.at("A", "cpu", 1.0).runs == 1  # of earlier code
    assert known.warm_runs("gpu") == 0


def test_only_the_keys_seen_last_are_restored_in_their_order(tmp_path: Path) -> None:
    from placement.control_plane import history_of_rows

    LogWriter(tmp_path).append([row(function_key=f"f{i}@{CODE}") for i in (0, 1, 2, 3, 1)])
    tail = read_tail(str(tmp_path), COLUMNS, 100, 60.0)
    rows = history_of_rows.RowArrays(tail.numbers, tail.texts, bool)
    assert functions(history_of_rows.entries_of(rows, 3)) == ["f2", "f3", "f1"]
    assert functions(history_of_rows.entries_of(rows)) == ["f0", "f2", "f3", "f1"]


def functions(entries: Iterable[Entry]) -> list[str]:
    return [entry.key[0].partition("@")[0] for entry in entries]


def test_the_log_is_read_from_its_end_and_a_batch_in_two_files_once(tmp_path: Path) -> None:
    for i in range(12):
        LogWriter(tmp_path).append([row(function_key=f"f{i}@{CODE}", batch_id=f"w:{i}")])
    assert 3 <= read_tail(str(tmp_path), COLUMNS, 3, 60.0).rows < 12
    assert "f11" in functions(entries_in(str(tmp_path)))
    before = [path.read_bytes() for path in sorted(tmp_path.iterdir())]
    compact(tmp_path)
    (tmp_path / "left.parquet").write_bytes(before[0])  # as where a merge was killed before it had deleted all
    assert read_tail(str(tmp_path), COLUMNS, 100, 60.0).rows == 12
    assert read_tail(str(tmp_path), COLUMNS, 100, -1.0).rows == 0  # no time left
    assert read_tail(str(tmp_path / "none"), COLUMNS, 100, 60.0).rows == 0


def test_a_merged_file_is_read_from_its_last_row_group(tmp_path: Path) -> None:
    table = table_of([row(function_key=f"f{i}@{CODE}") for i in range(100)])
    pq.write_table(table, tmp_path / "merged.parquet", row_group_size=10)
    assert read_tail(str(tmp_path), COLUMNS, 15, 60.0).rows == 20
    assert functions(entries_in(str(tmp_path)))[-1] == "f99"


def test_a_log_that_cannot_be_read_restores_nothing(caplog: pytest.LogCaptureFixture) -> None:
    assert not restored(Path("nowhere://such/a/log")).everything()
    assert "the history cannot be restored" in caplog.text


def test_the_size_is_that_of_the_task(tmp_path: Path) -> None:
    spec = TaskSpec(flops=3.7e11, input_bytes=0.0, batch_size=1, parameters=2**40, steps=3)
    sizes = {"flops": 3.7e11, "input_bytes": 0.0, "batch_size": 1, "parameters": 2**40, "steps": 3}
    LogWriter(tmp_path).append([row(**sizes)])
    assert [entry.key for entry in entries_in(str(tmp_path))] == [(FUNCTION, size_of(spec))]
