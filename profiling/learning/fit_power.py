"""Fits the power model of a selector (see `placement.prediction.power_model`) to the joules of a frame of pairs.

A line for the log of the watts of a CPU run, and one for a GPU run, over the node's figures. Where the data do not tell
a slope (a cluster of one kind of node), it stays at the one of physics: watts in proportion to the throughput granted
on a CPU, to the TDP on a GPU. The error is measured on work held out of the fit.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from placement.prediction.power_model import HARDWARE, PowerLine, PowerModel
from profiling.learning.pair_targets import logs_of, parts_of_work

if TYPE_CHECKING:
    import pandas as pd

FEWEST_ENERGIES = 40  # below it the power is assumed
RIDGE = 1.0
LEAST_SPREAD = 0.02
SLOPES = {"cpu": {"cpu_gflops": 1.0}, "gpu": {"gpu_tdp_w": 1.0}}


def fit_power(frame: pd.DataFrame, seed: int = 0) -> PowerModel:
    """The power model of a frame (see `profiling.dataset.frames`); the assumed one where it has too few energies."""
    lines = [_line(frame, device, seed) for device in ("cpu", "gpu")]
    return PowerModel() if None in lines else PowerModel(*lines)


def _line(frame: pd.DataFrame, device: str, seed: int) -> PowerLine | None:
    watts = (frame[f"{device}_joules"] / frame[f"{device}_seconds"]).to_numpy(float)
    finished = ~frame[f"{device}_censored"].to_numpy(bool)
    known = finished & np.isfinite(watts) & (watts > 0)
    if known.sum() < FEWEST_ENERGIES:
        return None
    frame, target = frame[known], np.log(watts[known])
    logs = logs_of(frame)[:, : len(HARDWARE)]
    centre = np.nan_to_num(np.where(np.isfinite(logs), logs, 0.0).sum(0) / np.maximum(np.isfinite(logs).sum(0), 1))
    centred = np.nan_to_num(logs - centre)
    prior = np.array([SLOPES[device].get(name, 0.0) for name in HARDWARE])
    held = parts_of_work(frame, seed)[0]
    if held.any() and not held.all():
        level, slopes = _fitted(centred[~held], target[~held], prior)
        error = target[held] - level - centred[held] @ slopes
    else:
        error = target - target.mean()
    level, slopes = _fitted(centred, target, prior)
    std = max(LEAST_SPREAD, float(np.sqrt(np.mean(error**2))))
    return PowerLine(level, tuple(centre.tolist()), tuple(slopes.tolist()), std)


def _fitted(x: np.ndarray, target: np.ndarray, prior: np.ndarray) -> tuple[float, np.ndarray]:
    """(level, slopes) by least squares, the slopes drawn to the prior ones."""
    rest = target - x @ prior
    centre, scale = x.mean(0), np.maximum(x.std(0), 1e-9)
    z, level = (x - centre) / scale, float(rest.mean())
    moved = np.linalg.solve(z.T @ z + RIDGE * np.eye(z.shape[1]), z.T @ (rest - level)) / scale
    return level - float(centre @ moved), prior + moved
