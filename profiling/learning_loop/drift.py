"""Detection of drift: a sequential test on the errors of predicted seconds, one stream for each place of tasks.

A stream counts runs that took longer than predicted by more than a tolerance, and those that took less. While nothing
drifts, at most the share NULL_RATE of the runs is off that way. The evidence is the likelihood ratio of the shares
DRIFT_RATE and NULL_RATE, begun anew whenever it falls below 1: Page's CUSUM (Biometrika 1954) on an e-process, an
e-detector of Shin, Ramdas and Rinaldo (New England Journal of Statistics in Data Science 2023). Its mean time to a
false alarm is at least RUN_LENGTH runs of the stream, in either direction.

Streams seldom drift alone: an update or hot weather changes many at once. Once one has raised an alarm, less evidence
will do for those like it. By Lundberg's inequality the evidence of a stream that does not drift exceeds 1 / LIKEWISE at
a given moment with a probability of at most LIKEWISE. An alarm may wait for those in doubt.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Hashable
from typing import Any, NamedTuple

NULL_RATE = 0.25
DRIFT_RATE = 0.75
RUN_LENGTH = 1_000_000  # runs of a stream to a false alarm, on average, at least
LIKEWISE = 0.001  # probability that a stream is taken to drift with another one, and does not
TOLERANCE = math.log(1.25)  # of the seconds: less is noise, or moves no decision
LARGEST_STREAMS = 10_000
_HIT = math.log(DRIFT_RATE / NULL_RATE)
_MISS = math.log((1 - DRIFT_RATE) / (1 - NULL_RATE))
_ALARM = math.log(RUN_LENGTH)
_LIKEWISE_ALARM = -math.log(LIKEWISE)


class Drift(NamedTuple):
    """An alarm. stream: where.  log_factor: mean log of observed over predicted seconds since the evidence began.

    may_wait: whether its evidence is still less than twice that of an alarm, in logarithms.
    """

    stream: Hashable
    log_factor: float
    runs: int
    may_wait: bool


class _Evidence:
    """Log evidence of one stream in one direction, and the errors since it began."""

    __slots__ = ("errors", "log", "runs")

    def __init__(self) -> None:
        self.clear()

    def clear(self) -> None:
        """Begins anew."""
        self.log, self.errors, self.runs = 0.0, 0.0, 0

    def add(self, hit: bool, error: float) -> None:
        """Takes one run."""
        self.log += _HIT if hit else _MISS
        self.errors += error
        self.runs += 1
        if self.log <= 0.0:
            self.clear()

    def drift(self, stream: Hashable) -> Drift:
        """The drift that the evidence is of."""
        return Drift(stream, self.errors / self.runs, self.runs, self.log < 2 * _ALARM)


class DriftDetector:
    """The streams of all places, LARGEST_STREAMS at most; more are not watched."""

    def __init__(self) -> None:
        self._streams: dict[Hashable, tuple[_Evidence, _Evidence]] = {}

    def add(self, stream: Hashable, error: float, tolerance: float = TOLERANCE) -> Drift | None:
        """Takes the error of one run, log(observed / predicted seconds); the alarm where there is one, until `clear`.

        tolerance: of the prediction's own uncertainty, where that is more than TOLERANCE.
        """
        evidence = self._streams.get(stream)
        if evidence is None:
            if len(self._streams) >= LARGEST_STREAMS:
                return None
            evidence = self._streams[stream] = (_Evidence(), _Evidence())
        wide = max(tolerance, TOLERANCE)
        for side, hit in zip(evidence, (error > wide, error < -wide), strict=True):
            if hit or side.runs:
                side.add(hit, error)
        return next((side.drift(stream) for side in evidence if side.log >= _ALARM), None)

    def likewise(self, found: Drift, stream: Hashable) -> Drift | None:
        """The drift of another stream in the direction of one that was found, where there is evidence of it."""
        side = self._side(found, stream)
        return side.drift(stream) if side.log >= _LIKEWISE_ALARM else None

    def in_doubt(self, found: Drift, stream: Hashable) -> bool:
        """Whether there is some evidence that another stream drifts like one that was found, but too little."""
        return 0.0 < self._side(found, stream).log < _LIKEWISE_ALARM

    def _side(self, found: Drift, stream: Hashable) -> _Evidence:
        sides = self._streams.get(stream)
        return sides[found.log_factor < 0.0] if sides else _Evidence()

    def clear(self, changed: Callable[[Any], bool]) -> None:
        """Begins the streams anew whose predictions have changed."""
        self._streams = {stream: sides for stream, sides in self._streams.items() if not changed(stream)}
