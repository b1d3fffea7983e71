"""The run that was not made: seconds and joules on the other device, of work that ran on one device alone.

    log seconds on a device = the roofline's + trees of the device + random effects

The trees of a device are fitted to its own rows, so that a log without a single pair will do; they tell of a row by a
fit that its work is held out of. The effects are those of the function, of the work and of the row itself: what is
timed of the same work elsewhere, or on the other device, moves the answer as far as the data say
(`profiling.learning.random_effects`). Rows are weighted by the inverse of their propensity. The imputed logarithms have
a variance, which the spread of the selector takes over (`profiling.learning.fit_residuals`).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from placement.prediction.boosted_trees import inputs_of
from placement.spec.task import DEVICES
from profiling.dataset.one_sided import described_rows
from profiling.learning.fit_boosted_trees import regressor
from profiling.learning.fit_residuals import (
    FEWEST_ROWS,
    IMPUTED_VARIANCE,
    POWER,
    SPEEDUP,
    WEIGHT,
    priors_of,
)
from profiling.learning.openmp import one_openmp_thread
from profiling.learning.pair_targets import logs_of, parts_of_work, work_of
from profiling.learning.random_effects import nested_effects

if TYPE_CHECKING:
    import pandas as pd

TREES = {**SPEEDUP, "min_samples_leaf": 20}
"""Twice the rows in a leaf of those of pairs: a device has run but a part of the work."""


@one_openmp_thread
def completed(frame: pd.DataFrame, seed: int = 0) -> pd.DataFrame:
    """The rows of a frame whose specs tell what the roofline needs, with the missing runs filled in.

    frame: of `profiling.dataset.frames`, with NaN for the seconds and joules of runs that were not made, and
    `cpu_weight`, `gpu_weight`. The result has WEIGHT and IMPUTED_VARIANCE beside its columns.
    """
    seconds = frame[[f"{device}_seconds" for device in DEVICES]].to_numpy(float)
    cut = frame[[f"{device}_censored" for device in DEVICES]].to_numpy(bool).any(axis=1)
    kept = described_rows(frame) & (seconds > 0).any(axis=1) & ~(cut & ~np.isfinite(seconds).all(axis=1))
    frame = frame[kept].reset_index(drop=True)
    if frame.empty:
        return frame
    seconds, cut = seconds[kept], cut[kept]
    made = np.isfinite(seconds)
    weights = frame[[f"{device}_weight" for device in DEVICES]].to_numpy(float)
    inputs = inputs_of(
        logs_of(frame), frame["framework"].to_list(), tuple(sorted(frame["framework"].dropna().unique()))
    )
    prior = _prior_log_seconds(frame)
    timed = np.where(made & ~cut[:, None], np.log(seconds), np.nan) - prior
    trees = _held_out_trees(inputs, timed, weights, parts_of_work(frame, seed))
    effects = nested_effects([_functions(frame), work_of(frame), np.arange(len(frame))], timed - trees)
    imputed = np.exp(prior + trees + effects.mean)
    for at, device in enumerate(DEVICES):
        missing, joules = ~made[:, at], frame[f"{device}_joules"].to_numpy(float)
        watts = _watts(inputs, joules / seconds[:, at], weights[:, at])
        frame[f"{device}_seconds"] = np.where(missing, imputed[:, at], seconds[:, at])
        frame[f"{device}_joules"] = np.where(missing, watts * imputed[:, at], joules)
    ratio = frame["gpu_joules"] / frame["cpu_joules"]
    frame["energy_ratio"] = ratio.where(~made.all(axis=1), frame["energy_ratio"].astype(float))
    frame[WEIGHT] = np.where(made.all(axis=1), 1.0, np.where(made, weights, 1.0).prod(axis=1))
    frame[IMPUTED_VARIANCE] = np.where(made, 0.0, effects.variance).sum(axis=1)
    return frame


def _functions(frame: pd.DataFrame) -> np.ndarray:
    """(n,) codes of the functions; one for all where the frame does not name them."""
    if "function" not in frame:
        return np.zeros(len(frame), int)
    return np.asarray(frame["function"].factorize(use_na_sentinel=False)[0])


def _prior_log_seconds(frame: pd.DataFrame) -> np.ndarray:
    """(n, 2): the roofline's log seconds of whole tasks."""
    told = priors_of(frame)
    steps = np.log(frame["steps"].fillna(1.0).to_numpy(float))
    return np.stack([told.log_cpu, told.log_cpu - told.speedup], axis=1) + steps[:, None]


def _held_out_trees(inputs: np.ndarray, timed: np.ndarray, weights: np.ndarray, parts: list[np.ndarray]) -> np.ndarray:
    """(n, 2): the residuals of each device by trees of its own rows outside the row's part of the work."""
    found = np.zeros_like(timed)
    for at in range(timed.shape[1]):
        known = np.isfinite(timed[:, at])
        for held in parts:
            fitted = known & ~held
            if fitted.any() and held.any():
                model = regressor(TREES).fit(inputs[fitted], timed[fitted, at], sample_weight=weights[fitted, at])
                found[held, at] = model.predict(inputs[held])
    return found


def _watts(inputs: np.ndarray, watts: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """(n,): watts of a run on a device, by trees of the runs whose energy is known; NaN where these are too few."""
    known = np.isfinite(watts) & (watts > 0)
    if known.sum() < FEWEST_ROWS:
        return np.full(len(watts), np.nan)
    model = regressor(POWER).fit(inputs[known], np.log(watts[known]), sample_weight=weights[known])
    return np.asarray(np.exp(model.predict(inputs)))
