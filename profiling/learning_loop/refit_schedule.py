"""RefitSchedule: when a refit is due. Pure."""

from __future__ import annotations

from collections.abc import Iterable

FIRST_REFIT_ROWS = 5_000
ROWS_AFTER_DRIFT = 200  # runs after an alarm, or of new work, before their refit, so that it sees the new times
ROWS_GROWTH = 3  # each further refit waits for so many times the rows of the one before
NEW_ROWS, NEW_WORK = "new rows", "new work"


class RefitSchedule:
    """Counts rows. due: why a refit is due; empty where none is."""

    def __init__(self) -> None:
        self.rows = 0
        self.due = ""
        self._gap = self._next = FIRST_REFIT_ROWS
        self._reason = NEW_ROWS
        self._known: set[int] = set()
        self._new_work = 0

    def add(self, at: int) -> None:
        """Counts a row of a cell."""
        self.rows += 1
        self._new_work += at not in self._known
        if self._new_work == ROWS_AFTER_DRIFT and self._known:
            self.soon(NEW_WORK)
        if self.rows >= self._next and not self.due:
            self.due = self._reason

    def soon(self, reason: str, rows: int = 0) -> None:
        """Has a refit after so many more rows, at the latest."""
        self._gap = ROWS_AFTER_DRIFT
        self._next = min(self._next, self.rows + rows)
        self._reason = reason

    def over(self, known: Iterable[int]) -> None:
        """Takes note of a refit, made or failed. known: the cells that have run."""
        self._gap *= ROWS_GROWTH
        self._next = self.rows + self._gap
        self.due, self._reason = "", NEW_ROWS
        self._known = set(known)
        self._new_work = 0
