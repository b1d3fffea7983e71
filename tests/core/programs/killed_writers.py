"""Kills writers of a log at random moments; prints the batches that they said were written, as JSON.

Arguments: the log, the number of kills, `plain` or `compacting`.
"""

from __future__ import annotations

import json
import os
import random
import signal
import sys
import time

from placement.log import LogWriter, TaskRecord, compact, table_of

folder, kills, compacting = sys.argv[1], int(sys.argv[2]), sys.argv[3] == "compacting"


def record(**columns: str) -> TaskRecord:
    return TaskRecord(run_id="r", source="sweep", function="f", device="cpu", **columns)


def write(number: int, acknowledge: int) -> None:
    writer, batch = LogWriter(folder), 0
    while True:
        writer.append([record(batch_id=f"{number}:{batch}", task_id=str(i)) for i in range(3)])
        os.write(acknowledge, f"{number}:{batch} ".encode())
        batch += 1
        if compacting and batch % 2 == 0:
            compact(folder)


def round_of_writing() -> float:
    began = time.perf_counter()
    LogWriter(folder).append([record(batch_id="first:0")])
    compact(folder)
    return time.perf_counter() - began


table_of([record()])  # imports are no part of the race
random.seed(7)
span = 3 * max(round_of_writing(), round_of_writing())  # kills fall into starts, writes and acknowledgements alike
acknowledged: list[str] = []
number = 0
# On a busy machine less is written between two kills: there are more of them until they say something.
while number < kills or (len(acknowledged) <= kills / 4 and number < 10 * kills):
    number += 1
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
