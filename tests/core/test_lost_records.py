"""A killed writer's records are counted, by whoever finds what it left."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from placement.log.lost_records import SUFFIX, Counts, LostRecords, report_dead_writers

WRITER = Path(__file__).parent / "programs" / "writer_with_lost_records.py"


def told(folder: Path, own: str = "me") -> list[LostRecords]:
    found: list[LostRecords] = []
    report_dead_writers(folder, own, found.append)
    return found


def test_a_killed_writer_is_told_of_once_and_a_living_one_never(tmp_path: Path) -> None:
    writer = subprocess.Popen([sys.executable, str(WRITER), str(tmp_path)], stdout=subprocess.PIPE, text=True)
    assert writer.stdout is not None
    assert writer.stdout.readline() == "ready\n"
    assert told(tmp_path) == []
    os.kill(writer.pid, signal.SIGKILL)
    writer.wait()
    assert told(tmp_path) == [LostRecords("dead", 6, 2, 3)]
    assert told(tmp_path) == []
    assert list((tmp_path / "node").iterdir()) == []


def test_the_batch_under_way_is_lost_unless_it_arrived() -> None:
    left = LostRecords("w", 6, 2, 3)
    assert left.lost(last_number=1) == 6
    assert left.lost(last_number=2) == 3
    assert LostRecords("w", 6, 0, 0).lost(last_number=2) == 6


def test_who_cannot_tell_leaves_it_to_the_next(tmp_path: Path) -> None:
    (tmp_path / "node").mkdir()
    (tmp_path / "node" / f"gone{SUFFIX}").write_bytes((5).to_bytes(8, "little") + bytes(24))

    def refuse(_: LostRecords) -> None:
        raise ConnectionError

    with pytest.raises(ConnectionError):
        report_dead_writers(tmp_path, "me", refuse)
    assert told(tmp_path) == [LostRecords("gone", 5, 0, 0)]


def test_own_file_is_left_alone_and_one_with_nothing_unsent_goes_silently(tmp_path: Path) -> None:
    node = tmp_path / "node"
    mine = Counts(node, "me")
    mine.added()
    (node / f"clean{SUFFIX}").write_bytes(bytes(32))
    (node / f"cut{SUFFIX}").write_bytes(b"\1\2")  # no writer of ours makes this
    (node / f"a folder{SUFFIX}").mkdir()  # nor this, which nobody can read
    assert told(tmp_path) == []
    assert sorted(path.name for path in node.iterdir()) == [f"a folder{SUFFIX}", f"me{SUFFIX}"]
    assert told(tmp_path / "nowhere") == []


def test_those_of_a_node_that_is_gone_are_told_of_by_a_neighbour(tmp_path: Path) -> None:
    Counts(tmp_path / "here", "me").added()
    (tmp_path / "gone").mkdir()
    for name in "ab":
        (tmp_path / "gone" / f"{name}{SUFFIX}").write_bytes((5).to_bytes(8, "little") + bytes(24))
    assert sorted(told(tmp_path)) == [LostRecords("a", 5, 0, 0), LostRecords("b", 5, 0, 0)]


@pytest.mark.soak  # a time says something on an idle machine alone
def test_adding_costs_a_task_next_to_nothing(tmp_path: Path) -> None:
    counts = Counts(tmp_path, "me")

    def seconds() -> float:
        start = time.process_time()
        for _ in range(10_000):
            counts.added()
        return (time.process_time() - start) / 10_000

    assert min(seconds() for _ in range(5)) < 1e-6
    assert counts._numbers[0] == 50_000
