"""The learner's side of the placement actor: its events, kept, logged and counted, and the drifts of the history."""

from __future__ import annotations

import asyncio
import logging
import time
from collections import deque
from collections.abc import Mapping, Sequence
from typing import Any

from placement.prediction.runtime_history import History, Key, Place

LAST_EVENTS = 50
HistoryShift = tuple[Key, Place, float]
"""A key and a place of the history, and the log of the factor by which its runs take longer since a drift."""

logger = logging.getLogger("placement")


class Learning:
    """The last LAST_EVENTS events. seen_s: monotonic seconds of the learner's last call; None before the first."""

    def __init__(self) -> None:
        self.events: deque[dict[str, Any]] = deque(maxlen=LAST_EVENTS)
        self.learner: dict[str, Any] = {}
        self._seen_at: float | None = None

    async def take(
        self, state: Mapping[str, Any], events: Sequence[Mapping[str, Any]], log: str | None
    ) -> list[dict[str, Any]]:
        """Takes the learner's state and its new events, and writes these beside the log; the events with their time."""
        self._seen_at, self.learner = time.monotonic(), dict(state)
        new = [{"time_utc": time.time(), **event} for event in events]
        self.events.extend(new)
        if log is not None and new:
            try:
                await asyncio.to_thread(_write, log, new)
            except OSError as error:
                logger.warning("an event of learning could not be written beside the log %s: %s", log, error)
        return new

    def view(self, on: bool) -> dict[str, Any]:
        """The data of `placement status`, newest event first."""
        age = None if self._seen_at is None else time.monotonic() - self._seen_at
        return {"on": on, "seen_s": age, **self.learner, "events": list(self.events)[::-1]}


def shift(history: History, shifts: Sequence[HistoryShift]) -> None:
    """Takes the runs at places that drifted for what they would be now."""
    for key, place, log_factor in shifts:
        history.shift(key, Place(*place), log_factor)


def _write(log: str, events: Sequence[Mapping[str, Any]]) -> None:
    from placement.log.events import write_event

    for event in events:
        write_event(log, event)
