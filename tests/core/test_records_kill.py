"""A writer that is killed at any moment loses nothing it acknowledged and leaves nothing half written."""

import json
import subprocess
import sys
from pathlib import Path

import pyarrow.compute as pc
import pytest

from placement.log import read_log, readout

PROGRAMS = Path(__file__).with_name("programs")


def kill_writers(folder, kills, mode="plain"):
    command = [sys.executable, "-W", "ignore", str(PROGRAMS / "killed_writers.py"), str(folder), str(kills), mode]
    done = subprocess.run(command, capture_output=True, text=True, timeout=600, check=True)
    return set(json.loads(done.stdout))


def assert_whole(folder, acknowledged):
    found = readout(folder)
    assert found.skipped == ()
    batches = (
        found.table.filter(pc.field("batch_id") != "first:0")
        .group_by("batch_id")
        .aggregate([("task_id", "list")])
        .to_pylist()
    )
    assert all(sorted(batch["task_id_list"]) == ["0", "1", "2"] for batch in batches)
    assert {batch["batch_id"] for batch in batches} >= acknowledged


@pytest.mark.parametrize("kills", [30, pytest.param(100, marks=pytest.mark.soak)])
def test_kills_lose_no_acknowledged_row(tmp_path, kills):
    acknowledged = kill_writers(tmp_path, kills)
    assert len(acknowledged) > kills / 4  # else nothing was tested
    assert_whole(tmp_path, acknowledged)


@pytest.mark.parametrize("kills", [20, pytest.param(40, marks=pytest.mark.soak)])
def test_kills_in_the_middle_of_compactions_lose_and_double_nothing(tmp_path, kills):
    acknowledged = kill_writers(tmp_path, kills, "compacting")
    assert len(acknowledged) > kills / 4
    assert_whole(tmp_path, acknowledged)


def test_two_writers_at_once_do_not_harm_each_other(tmp_path):
    program = str(PROGRAMS / "one_of_two_writers.py")
    writers = [subprocess.Popen([sys.executable, program, str(tmp_path), name]) for name in "ab"]
    assert [writer.wait(300) for writer in writers] == [0, 0]
    batches = read_log(tmp_path)["batch_id"].to_pylist()
    assert sorted(batches) == sorted(f"{name}:{i}" for name in "ab" for i in range(50))
