"""DeviceUse: what a stage has done on one device so far, for `Dataset.stats()`. Pure."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import NamedTuple


class Figures(NamedTuple):
    """A stage on one device. rows: whose first result came from it.  busy_s: of computation.

    worker_s: for which workers were there, working or not.
    joules: None where they are only known later, from the node's meters; the log has them.
    """

    batches: int = 0
    rows: int = 0
    busy_s: float = 0.0
    worker_s: float = 0.0
    joules: float | None = 0.0


@dataclass
class DeviceUse:
    """The batches of one device, and the time for which its workers were there."""

    batches: int = 0
    rows: int = 0
    busy_s: float = 0.0
    joules: float | None = 0.0
    _ended_s: float = 0.0
    _since: dict[int, float] = field(default_factory=dict)  # worker -> when it began

    def open(self, worker: int, now: float) -> None:
        """A worker is there from now on."""
        self._since[worker] = now

    def close(self, worker: int, now: float) -> None:
        """A worker has gone."""
        self._ended_s += now - self._since.pop(worker, now)

    def add(self, rows: int, seconds: float, joules: float | None) -> None:
        """One more batch has ended well."""
        self.batches, self.rows, self.busy_s = self.batches + 1, self.rows + rows, self.busy_s + seconds
        self.joules = None if joules is None or self.joules is None else self.joules + joules

    def figures(self, now: float) -> Figures:
        """The figures so far."""
        worker_s = self._ended_s + sum(now - since for since in self._since.values())
        return Figures(self.batches, self.rows, self.busy_s, worker_s, self.joules)
