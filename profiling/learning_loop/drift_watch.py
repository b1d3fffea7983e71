"""DriftWatch: runs against what was predicted, by earlier runs or by the champion; and histories moved by a drift.

Where one config has drifted, the other configs' runs on that device are tested with it, and those that drift likewise
are corrected with it; the alarm waits for those in doubt, at most until its own evidence has doubled. To correct one
config alone would say that no other has drifted: beliefs pass what runs on one kind of node have shown on to the other
kinds, and a correction of that kind alone takes it away from them.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

from placement.prediction.timings import Timings
from placement.spec.task import Device
from profiling.learning_loop.beliefs import CellHistory, SelectorView
from profiling.learning_loop.drift import TOLERANCE, Drift, DriftDetector

REFERENCE_RUNS = 8  # whose mean is the prediction of later runs at a place
SPREADS = 2.0  # standard deviations of a selector's estimate by which a run may be off


class Stream(NamedTuple):
    """A stream of prediction errors. function: None for all.

    by_runs: predicted by earlier runs, else by the champion.
    """

    function: str | None
    config: str
    device: Device
    by_runs: bool

    @property
    def whole_device(self) -> bool:
        """Whether its alarm is a drift of all that runs on the device."""
        return self.by_runs and self.function is None


class CellShift(NamedTuple):
    """Runs of a cell on a device from before a drift: their times are now so many times as long, in logarithms."""

    cell: int
    device: Device
    log_factor: float


class Alarm(NamedTuple):
    """A drift that was found. shifted: cells whose runs were moved by it."""

    stream: Stream
    log_factor: float
    runs: int
    shifted: int


class DriftWatch:
    """shifts: of the history by drifts, for whoever drives the loop to take."""

    def __init__(self, history: CellHistory) -> None:
        self.shifts: list[CellShift] = []
        self._history = history
        self._detector = DriftDetector()
        self._reference: dict[tuple[int, Device], tuple[int, float]] = {}
        self._doubted: set[Stream] = set()

    def add(self, champion: SelectorView, at: int, device: Device, log_seconds: float) -> list[Alarm]:
        """Takes a run before the history does; the drifts that it completes, by which the history is moved."""
        predicted = self._predicted(champion, at, device, log_seconds)
        if predicted is None:
            return []
        mean, tolerance, by_runs = predicted
        cell = self._history.cells[at]
        for function in (None, cell.function):
            stream = Stream(function, cell.node.config, device, by_runs)
            if stream in self._doubted:
                continue
            found = self._detector.add(stream, log_seconds - mean, tolerance)
            if found is not None:  # while that of the device waits, a function's would be but a part of it
                return self._alarms(stream, found)
        return []

    def trust_again(self) -> None:
        """Watches all estimates again, as after a change of the champion."""
        self._doubted.clear()

    def _predicted(
        self, champion: SelectorView, at: int, device: Device, log_seconds: float
    ) -> tuple[float, float, bool] | None:
        """(log seconds, tolerance, whether by runs): by the first runs at the place since the last drift; until there
        are enough, by the champion.
        """
        key = (at, device)
        runs, mean = self._reference.get(key, (0, 0.0))
        if runs >= REFERENCE_RUNS:
            return mean, TOLERANCE, True
        if self._history.timings[at][device == "gpu"].cold:  # the first run is set aside
            self._reference[key] = (runs + 1, mean + (log_seconds - mean) / (runs + 1))
        prior = champion.prior(at)
        seconds = None if prior is None else prior.seconds_on(device)
        std = None if prior is None else prior.basis_on(device).seconds_std
        return (math.log(seconds), SPREADS * std, False) if seconds and std is not None else None

    def _alarms(self, stream: Stream, found: Drift) -> list[Alarm]:
        """The alarm of a drift and of those of other configs that come with it; none while some are in doubt."""
        if not stream.by_runs:
            return [self._alarm(stream, found)]
        configs = {cell.node.config for cell in self._history.cells} - {stream.config}
        others = [stream._replace(config=config) for config in sorted(configs)]
        if found.may_wait and any(self._detector.in_doubt(found, other) for other in others):
            return []
        drifts = [(other, self._detector.likewise(found, other)) for other in others]
        return [self._alarm(stream, found), *(self._alarm(other, drift) for other, drift in drifts if drift)]

    def _alarm(self, stream: Stream, found: Drift) -> Alarm:
        shifted = 0
        if stream.by_runs:
            shifted = self._shift(stream, found.log_factor)
            self._detector.clear(lambda one: (one.config, one.device) == (stream.config, stream.device))
        else:
            self._doubted.add(stream)  # until another champion serves: this one stays as wrong as it is
            self._detector.clear(lambda one: one == stream)
        return Alarm(stream, found.log_factor, found.runs, shifted)

    def _shift(self, stream: Stream, log_factor: float) -> int:
        """Takes the runs of before a drift for what they would be now; the number of cells."""
        before = len(self.shifts)
        for at, cell in enumerate(self._history.cells):
            if cell.node.config == stream.config and stream.function in (None, cell.function):
                reference = self._reference.pop((at, stream.device), (0, 0.0))
                if still_old(self._history.timings[at][stream.device == "gpu"], reference, log_factor):
                    self._history.shift(at, stream.device, log_factor)
                    self.shifts.append(CellShift(at, stream.device, log_factor))
        return len(self.shifts) - before


def reason_of(streams: Sequence[Stream]) -> str:
    """The reason of a refit or a swap after alarms of streams that differ in their configs alone."""
    first, configs = streams[0], ", ".join(stream.config for stream in streams)
    return f"{'drift' if first.by_runs else 'wrong estimates'} of {configs} {first.device}"


def still_old(timings: Timings, reference: tuple[int, float], log_factor: float) -> bool:
    """Whether timings are those of before a drift: nearer to the reference of before than to what it has become.

    Those of too few runs for a reference are taken for old: work that runs so rarely has hardly run since.
    """
    runs, before = reference
    if not timings.runs or runs < REFERENCE_RUNS:
        return timings.runs > 0
    return abs(timings.mean - before) < abs(timings.mean - before - log_factor)
