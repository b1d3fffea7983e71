"""A writer that is killed at any moment loses nothing it acknowledged and leaves nothing half written."""

import json
import subprocess
import sys

import pyarrow.compute as pc

from placement.log import read_log, readout

WRITERS = """
import json, os, random, signal, sys, time
from placement.log import LogWriter, TaskRecord, compact, table_of

folder, kills, compacting = sys.argv[1], int(sys.argv[2]), sys.argv[3] == "compacting"
table_of([TaskRecord(run_id="warm", source="sweep", function="f", device="cpu")])  # imports are no part of the race
random.seed(7)
cell = dict(run_id="r", source="sweep", function="f", device="cpu")

def write(number, acknowledge):
    writer, batch = LogWriter(folder), 0
    while True:
        rows = [
            TaskRecord(batch_id=f"{number}:{batch}", task_id=str(i), **cell) for i in range(3)
        ]
        writer.append(rows)
        os.write(acknowledge, f"{number}:{batch} ".encode())
        batch += 1
        if compacting and batch % 2 == 0:
            compact(folder)

def round_of_writing():
    began = time.perf_counter()
    LogWriter(folder).append([TaskRecord(run_id="r", source="sweep", function="f", device="cpu", batch_id="first:0")])
    compact(folder)
    return time.perf_counter() - began

span = 3 * max(round_of_writing(), round_of_writing())  # kills fall into starts, writes and acknowledgements alike
acknowledged = []
for number in range(kills):
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        write(number, writing)
    os.close(writing)
    time.sleep(random.uniform(0.0, span))
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    with os.fdopen(reading) as told:
        acknowledged += told.read().split()
print(json.dumps(acknowledged))
"""


def kill_writers(folder, kills, mode="plain"):
    command = [sys.executable, "-W", "ignore", "-c", WRITERS, str(folder), str(kills), mode]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300, check=True)
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


def test_a_hundred_kills_lose_no_acknowledged_row(tmp_path):
    acknowledged = kill_writers(tmp_path, 100)
    assert len(acknowledged) > 20  # else nothing was tested
    assert_whole(tmp_path, acknowledged)


def test_kills_in_the_middle_of_compactions_lose_and_double_nothing(tmp_path):
    acknowledged = kill_writers(tmp_path, 40, "compacting")
    assert len(acknowledged) > 10
    assert_whole(tmp_path, acknowledged)


TWO = """
import sys
from placement.log import LogWriter, TaskRecord

writer = LogWriter(sys.argv[1])
for batch in range(50):
    batch_id = f"{sys.argv[2]}:{batch}"
    writer.append([TaskRecord(run_id="r", source="sweep", function="f", device="cpu", batch_id=batch_id)])
"""


def test_two_writers_at_once_do_not_harm_each_other(tmp_path):
    writers = [subprocess.Popen([sys.executable, "-c", TWO, str(tmp_path), name]) for name in "ab"]
    assert [writer.wait(60) for writer in writers] == [0, 0]
    batches = read_log(tmp_path)["batch_id"].to_pylist()
    assert sorted(batches) == sorted(f"{name}:{i}" for name in "ab" for i in range(50))
