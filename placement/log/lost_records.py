"""Counts the records that were lost with a killed worker, which had not sent them.

Each worker keeps a few numbers in a small file of its node that outlives it: runs finished, runs acknowledged by the
actor, and the batch under way. The file is locked while the process lives (the kernel gives the lock back when it ends,
however it ends). Whoever finds one that is not locked tells the actor, which knows whether the batch under way arrived,
and removes it. A node's files outlive it on its machine, where workers and agents of other nodes, and the actor, find
them. A machine that goes takes its files along: what its workers had not sent nobody counts.
"""

from __future__ import annotations

import contextlib
import fcntl
import mmap
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import BinaryIO, NamedTuple

FINISHED, ACKNOWLEDGED, NUMBER, UNDER_WAY = range(4)
BYTES = 4 * 8
SUFFIX = ".unsent"
LOOK_EVERY_S = 2.0  # seconds between two looks for killed workers
GONE = sys.maxsize
"""Stands for the last batch's number of a writer whose end has been counted."""


class LostRecords(NamedTuple):
    """The counts of a dead writer. runs: finished and not acknowledged, those of the batch `number` (0: none) among
    them; under_way: the runs of that batch, which may have arrived all the same.
    """

    writer: str
    runs: int
    number: int
    under_way: int

    def lost(self, last_number: int) -> int:
        """Runs whose records will never come. last_number: of the last batch that came; GONE: counted before."""
        if last_number == GONE:
            return 0
        arrived = self.under_way if self.number and last_number >= self.number else 0
        return max(0, self.runs - arrived)


class Counts:
    """A living writer's own numbers; kept in memory alone where no file can be made. `added` takes a task some 0.1
    us.
    """

    def __init__(self, folder: Path, writer: str) -> None:
        try:
            self._numbers = self._shared(folder, writer)
        except OSError:
            self._numbers = memoryview(bytearray(BYTES)).cast("Q")

    def _shared(self, folder: Path, writer: str) -> memoryview:
        folder.mkdir(parents=True, exist_ok=True)
        path = folder / f".{writer}"  # a hidden name, until the file is locked
        self._file = path.open("w+b")  # open as long as this lives: closing it would give the lock back
        self._file.truncate(BYTES)
        fcntl.lockf(self._file, fcntl.LOCK_EX)
        numbers = memoryview(mmap.mmap(self._file.fileno(), BYTES)).cast("Q")
        path.rename(folder / f"{writer}{SUFFIX}")
        return numbers

    def added(self) -> None:
        """One more run has finished."""
        self._numbers[FINISHED] += 1

    def sending(self, number: int, runs: int) -> None:
        """A batch is about to be sent."""
        self._numbers[UNDER_WAY], self._numbers[NUMBER] = runs, number

    def acknowledged(self, runs: int) -> None:
        """Counts runs whose records the actor has, or that need no record."""
        self._numbers[ACKNOWLEDGED] += runs
        self._numbers[NUMBER] = 0


def report_dead_writers(machine: Path, own: str, report: Callable[[LostRecords], None]) -> int:
    """Reports each writer of this machine that ended before it had sent all its records, once for all processes.

    machine: the folder that holds one for each node that is, or was, on this machine.
    own: this process's writer, whose file is left alone. What `report` raises goes on; that file is reported again.
    Returns how many writers there were.
    """
    files = list(machine.glob(f"*/*{SUFFIX}"))
    for path in files:
        writer = path.name.removesuffix(SUFFIX)
        if writer == own:
            continue
        file = _locked_if_dead(path)
        if file is not None:
            with file:
                left = _left(writer, file.read(BYTES))
                if left.runs:
                    report(left)
                path.unlink()
    return len(files)


def _locked_if_dead(path: Path) -> BinaryIO | None:
    """The file, locked; None while its writer lives, if another process has reported it, or if it cannot be read."""
    with contextlib.ExitStack() as stack, contextlib.suppress(OSError):
        file = stack.enter_context(path.open("r+b"))
        fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        if os.fstat(file.fileno()).st_nlink:
            stack.pop_all()
            return file
    return None


def _left(writer: str, content: bytes) -> LostRecords:
    if len(content) != BYTES:  # no writer of ours makes such a file
        return LostRecords(writer, 0, 0, 0)
    numbers = memoryview(content).cast("Q")
    number = numbers[NUMBER]
    unsent = max(0, numbers[FINISHED] - numbers[ACKNOWLEDGED])
    return LostRecords(writer, unsent, number, numbers[UNDER_WAY] if number else 0)
