import asyncio
import dataclasses
import math
import os
import time
from fractions import Fraction
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from placement.errors import LogError
from placement.log import (
    COLUMNS,
    NAMES,
    SCHEMA,
    LogWriter,
    Rows,
    TaskRecord,
    compact,
    done_cells,
    read_log,
    readout,
    records_of,
    table_of,
)
from placement.log.files import LogFolder
from placement.log.retention import FILES, KEEP_DAYS, Retention, tidy
from placement.spec.features import FEATURES

REQUIRED = {"run_id": "r", "source": "sweep", "function": "f", "device": "cpu"}
VALUES = {
    str: st.text(st.characters(codec="utf-8"), max_size=8),
    float: st.floats(allow_nan=False, allow_infinity=True),
    int: st.integers(-(2**63), 2**63 - 1),
    bool: st.booleans(),
}
TIMES = st.integers(0, 4 * 10**15).map(lambda microseconds: microseconds / 1e6)


def a_record(**columns):
    return TaskRecord(**{**REQUIRED, **columns})


@st.composite
def any_record(draw):
    """A record with up to eight columns set to anything: all columns are met over the examples."""
    chosen = draw(st.lists(st.sampled_from(COLUMNS[1:]), max_size=8, unique=True))
    kinds = [TIMES if column.name == "time_utc" else VALUES[column.type] for column in chosen]
    return a_record(**{column.name: draw(kind) for column, kind in zip(chosen, kinds, strict=True)})


def same(first, second):
    ours, theirs = dataclasses.asdict(first), dataclasses.asdict(second)
    times = ours.pop("time_utc"), theirs.pop("time_utc")
    return ours == theirs and (times[0] == times[1] or abs(times[0] - times[1]) < 1e-6)


def test_the_schema_has_the_designs_columns_in_order_with_units():
    first = ["schema_version", "run_id", "batch_id", "time_utc", "source", "function", "workload", "family", "kind"]
    assert SCHEMA.names[: len(first)] == first
    at = NAMES.index("cpu_gflops")
    assert NAMES[at : at + 9] == tuple(FEATURES)
    for name, unit in FEATURES.items():
        assert SCHEMA.field(name).metadata[b"unit"].decode() == unit
    for column in COLUMNS:
        for suffix, unit in (("_s", "s"), ("_joules", "J"), ("_watts", "W"), ("_bytes", "B"), ("_gb", "GB")):
            if column.name.endswith(suffix):
                assert column.unit == unit, column
        if column.type in (float, int) and column.name != "schema_version":
            assert column.unit, column
    assert SCHEMA.metadata == {b"placement.schema_version": b"3"}


@settings(max_examples=50, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(any_record().map(lambda record: dataclasses.replace(record, batch_id=None)), min_size=1, max_size=4))
def test_a_log_reads_back_as_written(tmp_path, records):
    place = tmp_path / str(time.time_ns())
    LogWriter(place).append(records)
    read = records_of(read_log(place))
    assert len(read) == len(records)
    assert all(same(ours, theirs) for ours, theirs in zip(records, read, strict=True))


@given(st.lists(any_record(), min_size=1, max_size=4), st.integers(1, 3), st.data())
def test_rows_by_column_are_the_same_rows(records, number, data):
    """Whatever is told once for all, and whichever columns are left out because they are None."""
    one = dataclasses.asdict(records[0])
    told_once = data.draw(st.sets(st.sampled_from(NAMES)))
    same = {name: one[name] for name in told_once}
    each = {name: [value] * number for name, value in one.items() if name not in told_once and value is not None}
    by_column = Rows(number, same, each)
    assert table_of([by_column, *records]).equals(table_of([*[records[0]] * number, *records]))
    assert table_of([by_column.last(1)]).equals(table_of(records[:1]))


def test_rows_that_fit_no_log_are_named():
    with pytest.raises(LogError, match=r"unknown columns \['joules'\], missing \['device', 'schema_version'\]"):
        table_of([Rows(1, {"run_id": "r", "source": "sweep", "function": "f", "joules": 1.0}, {})])
    with pytest.raises(LogError, match=r"not 2 values in \['flops'\]"):
        table_of([Rows(2, {**REQUIRED, "schema_version": 1}, {"flops": [1.0]})])


def test_nan_is_written_as_not_measured():
    table = table_of([a_record(cpu_joules=math.nan), a_record(cpu_joules=1.0)])
    assert table["cpu_joules"].to_pylist() == [None, 1.0]


@pytest.mark.parametrize("number", [2, 2.0, np.float32(2), np.int64(2), Fraction(2)])
def test_any_number_is_a_number(number):
    table = table_of([a_record(flops=number, batch_size=number), a_record(flops=2**60)])
    assert table["flops"].to_pylist() == [2.0, 2.0**60]
    assert table["batch_size"].to_pylist() == [2, None]


def test_a_wrong_value_is_named():
    with pytest.raises(LogError, match="column 'cpu_joules'"):
        table_of([a_record(cpu_joules="many")])


def test_a_uri_is_a_place_like_a_path(tmp_path):
    path = LogWriter(f"file://{tmp_path}/log").append([a_record()])
    assert Path(path).parent == tmp_path / "log"
    assert read_log(tmp_path / "log").equals(read_log(path))
    with pytest.raises(LogError, match="not a place for a log"):
        LogWriter("nonsense://x/y")


def test_an_object_store_gets_one_put(monkeypatch):
    store = pa.fs._MockFileSystem()
    monkeypatch.setattr(LogFolder, "of", classmethod(lambda cls, uri: cls(store, "bucket/log")))
    writer = LogWriter("mock")
    writer.append([a_record(batch_id="w:0")])
    writer.append([a_record(batch_id="w:1")])
    assert read_log("mock").num_rows == 2
    assert compact("mock")
    assert readout("mock").table.num_rows == 2
    assert len(readout("mock").files) == 1


def test_nothing_to_append_writes_nothing(tmp_path):
    assert LogWriter(tmp_path / "log").append([]) is None
    assert not (tmp_path / "log").exists()
    with pytest.raises(LogError, match="there is no log"):
        read_log(tmp_path / "log")


@pytest.mark.parametrize("function", ["fsync", "replace"])
def test_a_full_disk_reaches_the_caller_and_leaves_nothing(tmp_path, monkeypatch, function):
    def full(*arguments):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, function, full)
    with pytest.raises(OSError, match="No space left"):
        LogWriter(tmp_path).append([a_record()])
    assert list(tmp_path.iterdir()) == []


def test_a_resent_batch_counts_once_and_rows_without_a_batch_always(tmp_path):
    writer = LogWriter(tmp_path)
    batch = [a_record(batch_id="w:7", task_id=str(i)) for i in range(3)]
    writer.append(batch)
    writer.append([*batch, a_record(batch_id="w:8", task_id="3")])
    writer.append([a_record(task_id="4"), a_record(task_id="4")])
    assert read_log(tmp_path, columns=["task_id"])["task_id"].to_pylist() == ["0", "1", "2", "3", "4", "4"]


def test_columns_and_filters(tmp_path):
    LogWriter(tmp_path).append([a_record(device="gpu", compute_s=1.0), a_record(compute_s=2.0)])
    table = read_log(tmp_path, columns=["compute_s"], filters=[("device", "=", "gpu")])
    assert table.to_pydict() == {"compute_s": [1.0]}
    with pytest.raises(LogError, match=r"no columns \['seconds'\]"):
        read_log(tmp_path, columns=["seconds"])
    with pytest.raises(LogError, match="not filters"):
        read_log(tmp_path, filters=[("device",)])


def test_the_done_cells_of_a_sweep(tmp_path):
    assert done_cells(tmp_path / "none") == set()
    cell = {"preset": "p", "config": "A", "cpus": 2.0}
    LogWriter(tmp_path).append(
        [
            a_record(**cell),
            a_record(**cell, device="gpu", error="boom"),
            a_record(**cell, run_id="other", device="gpu", censored=True),
            a_record(**(cell | {"preset": "q"}), source="production"),
        ]
    )
    assert done_cells(tmp_path) == {("p", "A", "cpu", 2.0), ("p", "A", "gpu", 2.0)}
    assert done_cells(tmp_path, run_id="r") == {("p", "A", "cpu", 2.0)}


def test_compact_keeps_every_row_once_even_beside_the_files_it_replaces(tmp_path):
    writer = LogWriter(tmp_path)
    for i in range(5):
        writer.append([a_record(task_id=str(i)), a_record(task_id=f"{i}b")])
    before = read_log(tmp_path)
    old = {path: path.read_bytes() for path in tmp_path.iterdir()}
    compact(tmp_path)
    assert len(list(tmp_path.iterdir())) == 1
    assert read_log(tmp_path).equals(before)
    for path, data in list(old.items())[:3]:  # as a kill before the deletions would leave it
        path.write_bytes(data)
    assert read_log(tmp_path).equals(before)
    writer.append([a_record(task_id="late")])
    compact(tmp_path)
    assert read_log(tmp_path)["task_id"].to_pylist() == [*before["task_id"].to_pylist(), "late"]


def test_compact_may_leave_what_is_large(tmp_path):
    writer = LogWriter(tmp_path)
    large = Path(writer.append([a_record(function=f"function {i} of many") for i in range(5000)]))
    for _ in range(3):
        writer.append([a_record()])
    compact(tmp_path, below_bytes=large.stat().st_size)
    assert large.exists()
    assert len(readout(tmp_path).files) == 2
    assert read_log(tmp_path).num_rows == 5003
    assert compact(tmp_path, below_bytes=100) is None


def test_two_compactions_at_once_do_not_count_twice(tmp_path):
    writer = LogWriter(tmp_path / "log")
    for i in range(3):
        writer.append([a_record(task_id=str(i))])
    for path in (tmp_path / "log").iterdir():
        (tmp_path / path.name).write_bytes(path.read_bytes())
    first = Path(compact(tmp_path / "log"))
    second = Path(compact(tmp_path))
    (tmp_path / "log" / second.name).write_bytes(second.read_bytes())
    assert first.name != second.name
    assert read_log(tmp_path / "log").num_rows == 3


def test_compact_drops_old_rows_and_killed_writers_leftovers(tmp_path):
    now = time.time()
    writer = LogWriter(tmp_path)
    writer.append([a_record(time_utc=now - 10 * 86400, task_id="old"), a_record(time_utc=now, task_id="new")])
    writer.append([a_record(task_id="undated")])
    stale, fresh = tmp_path / ".a.parquet.tmp", tmp_path / ".b.parquet.tmp"
    stale.write_bytes(b"x")
    fresh.write_bytes(b"x")
    os.utime(stale, (now - 7200, now - 7200))
    compact(tmp_path, keep_days=7)
    assert read_log(tmp_path)["task_id"].to_pylist() == ["new", "undated"]
    assert not stale.exists()
    assert fresh.exists()


def test_the_actors_retention_merges_small_files_and_drops_old_production_rows_alone(tmp_path, monkeypatch):
    long_ago, writer = time.time() - 40 * 86400, LogWriter(tmp_path)
    for source, task_id in (("production", "old"), ("sweep", "measured"), ("production", None)):
        writer.append(
            [a_record(time_utc=long_ago if task_id else time.time(), source=source, task_id=task_id or "new")]
        )
    tidy(str(tmp_path), KEEP_DAYS, expire_too=False)
    assert sorted(read_log(tmp_path)["task_id"].to_pylist()) == ["measured", "new"]
    assert len(list(tmp_path.glob("*.parquet"))) == 1
    monkeypatch.setattr("placement.log.retention.BELOW_BYTES", 0)  # all files are large now: only a whole one goes
    writer.append([a_record(time_utc=long_ago, source="production", task_id="old")])
    writer.append([a_record(time_utc=long_ago, source="sweep", task_id="measured too")])
    tidy(str(tmp_path), float("inf"), expire_too=True)
    assert read_log(tmp_path).num_rows == 4
    tidy(str(tmp_path), KEEP_DAYS, expire_too=True)
    assert sorted(read_log(tmp_path)["task_id"].to_pylist()) == ["measured", "measured too", "new"]


def test_retention_starts_once_in_so_many_files(tmp_path, monkeypatch):
    merges: list[str] = []

    def tidy_counted(log: str, keep_days: float, expire_too: bool) -> None:
        tidy(log, keep_days, expire_too)
        merges.append(log)

    monkeypatch.setattr("placement.log.retention.tidy", tidy_counted)

    async def run() -> None:
        retention = Retention()
        for _ in range(FILES * 2 + 10):
            retention.count_file(str(tmp_path), None)
        while not retention._under_way.done():
            await asyncio.sleep(0.01)

    asyncio.run(run())
    assert merges == [str(tmp_path)]  # the second began while the first was under way


def test_compact_leaves_what_it_cannot_read(tmp_path):
    writer = LogWriter(tmp_path)
    writer.append([a_record()])
    writer.append([a_record()])
    bad = tmp_path / "bad.parquet"
    bad.write_bytes(b"PAR1 no")
    compact(tmp_path)
    assert bad.read_bytes() == b"PAR1 no"
    assert read_log(tmp_path).num_rows == 2


def test_a_newer_version_is_refused_by_name(tmp_path):
    LogWriter(tmp_path).append([a_record()])
    newer = table_of([a_record()]).replace_schema_metadata({"placement.schema_version": "4"})
    pq.write_table(newer, tmp_path / "newer.parquet")
    for action in (read_log, compact, done_cells):
        with pytest.raises(LogError, match=r"newer\.parquet has schema version 4; this installation reads up to 3"):
            action(tmp_path)


def test_files_of_older_versions_are_read_beside_one_of_this(tmp_path):
    since_three = ["neighbours", "neighbour_utilisation"]
    first, second = a_record(schema_version=1, preset="p"), a_record(schema_version=2, function_key="f@0", cold=True)
    for record, newer in ((first, ["function_key", "cold", *since_three]), (second, since_three)):
        version = str(record.schema_version)
        older = table_of([record]).drop_columns(newer).replace_schema_metadata({"placement.schema_version": version})
        pq.write_table(older, tmp_path / f"{version}.parquet")
    third = a_record(function_key="f@0123", cold=True, gpus=0.25, neighbours=3, neighbour_utilisation=0.7)
    LogWriter(tmp_path).append([third])
    for merge in (False, True):
        if merge:
            compact(tmp_path)
        found = records_of(read_log(tmp_path))
        assert sorted(found, key=lambda record: record.schema_version) == [first, second, third]


def test_an_older_files_missing_columns_are_null(tmp_path):
    older = table_of([a_record(preset="p")]).drop_columns(["gpu_name", "gpu_joules"])
    older = older.append_column("long_gone", pa.array([1]))
    older = older.replace_schema_metadata({"placement.schema_version": "1"})
    pq.write_table(older, tmp_path / "older.parquet")
    assert read_log(tmp_path).schema.equals(SCHEMA)
    assert records_of(read_log(tmp_path)) == [a_record(preset="p")]


def test_corrupt_and_foreign_files_are_named_skipped_and_counted(tmp_path, caplog):
    good = Path(LogWriter(tmp_path).append([a_record(function=f"function-{i}") for i in range(100)]))
    data = good.read_bytes()
    flipped = bytearray(data)
    flipped[len(data) // 5] ^= 0xFF
    (tmp_path / "empty.parquet").write_bytes(b"")
    (tmp_path / "cut.parquet").write_bytes(data[: len(data) // 2])
    (tmp_path / "flipped.parquet").write_bytes(bytes(flipped))
    pq.write_table(pa.table({"x": [1]}), tmp_path / "foreign.parquet")
    retyped = SCHEMA.set(NAMES.index("cpus"), pa.field("cpus", pa.list_(pa.int8())))
    lists = pa.Table.from_arrays([pa.nulls(1, field.type) for field in retyped], schema=retyped)
    pq.write_table(lists, tmp_path / "retyped.parquet")
    pq.write_table(
        pa.table({"x": [1]}).replace_schema_metadata({"placement.schema_version": "one"}), tmp_path / "odd.parquet"
    )
    (tmp_path / "notes.txt").write_text("not a log file")
    found = readout(tmp_path)
    assert found.files == (str(good),)
    assert found.table.num_rows == 100
    reasons = {Path(path).name: reason for path, reason in found.skipped}
    assert sorted(reasons) == [f"{name}.parquet" for name in ("cut", "empty", "flipped", "foreign", "odd", "retyped")]
    assert "foreign" in reasons["foreign.parquet"]
    assert "corrupt" in reasons["flipped.parquet"]
    assert read_log(tmp_path).num_rows == 100
    assert len([record for record in caplog.records if "skipped" in record.message]) == 6


def test_a_file_compacted_away_while_the_log_is_read_is_found_in_its_new_place(tmp_path, monkeypatch):
    writer = LogWriter(tmp_path)
    for i in range(3):
        writer.append([a_record(task_id=str(i))])
    listed = LogFolder.list
    calls = []

    def list_then_lose(place, *below):
        paths = listed(place, *below)
        if not calls:
            calls.append(1)
            compact(tmp_path)
        return paths

    monkeypatch.setattr(LogFolder, "list", list_then_lose)
    assert read_log(tmp_path)["task_id"].to_pylist() == ["0", "1", "2"]


def test_the_record_needs_no_pyarrow(loaded_by):
    assert not {"pyarrow", "numpy", "ray"} & loaded_by("placement.spec.task_record")


@pytest.mark.soak  # a time says something on an idle machine alone
def test_table_of_keeps_up_with_a_busy_cluster():
    record = a_record(compute_s=1.0, cpus=1.0, time_utc=time.time(), batch_id="w:1")
    rows = [record] * 20_000
    table_of(rows[:1])
    began = time.process_time()
    table_of(rows)
    assert time.process_time() - began < 2.0  # 10,000 rows a second with a wide margin for a slow machine
