"""What learners of pairs fit: logarithms of inputs and of speed-ups, and parts of the work to hold out.

Work is equal where its inputs are equal, whatever its name.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from placement.prediction.boosted_trees import HARDWARE, WORK, with_intensities
from placement.prediction.gaussian_process import INPUTS

if TYPE_CHECKING:
    import pandas as pd

PARTS = 4  # one part of the work is held out


def logs_of(frame: pd.DataFrame) -> np.ndarray:
    """(n, 12): logs of NUMBERS; NaN where unknown or not positive."""
    values = frame[[*HARDWARE, *WORK]].to_numpy(float)
    return with_intensities(np.log(np.where(values > 0, values, np.nan)))


def log_speedups(frame: pd.DataFrame) -> np.ndarray:
    """(n,): NaN where a run did not finish."""
    found = np.log((frame["cpu_seconds"] / frame["gpu_seconds"]).to_numpy(float))
    cut = frame["cpu_censored"].to_numpy(bool) | frame["gpu_censored"].to_numpy(bool)
    return np.where(cut | ~np.isfinite(found), np.nan, found)


def work_of(frame: pd.DataFrame) -> np.ndarray:
    """(n,) codes: rows of equal work have equal codes."""
    return frame.groupby([*INPUTS, "framework"], dropna=False, sort=True).ngroup().to_numpy()


def parts_of_work(frame: pd.DataFrame, seed: int) -> list[np.ndarray]:
    """PARTS masks (n,), drawn by the seed, equal work together; those of too little work are empty, and left out."""
    work = work_of(frame)
    part = (np.random.default_rng(seed).permutation(int(work.max()) + 1) % PARTS)[work]
    return [part == number for number in np.unique(part)]
