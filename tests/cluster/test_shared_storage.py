"""Logs and selector files on an S3 server that runs on this machine (moto's), over HTTP as on a real one.

A folder that several hosts share, as NFS is, is what test_ray_up.py logs to.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from pyarrow import fs
from typer.testing import CliRunner

import placement
from placement.commands import read_selector
from placement.errors import LogError, SelectorError
from placement.log import LogWriter, TaskRecord, compact, done_cells, readout
from placement.prediction.selector_file import shipped_selector

PRESET = "xgboost_infer_r150_t100_d6"


class Store:
    """The server's bucket `bucket`, and URIs into it that carry all it takes to reach it."""

    def __init__(self, port: int) -> None:
        self.port = port
        self.filesystem = fs.S3FileSystem(
            access_key="key", secret_key="secret", endpoint_override=f"127.0.0.1:{port}", scheme="http",
            region="us-east-1", allow_bucket_creation=True, allow_bucket_deletion=True,
        )  # fmt: skip
        self.create()

    def create(self) -> None:
        self.filesystem.create_dir("bucket")

    def vanish(self) -> None:
        self.filesystem.delete_dir("bucket")

    def uri(self, path: str) -> str:
        where = f"scheme=http&endpoint_override=127.0.0.1%3A{self.port}&region=us-east-1"
        return f"s3://key:secret@bucket/{path}?{where}"


@pytest.fixture(scope="module")
def server() -> Iterator[int]:
    """The server's port."""
    from moto.server import ThreadedMotoServer

    logging.getLogger("werkzeug").setLevel(logging.ERROR)  # a line for each request
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    yield server.get_host_and_port()[1]
    server.stop()


@pytest.fixture
def store(server: int) -> Iterator[Store]:
    store = Store(server)
    yield store
    store.create()
    store.vanish()


def record(**columns: Any) -> TaskRecord:
    return TaskRecord(**{"run_id": "r", "source": "production", "function": "f", "device": "cpu", **columns})


def test_a_log_is_written_read_and_compacted(store: Store) -> None:
    log = store.uri("deep/log")
    for number in range(3):
        LogWriter(log).append([record(batch_id=f"w:{number}"), record(batch_id=f"w:{number}")])
    LogWriter(log).append([record(batch_id="w:2"), record(batch_id="w:2")])  # sent again
    assert placement.read_log(log).num_rows == 6
    assert compact(log)
    found = readout(log)
    assert (found.table.num_rows, len(found.files), found.skipped) == (6, 1, ())


def test_a_foreign_object_is_named_and_skipped(store: Store) -> None:
    log = store.uri("log")
    LogWriter(log).append([record()])
    with store.filesystem.open_output_stream("bucket/log/foreign.parquet") as sink:
        sink.write(b"not Parquet")
    found = readout(log)
    assert found.table.num_rows == 1
    assert [path for path, _ in found.skipped] == ["bucket/log/foreign.parquet"]


def test_a_bucket_that_is_not_there_is_said(store: Store) -> None:
    store.vanish()
    with pytest.raises(OSError, match=r"[Bb]ucket"):
        LogWriter(store.uri("log")).append([record()])
    with pytest.raises(LogError, match="there is no log"):
        placement.read_log(store.uri("log"))
    with pytest.raises(SelectorError, match="cannot be read"):
        read_selector(store.uri("selector.json"))


def test_a_sweep_logs_there_and_refit_reads_its_pairs(store: Store) -> None:
    from profiling.cli.app import main
    from profiling.dataset.pairs import pairs

    log = store.uri("swept")
    done = CliRunner().invoke(main, ["sweep", "--emulate-only", "--preset", PRESET, "-o", log])
    assert done.exit_code == 0, done.output
    assert {preset for preset, *_ in done_cells(log)} == {PRESET}
    assert {pair.config for pair in pairs(placement.read_log(log))} == {"A", "B", "C", "D"}


def test_a_selector_file_lies_there(store: Store) -> None:
    from profiling.learning.refit import write_selector

    where = store.uri("selectors/new.json")
    write_selector(shipped_selector(), where)
    assert read_selector(where).version == shipped_selector().version
    with store.filesystem.open_output_stream("bucket/selectors/new.json") as sink:
        sink.write(b"{")
    with pytest.raises(SelectorError):
        read_selector(where)


def test_a_selector_file_is_written_over_whole(tmp_path: Path) -> None:
    from profiling.learning.refit import write_selector

    path = tmp_path / "new" / "selector.json"
    for _ in range(2):
        write_selector(shipped_selector(), path)
    assert [file.name for file in path.parent.iterdir()] == ["selector.json"]
    assert read_selector(path).version == shipped_selector().version


def test_a_bucket_that_vanishes_loses_counted_rows_and_no_task(emulated: str, log_uri: str, store: Store) -> None:
    import ray

    @placement.placed_remote(devices="any")
    def add(x: int) -> int:
        return x + 1

    def run() -> dict[str, int]:
        assert ray.get([add.remote(x) for x in range(8)], timeout=300) == list(range(1, 9))
        return placement.flush(30)

    placement.flush(30)
    placement.start(log=store.uri("production"), timeout_s=600)
    try:
        before = placement.flush(30)
        first = run()
        assert (
            first["rows_written"] - before["rows_written"] == 8 == placement.read_log(store.uri("production")).num_rows
        )
        store.vanish()
        second = run()
        assert second["rows_lost"] - first["rows_lost"] == 8
        assert second["rows_written"] == first["rows_written"]
        assert placement.status()["rows_lost"] == second["rows_lost"]
        store.create()
        third = run()
        assert third["rows_lost"] == second["rows_lost"]
        assert placement.read_log(store.uri("production")).num_rows == 8
        from profiling.learning.refit import write_selector

        write_selector(shipped_selector(), store.uri("selector.json"))
        assert placement.swap(store.uri("selector.json")) == shipped_selector().version
    finally:
        placement.start(log=log_uri, timeout_s=600)
