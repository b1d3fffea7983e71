"""Readings of a meter, and the series of joules, which only rises, made of them. Pure: no device, no clock."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from typing import Literal, Protocol

from placement.spec.task_record import Provenance

Quantity = Literal["joules", "busy_s"]

_LEVELS = ((0.0, 4096), (1.0, 4096), (60.0, 4096))
"""(seconds between points, points): at 20 Hz all of the last 3 minutes, a point a second for the last hour, one a
minute for nearly three days. A window needs points at its two ends only, and a long one may have coarser ends."""


class MeterLostError(Exception):
    """A meter's device does not answer; the message says why."""


@dataclass(frozen=True, slots=True)
class Channel:
    """One thing that a meter reads.

    name: "cpu:package-0", "gpu:<uuid>", "busy:cpu", "busy:gpu:<uuid>".
    quantity: joules, or seconds of being busy (CPU seconds of all CPUs, or a GPU's).
    rate: readings are a power (W) or a load (0-1) now, to be integrated; else a counter that rises.
    wraps_at: where a counter starts again from 0, in the reading's unit; None where it never does.
    resolution_s: seconds between changes of the reading: no shorter window can be measured.
    error: relative error of a long window.
    """

    name: str
    quantity: Quantity
    rate: bool = False
    wraps_at: float | None = None
    resolution_s: float = 0.1
    provenance: Provenance = "measured"
    error: float | None = None


class Meter(Protocol):
    """Reads one channel."""

    @property
    def channel(self) -> Channel:
        """The channel that is read."""

    def read(self) -> float:
        """The reading now, in J, W, s or 0-1. Raises MeterLostError where the device does not answer."""


def wrapped_difference(before: float, after: float, wraps_at: float | None) -> float | None:
    """The rise of a counter between two readings, across at most one wrap; None where it was reset."""
    if after >= before:
        return after - before
    if wraps_at is None or before > wraps_at:
        return None
    return wraps_at - before + after


class Accumulator:
    """A channel's readings as (time, total) points, bounded in number; total None marks a break in what is known.

    A counter gives a point where it changed, so that a window is interpolated between changes, not between looks.
    A rate is integrated by trapezoids over gaps of at most `longest_gap_s`.
    """

    def __init__(self, channel: Channel, longest_gap_s: float = 0.5) -> None:
        self.channel = channel
        self._longest_gap_s = longest_gap_s
        self._levels: list[deque[tuple[float, float | None]]] = [deque(maxlen=points) for _, points in _LEVELS]
        self._last: tuple[float, float] | None = None
        self._total = 0.0

    def add(self, time_s: float, reading: float) -> None:
        """Takes a reading of the channel. Readings that go back in time are a break."""
        before, self._last = self._last, (time_s, reading)
        if before is None:
            self._append(time_s, self._total)
            return
        rise = self._rise(before, time_s, reading)
        if rise is None:
            self._append(before[0], None)
            self._append(time_s, self._total)
        elif rise > 0:
            self._total += rise
            self._append(time_s, self._total)
        elif self.channel.rate:
            self._append(time_s, self._total)

    def lose(self, time_s: float) -> None:
        """The device did not answer: what happens from here on is not known."""
        if self._last is not None:
            self._append(time_s, None)
            self._last = None

    def _rise(self, before: tuple[float, float], time_s: float, reading: float) -> float | None:
        elapsed = time_s - before[0]
        if elapsed <= 0:
            return None
        if not self.channel.rate:
            return wrapped_difference(before[1], reading, self.channel.wraps_at)
        return elapsed * (before[1] + reading) / 2 if elapsed <= self._longest_gap_s else None

    def _append(self, time_s: float, total: float | None) -> None:
        for (apart_s, _), level in zip(_LEVELS, self._levels, strict=True):
            if total is None or not level or level[-1][1] is None or time_s - level[-1][0] >= apart_s:
                level.append((time_s, total))

    def points(self) -> list[tuple[float, float | None]]:
        """All points kept, oldest first: coarse ones before the fine ones begin."""
        fine = list(self._levels[0])
        for level in self._levels[1:]:
            begin = fine[0][0] if fine else float("inf")
            fine = [point for point in list(level) if point[0] < begin] + fine
        return fine
