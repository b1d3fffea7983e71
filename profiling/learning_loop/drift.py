"""Detection of drift: a sequential test on the errors of predicted seconds, one stream for each place of tasks.

A stream counts runs that took longer than predicted by more than a tolerance, and those that took less. While nothing
drifts, at most the share NULL_RATE of the runs is off that way. The evidence is the likelihood ratio of the shares
DRIFT_RATE and NULL_RATE, begun anew whenever it falls below 1: Page's CUSUM (Biometrika 1954) on an e-process, an
e-detector of Shin, Ramdas and Rinaldo (New England Journal of Statistics in Data Science 2023). Its mean time to a
false alarm is at least RUN_LENGTH runs of the stream, in either direction.
"""

from __future__ import annotations

import math
from collections.abc import Hashable
from typing import NamedTuple

NULL_RATE = 0.25
DRIFT_RATE = 0.75
RUN_LENGTH = 1_000_000  # runs of a stream to a false alarm, on average, at least
TOLERANCE = math.log(1.25)  # of the seconds: less is noise, or moves no decision
LARGEST_STREAMS = 10_000
_HIT = math.log(DRIFT_RATE / NULL_RATE)
_MISS = math.log((1 - DRIFT_RATE) / (1 - NULL_RATE))
_ALARM = math.log(RUN_LENGTH)


class Drift(NamedTuple):
    """An alarm. stream: where.  log_factor: mean log of observed over predicted seconds since the evidence began."""

    stream: Hashable
    log_factor: float
    runs: int


class _Evidence:
    """Log evidence of one stream in one direction, and the errors since it began."""

    __slots__ = ("errors", "log", "runs")

    def __init__(self) -> None:
        self.clear()

    def clear(self) -> None:
        """Begins anew."""
        self.log, self.errors, self.runs = 0.0, 0.0, 0

    def add(self, hit: bool, error: float) -> bool:
        """Takes one run; whether the evidence is an alarm."""
        self.log += _HIT if hit else _MISS
        self.errors += error
        self.runs += 1
        if self.log <= 0.0:
            self.clear()
        return self.log >= _ALARM


class DriftDetector:
    """The streams of all places, LARGEST_STREAMS at most; more are not watched."""

    def __init__(self) -> None:
        self._streams: dict[Hashable, tuple[_Evidence, _Evidence]] = {}

    def add(self, stream: Hashable, error: float, tolerance: float = TOLERANCE) -> Drift | None:
        """Takes the error of one run, log(observed / predicted seconds); the alarm where it completes one.

        tolerance: of the prediction's own uncertainty, where that is more than TOLERANCE.
        """
        evidence = self._streams.get(stream)
        if evidence is None:
            if len(self._streams) >= LARGEST_STREAMS:
                return None
            evidence = self._streams[stream] = (_Evidence(), _Evidence())
        wide = max(tolerance, TOLERANCE)
        for side, hit in zip(evidence, (error > wide, error < -wide), strict=True):
            if (hit or side.runs) and side.add(hit, error):
                found = Drift(stream, side.errors / side.runs, side.runs)
                self._streams[stream] = (_Evidence(), _Evidence())
                return found
        return None

    def clear(self) -> None:
        """Begins all streams anew, as after a change of the predictions."""
        self._streams.clear()
