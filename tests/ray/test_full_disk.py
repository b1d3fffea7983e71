"""A disk that is full while the log is written: tasks go on, the loss is counted and told, then rows come again."""

from __future__ import annotations

import os
import resource
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest
import ray

import placement
from placement import TaskSpec, placed_remote
from placement.control_plane.client import actor

pytestmark = pytest.mark.usefixtures("emulated")


@placed_remote(spec=TaskSpec(flops=1e6, input_bytes=1e3, batch_size=1, parameters=1_000), policy="cpu_only")
def half(x: int) -> float:
    return x / 2


def lost_after_ten_more() -> int:
    """Ten tasks, with right results; how many rows the actor says it has lost once all came."""
    assert ray.get([half.remote(x) for x in range(10)], timeout=300) == [x / 2 for x in range(10)]
    return placement.flush(60)["rows_lost"]


def goes_through(log: Path, log_uri: str, full: Callable[[], None], freed: Callable[[], None]) -> None:
    placement.flush(60)
    placement.start(log=log, timeout_s=600)
    try:
        lost = lost_after_ten_more()
        assert placement.read_log(log).num_rows == 10
        full()
        try:
            assert lost_after_ten_more() == lost + 10
            assert placement.status()["rows_lost"] == lost + 10  # told
            assert placement.read_log(log).num_rows == 10  # nothing half written
        finally:
            freed()
        assert lost_after_ten_more() == lost + 10
        assert placement.read_log(log).num_rows == 20
        assert [name for name in os.listdir(log) if not name.endswith(".parquet")] == []
    finally:
        placement.start(log=log_uri, timeout_s=600)


@contextmanager
def small_disk(folder: Path) -> Iterator[Path]:
    """A mount of a megabyte; skipped where this process may not mount."""
    folder.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", "size=1m", "placement-test", str(folder)]
    try:
        done = subprocess.run(command, capture_output=True, text=True)
    except FileNotFoundError as error:
        pytest.skip(f"no mount here: {error}")
    if done.returncode:
        pytest.skip(f"a disk of its own cannot be mounted here: {done.stderr.strip()}")
    try:
        yield folder
    finally:
        subprocess.run(["umount", "--lazy", str(folder)], check=True)


def test_a_full_disk(log_uri: str, tmp_path: Path) -> None:
    with small_disk(tmp_path / "disk") as disk:
        filler = disk / "filler"

        def fill() -> None:
            with suppress(OSError), open(filler, "wb", buffering=0) as sink:
                while True:
                    sink.write(b"x" * 4096)
            assert os.statvfs(disk).f_bfree == 0

        goes_through(disk / "log", log_uri, fill, filler.unlink)


def test_an_actor_that_may_write_no_more(log_uri: str, tmp_path: Path) -> None:
    """The limit on file sizes, which needs no root: the log's file is too large by its first byte."""
    pid = ray.get(actor().process_id.remote())
    before = resource.prlimit(pid, resource.RLIMIT_FSIZE)
    goes_through(
        tmp_path / "log",
        log_uri,
        lambda: resource.prlimit(pid, resource.RLIMIT_FSIZE, (1, before[1])) and None,
        lambda: resource.prlimit(pid, resource.RLIMIT_FSIZE, before) and None,
    )
