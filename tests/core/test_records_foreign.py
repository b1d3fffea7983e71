"""A log that other programs rewrote: read with the same values, or refused by one line; never zero rows in silence."""

from pathlib import Path

import pyarrow as pa
import pyarrow.dataset
import pyarrow.parquet as pq
import pytest

from placement.errors import LogError, OptionError
from placement.log import LogWriter, TaskRecord, compact, read_log, table_of
from placement.log.files import LogFolder
from placement.log.whole_file import check_file_can_be_written, check_folder_can_be_written

ROWS = [
    TaskRecord(run_id="r", source="sweep", function="f", device="cpu", batch_size=8, flops=2.0**60, emulated=True,
               time_utc=1_700_000_000.123456, task_id="0"),
    TaskRecord(run_id="r", source="sweep", function="f", device="gpu", batch_size=None, time_utc=None, task_id="1"),
    TaskRecord(run_id="r", source="sweep", function="g", device="cpu", batch_size=3, emulated=False,
               time_utc=1_700_000_001.5, task_id="2"),
]  # fmt: skip
TABLE = table_of(ROWS)
STAMP = pa.timestamp("us", "UTC")


def plain(table=TABLE):
    """The table without our metadata, as every other program leaves it."""
    return table.replace_schema_metadata(None)


def with_column(name, values):
    table = plain()
    return table.set_column(table.column_names.index(name), name, values)


def in_types(**types):
    table = plain()
    for name, kind in types.items():
        table = table.set_column(table.column_names.index(name), name, table[name].cast(kind))
    return table


def written(folder, table, name="part.parquet", **options):
    pq.write_table(table, folder / name, **options)
    return folder


def read_sorted(folder):
    return read_log(folder).sort_by("task_id")


def test_pandas_rewrites_a_log(tmp_path):
    frame = TABLE.to_pandas()
    frame.astype({"device": "category", "batch_size": float, "time_utc": "datetime64[ns, UTC]"}).set_index(
        "run_id"
    ).to_parquet(tmp_path / "a.parquet")
    assert read_sorted(tmp_path).equals(TABLE)


def test_pandas_partitions_a_log(tmp_path):
    TABLE.to_pandas().to_parquet(tmp_path / "log", partition_cols=["device", "emulated"])
    assert read_sorted(tmp_path / "log").equals(TABLE)


@pytest.mark.parametrize(
    "types",
    [
        {"run_id": pa.large_string(), "device": pa.string_view()},  # polars
        {"device": pa.dictionary(pa.uint32(), pa.large_string()), "batch_size": pa.uint8()},  # polars' Categorical
        {"function": pa.binary()},  # old Spark and Impala
        {"schema_version": pa.int32(), "flops": pa.decimal128(30, 2)},
        {"time_utc": pa.timestamp("ns")},
        {"time_utc": pa.timestamp("us", "Europe/Berlin")},
    ],
)
def test_the_same_values_in_other_types(tmp_path, types):
    assert read_sorted(written(tmp_path, in_types(**types))).equals(TABLE)


def test_a_column_of_nulls_without_a_type(tmp_path):
    assert read_sorted(written(tmp_path, with_column("steps", pa.nulls(3)))).equals(TABLE)


def test_sparks_int96_timestamps(tmp_path):
    written(tmp_path, plain(), use_deprecated_int96_timestamps=True)
    assert read_sorted(tmp_path).equals(TABLE)


def test_nanoseconds_are_cut_and_nan_is_not_measured(tmp_path):
    nan = float("nan")
    table = with_column("time_utc", pa.array([1_700_000_000_123_456_789] * 3, pa.timestamp("ns")))
    table = table.set_column(table.column_names.index("batch_size"), "batch_size", pa.array([8.0, nan, 3.0]))
    table = table.set_column(table.column_names.index("cpus"), "cpus", pa.array([2.0, nan, nan], pa.float32()))
    read = read_sorted(written(tmp_path, table))
    assert read["time_utc"].cast(pa.int64()).to_pylist() == [1_700_000_000_123_456] * 3
    assert read["batch_size"].to_pylist() == [8, None, 3]
    assert read["cpus"].to_pylist() == [2.0, None, None]


def test_integers_that_no_float_holds_are_read(tmp_path):
    read = read_log(written(tmp_path, with_column("flops", pa.array([2**60 + 1, 2**62, None]))))
    assert read["flops"].to_pylist() == [2.0**60, 2.0**62, None]


@pytest.mark.parametrize("name", ["part.PARQUET", "part.snappy.parquet", "part.Parq", "part.pq"])
def test_suffixes_of_other_programs(tmp_path, name):
    assert read_log(written(tmp_path, plain(), name)).equals(TABLE)


def test_a_hive_partitioned_log_is_read_whole_and_compacted(tmp_path):
    pyarrow.dataset.write_dataset(
        plain(), tmp_path, format="parquet", partitioning=["source", "device"], partitioning_flavor="hive",
        basename_template="part-{i}.parquet",
    )  # fmt: skip
    (tmp_path / "_SUCCESS").write_bytes(b"")
    assert read_sorted(tmp_path).equals(TABLE)  # both files are called part-0.parquet
    assert read_log(tmp_path / "source=sweep" / "device=gpu")["device"].to_pylist() == ["gpu"]
    LogWriter(tmp_path).append(ROWS[:1])
    compact(tmp_path)
    assert read_log(tmp_path).num_rows == 4
    assert len(list(tmp_path.rglob("*.parquet"))) == 1


def test_a_value_in_a_folders_name_is_unescaped_and_typed(tmp_path):
    folder = tmp_path / "function=a%2Fb" / "cpus=2" / "year=2024"
    folder.mkdir(parents=True)
    written(folder, plain().drop_columns(["function", "cpus"]))
    read = read_log(tmp_path)
    assert (set(read["function"].to_pylist()), set(read["cpus"].to_pylist())) == ({"a/b"}, {2.0})


@pytest.mark.parametrize(
    ("table", "says"),
    [
        (plain().append_column("flops", TABLE["flops"]), r"columns \['flops'\] more than once"),
        (plain().drop_columns(["device"]), r"lacks the columns \['device'\]"),
        (with_column("batch_size", pa.array([8.5] * 3)), "column 'batch_size' is no int64"),
        (with_column("flops", pa.array(["many"] * 3)), "column 'flops' is no double"),
        (with_column("time_utc", pa.array([1_700_000_000] * 3)), "column 'time_utc'.*write timestamps"),
        (with_column("schema_version", pa.array([7] * 3)), "schema version 7; this installation reads up to 3"),
        (pa.table({"x": [1]}), "lacks the columns"),
    ],
)
def test_a_log_of_none_but_unreadable_files_is_refused_with_the_reason(tmp_path, table, says):
    with pytest.raises(LogError, match=says) as caught:
        read_log(written(tmp_path, table))
    assert "\n" not in str(caught.value)


def test_a_folder_without_log_files_is_no_log(tmp_path):
    with pytest.raises(LogError, match="no Parquet file"):
        read_log(tmp_path)
    (tmp_path / "rows.csv").write_text("x\n1\n")
    with pytest.raises(LogError, match=r"it has rows\.csv"):
        read_log(tmp_path)
    with pytest.raises(LogError, match="path is empty"):
        read_log("")


def test_partition_folders_only_are_entered(tmp_path):
    (tmp_path / "other").mkdir()
    written(tmp_path / "other", plain())
    written(tmp_path, plain())
    assert LogFolder.of(tmp_path).list() == [str(tmp_path / "part.parquet")]


def test_whether_a_file_can_be_written_is_known_before(tmp_path):
    check_file_can_be_written(tmp_path / "a" / "b" / "s.json")
    check_folder_can_be_written(tmp_path / "log")
    (tmp_path / "file").write_text("x")
    for path, says in ((tmp_path, "is a folder"), (tmp_path / "file" / "s.json", "cannot be written")):
        with pytest.raises(OptionError, match=says):
            check_file_can_be_written(path)
    with pytest.raises(OptionError, match="is a file"):
        check_folder_can_be_written(tmp_path / "file")
    assert [path.name for path in Path(tmp_path).iterdir()] == ["file"]
