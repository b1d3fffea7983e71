"""The history restored from the log's tail, where the placement actor restarts or is given another log.

Runs are remembered by config, and a config's name says nothing of whether its nodes are emulated. So what the log tells
of a config waits until a node of that config, emulated or real as its rows say, is part of the cluster.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Iterable
from typing import TYPE_CHECKING

from placement.messages.envelope import ANOTHERS_CUDA
from placement.prediction.runtime_history import History
from placement.spec.node import NodeKind

if TYPE_CHECKING:
    from placement.control_plane.history_of_rows import Entry, Node

MOST_ROWS = 1_000_000
"""Read from the log's end."""
READ_S = 2.0
"""No file is begun after so long; what was read until then is what is remembered."""
WAIT_S = 3.0
"""The longest time that the actor keeps callers waiting for it."""

logger = logging.getLogger("placement")


class HistoryRecovery:
    """Restores the history from the log's tail, once nodes of its configs run.

    Coroutines of one event loop call it; the log is read in a thread.
    """

    def __init__(self, history: History) -> None:
        self._history = history
        self._log: str | None = None
        self._waiting: dict[Node, list[Entry]] = {}
        self._reading: asyncio.Task[None] | None = None
        self._until = 0.0

    async def read(self, log: str | None) -> None:
        """Begins to read a log, unless it is None or was the last one read, and waits as `wait` does."""
        if log is not None and log != self._log:
            self._log, self._waiting = log, {}
            self._until = time.monotonic() + WAIT_S
            self._reading = asyncio.create_task(self._read(log))
        await self.wait()

    async def wait(self) -> None:
        """Returns once the log is read, WAIT_S after its begin at the latest."""
        reading, left = self._reading, self._until - time.monotonic()
        if reading is not None and left > 0 and not reading.done():
            await asyncio.wait({reading}, timeout=left)

    @property
    def waits(self) -> bool:
        """Something of the log waits for its nodes."""
        return bool(self._waiting)

    def release(self, kinds: Iterable[NodeKind]) -> None:
        """Adds to the history what waits for these kinds of node."""
        for kind in kinds:
            node = (kind.spec.config, kind.spec.emulated)
            for entry in self._waiting.pop(node, ()):
                self._history.restore(entry.key, entry.nodes[node])

    async def _read(self, log: str) -> None:
        try:
            entries = await asyncio.to_thread(entries_in, log)
        except Exception as error:  # tasks are placed as if they had never run
            logger.warning("the history cannot be restored from the log %s: %s", log, error)
            return
        if log == self._log:
            for entry in entries:
                for node in entry.nodes:
                    self._waiting.setdefault(node, []).append(entry)


def entries_in(log: str) -> list[Entry]:
    """The history that the end of a log tells, as `entries_of` gives it."""
    from placement.control_plane.history_of_rows import COLUMNS, RowArrays, entries_of
    from placement.log.tail import read_tail

    tail = read_tail(log, COLUMNS, MOST_ROWS, READ_S)
    return entries_of(RowArrays(tail.numbers, tail.texts, lambda fallback: not fallback.startswith(ANOTHERS_CUDA)))
