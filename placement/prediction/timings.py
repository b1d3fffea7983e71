"""Timings: warm runs of one size of task at one place; drift begins them anew."""

from __future__ import annotations

import math
from typing import NamedTuple

from placement.prediction.estimate import Spread

SMALLEST_STD = 0.05  # of log seconds: what two runs of the same work differ by on a quiet machine

DRIFT = 0.5  # StarPU's rule: a sample off by more than half contradicts the model
LARGEST_STEP = math.log(1 + DRIFT)
DRIFT_SAMPLES = 3  # as many in a row, and the entry starts anew
SHIFT_STD = 0.15  # of the log of one task's factor about that of its device's drift
EARLIER_CODE_STD = 0.5  # of log seconds: a change of the code makes it 1.6 times as fast or slow, as likely as not


class Timings(NamedTuple):
    """Warm runs of one size at one place, as log seconds. runs: how many; the first, cold one is not among them.

    mean, variance: of log seconds (sample variance, 0.0 for one run).  joules: mean of the `joules_runs` measured
    ones.  joules_error: the largest relative error told with them (0.5 is +-50 %).
    strays: runs in a row that were off by more than half.  cold: a first run was seen and set aside.
    memory_bytes: most device memory that a run held.  utilisation: the largest busy share of the GPU in a run that was
    alone there, 0-1. None where they were not told.
    """

    runs: int = 0
    mean: float = 0.0
    variance: float = 0.0
    joules: float | None = None
    strays: int = 0
    cold: bool = False
    joules_runs: int = 0
    joules_error: float = 0.0
    memory_bytes: float | None = None
    utilisation: float | None = None

    def add(self, seconds: float, joules: float | None = None, joules_error: float = 0.0) -> Timings:
        """The timings with one more run; the very first is set aside as cold; drift starts the entry anew."""
        if not self.cold:
            return self._replace(cold=True)
        x = math.log(max(seconds, 1e-9))
        stray = self.runs > 0 and abs(x - self.mean) > LARGEST_STEP
        if stray and self.strays + 1 >= DRIFT_SAMPLES:
            begun = Timings(cold=True, memory_bytes=self.memory_bytes, utilisation=self.utilisation)
            return begun.add(seconds, joules, joules_error)
        runs = self.runs + 1
        mean = self.mean + (x - self.mean) / runs
        variance = 0.0 if runs == 1 else (self.variance * (runs - 2) + (x - self.mean) * (x - mean)) / (runs - 1)
        known, mean_joules, error = self.joules_runs, self.joules, self.joules_error
        if joules is not None:
            known, error = known + 1, max(error, joules_error)
            mean_joules = joules if mean_joules is None else mean_joules + (joules - mean_joules) / known
        strays = self.strays + 1 if stray else 0
        return Timings(
            runs, mean, variance, mean_joules, strays, True, known, error, self.memory_bytes, self.utilisation
        )

    def widened(self) -> Timings:
        """The timings as those of earlier code: one run, off by EARLIER_CODE_STD or more."""
        return self._replace(
            runs=min(self.runs, 1),
            variance=max(self.variance, EARLIER_CODE_STD**2),
            strays=0,
            joules_runs=min(self.joules_runs, 1),
            joules_error=max(self.joules_error, math.expm1(EARLIER_CODE_STD)),
        )

    def shifted(self, log_factor: float) -> Timings:
        """The timings as those of one run that takes so much longer (in logarithms), as surely as a drift of the device
        tells; the watts stay.
        """
        return self._replace(
            runs=min(self.runs, 1),
            mean=self.mean + log_factor,
            variance=max(self.variance, SHIFT_STD**2),
            strays=0,
            joules=None if self.joules is None else self.joules * math.exp(log_factor),
            joules_runs=min(self.joules_runs, 1),
            joules_error=max(self.joules_error, math.expm1(SHIFT_STD)),
        )

    @property
    def spread(self) -> Spread:
        """Belief about the mean log seconds; few runs leave it wide."""
        return Spread(self.mean, math.sqrt(max(self.variance, SMALLEST_STD**2) / max(self.runs, 1)))

    @property
    def seconds(self) -> float | None:
        """Typical warm seconds (the geometric mean); None before the first warm run."""
        return math.exp(self.mean) if self.runs else None
