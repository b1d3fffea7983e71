"""Takes in the rows that workers send: each batch once, written whole, and counted even if it is lost."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

from placement.errors import PlacementError
from placement.log.lost_records import GONE, LostRecords, report_dead_writers
from placement.log.retention import Retention
from placement.spec.task_record import Rows, how_many

WRITE_EVERY_S = 0.5
WRITE_TRIES = 3
LARGEST_PENDING_ROWS = 1_000_000

logger = logging.getLogger("placement")


class Ingest:
    """Queue between the workers' batches and the log. Its methods run in one event loop.

    lost: rows lost before this object was made.  lost_is: called with the count whenever it rises.
    """

    def __init__(self, lost: int, lost_is: Callable[[int], None]) -> None:
        self.log: str | None = None
        self._keep_days: float | None = None
        self._last_number: dict[str, int] = {}
        self._received = self._written = self._doubles = 0
        self._lost, self._lost_is = lost, lost_is
        self._rows: list[Rows] = []
        self._waiting: list[asyncio.Future[None]] = []  # a sender for each batch of these
        self._writing = asyncio.Lock()
        self._writer: Any = None
        self._retention = Retention()

    def write_to(self, log: str | None, keep_days: float | None) -> None:
        """Sets the log for later rows; None: rows are counted and dropped."""
        self.log, self._keep_days, self._writer = log, keep_days, None

    def is_new(self, writer: str, number: int) -> bool:
        """Whether the batch comes for the first time; a second call with the same number returns False."""
        if number <= self._last_number.get(writer, -1):
            self._doubles += 1
            return False
        self._last_number[writer] = number
        return True

    async def take(self, rows: list[Rows], lost: int) -> None:
        """Takes a batch's rows; returns once they are durable, or counted as lost. lost: rows that the worker itself
        dropped.
        """
        number = how_many(rows)
        self._received += number
        if lost:
            self._lose(lost, "a worker could not keep more")
        if self.log is None or not rows:
            return
        if how_many(self._rows) + number > LARGEST_PENDING_ROWS:
            self._lose(number, "more rows came than could be written")
            return
        self._rows += rows
        done = asyncio.get_running_loop().create_future()
        self._waiting.append(done)
        await done

    def writer_died(self, left: LostRecords) -> None:
        """Counts, once, the rows that a dead worker never sent."""
        last, self._last_number[left.writer] = self._last_number.get(left.writer, -1), GONE
        lost = left.lost(last)
        if lost and self.log is not None:
            self._lose(lost, "a worker was killed before it had sent them")

    async def count_dead_writers(self, machine: Path) -> None:
        """Counts the rows that this machine's dead writers never sent. machine: see `report_dead_writers`."""
        loop = asyncio.get_running_loop()

        def report(left: LostRecords) -> None:
            loop.call_soon_threadsafe(self.writer_died, left)

        await asyncio.to_thread(report_dead_writers, machine, "", report)

    async def flush(self) -> None:
        """Returns once all received rows are in the log, or counted as lost."""
        await self._write_pending()  # includes the write under way, whose rows are no longer pending
        while self._rows:
            await self._write_pending()

    async def write(self) -> None:
        """Writes the rows received meanwhile; to be called in a loop."""
        await self._write_pending()
        await asyncio.sleep(WRITE_EVERY_S)

    def counts(self) -> dict[str, int]:
        """Rows received, written and lost, and batches that came twice."""
        return {
            "rows_received": self._received, "rows_written": self._written, "rows_lost": self._lost,
            "doubles": self._doubles,
        }  # fmt: skip

    async def _write_pending(self) -> None:
        async with self._writing:
            rows, waiting = self._rows, self._waiting
            self._rows, self._waiting = [], []
            if rows:
                error = await self._append(rows)
                if error is None:
                    self._written += how_many(rows)
                else:
                    self._lose(how_many(rows), error)
            for future in waiting:
                if not future.done():
                    future.set_result(None)

    async def _append(self, rows: list[Rows]) -> str | None:
        """Writes rows as one file of the log. Returns None, or the error after a few tries."""
        from placement.log import LogWriter

        error: BaseException | None = None
        assert self.log is not None  # rows are taken in only where there is a log
        for attempt in range(WRITE_TRIES):
            try:
                self._writer = self._writer or LogWriter(self.log)
                await asyncio.to_thread(self._writer.append, rows)
                self._retention.count_file(self.log, self._keep_days)
                return None
            except (OSError, PlacementError) as raised:
                error = raised
                await asyncio.sleep(WRITE_EVERY_S * 2**attempt)
        return str(error)

    def _lose(self, rows: int, why: str) -> None:
        self._lost += rows
        self._lost_is(self._lost)
        logger.error("%d records of the log %s are lost (%d in all): %s", rows, self.log, self._lost, why)
