"""Held-out accuracy against cells measured, by the order of a sweep, on the full grid of presets emulated on A-D.

A fifth of the pieces of work is held out. Of the rest pairs are measured, two cells each, in one of three orders: the
grid's, at random, and as `profiling.active_learning.acquisition` chooses, all work equally frequent. After each round
the roofline's trees are fitted to what was measured, and asked about what was held out.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from placement.spec.joint_threshold import JointThreshold
from profiling.active_learning.acquisition import FIRST_ROUND, drawn_pairs, next_pairs, unsureness
from profiling.learning.fit_residuals import fit_residuals
from profiling.learning.speedup import FittedModels

if TYPE_CHECKING:
    import pandas as pd

ORDERS = ("grid", "random", "chosen")
ROUNDS = 6
HELD_OUT = 5  # one part in so many
CELLS_OF_A_PAIR = 2


def accuracy_curves(
    frame: pd.DataFrame, seeds: Sequence[int], rounds: int = ROUNDS, rule: JointThreshold | None = None
) -> dict[str, dict[int, list[float]]]:
    """Order -> cells measured -> held-out accuracy of each seed. frame: of `profiling.dataset.frames`."""
    rule = rule or JointThreshold()
    sizes = [FIRST_ROUND * 2**number for number in range(rounds)]
    curves: dict[str, dict[int, list[float]]] = {}
    for order in ORDERS:
        each = [_curve(frame, order, seed, sizes, rule) for seed in seeds]
        by_size = zip(*each, strict=True)
        curves[order] = {size * CELLS_OF_A_PAIR: list(found) for size, found in zip(sizes, by_size, strict=True)}
    return curves


def _curve(frame: pd.DataFrame, order: str, seed: int, sizes: Sequence[int], rule: JointThreshold) -> list[float]:
    """Held-out accuracy after each of the sizes, in pairs."""
    chance = np.random.default_rng(seed)
    work = frame["preset"].factorize()[0]
    held_out = (chance.permutation(int(work.max()) + 1) % HELD_OUT == 0)[work]
    test, pool = frame[held_out], frame[~held_out].reset_index(drop=True)
    work = pool["preset"].factorize()[0]
    label = (test["label"] == "gpu").to_numpy()
    drawn = drawn_pairs(np.ones(len(pool)), len(pool), seed)
    measured, accuracies = np.array([], int), []
    fitted: FittedModels | None = None
    for size in sizes:
        if order == "grid":
            measured = np.arange(size)
        elif order == "random" or fitted is None:
            measured = drawn[:size]
        else:
            left = np.setdiff1d(np.arange(len(pool)), measured)
            unsure = unsureness(fitted.p_gpu(pool.iloc[left], rule))
            measured = np.r_[measured, left[next_pairs(unsure, work[left], size - len(measured))]]
        fitted = FittedModels(None, fit_residuals(pool.iloc[measured], seed), 1.0)
        accuracies.append(float(((fitted.p_gpu(test, rule) >= 0.5) == label).mean()))
    return accuracies
