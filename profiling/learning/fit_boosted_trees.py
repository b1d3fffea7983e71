"""Fits the trees of the ratio selector (see `placement.prediction.boosted_trees`), and the errors of
curves and trees.

The trees are scikit-learn's histogram gradient boosting, taken over as plain data. The error of a prediction is
measured on work held out of a fit: work is equal where its inputs are equal, whatever its name.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import accumulate
from typing import TYPE_CHECKING, Any

import numpy as np

from placement.errors import LogError
from placement.prediction.boosted_trees import (
    HARDWARE,
    KERNELS,
    NUMBERS,
    OF_KERNELS,
    WORK,
    BoostedTrees,
    Times,
    inputs_of,
    with_intensities,
)
from placement.prediction.gaussian_process import INPUTS
from placement.prediction.prepared_trees import GIGA
from placement.prediction.tree_ensemble import UNKNOWN, Forest, Tree
from profiling.learning.fit_gaussian_process import power_of
from profiling.learning.one_thread import one_thread

if TYPE_CHECKING:
    import pandas as pd

FEWEST_ROWS = 40  # below it trees, with 20 rows in a leaf, have nothing to split
FEWEST_ENERGIES = 40  # below it the power ratio is one figure
PARTS = 4  # one part of the work is held out
EDGE = 0.1  # of the FLOPs' distribution, at either end: held out to see what extrapolating is worth
RIDGE = 1.0
SPEEDUP_TREES: dict[str, Any] = {"max_iter": 60, "max_leaf_nodes": 31, "learning_rate": 0.15}
POWER_TREES: dict[str, Any] = {"max_iter": 30, "max_leaf_nodes": 16, "learning_rate": 0.15}
TIMES_TREES: dict[str, Any] = {"max_iter": 20, "max_leaf_nodes": 31, "learning_rate": 0.25}
LEAST_SPREAD = 0.02


def logs_of(frame: pd.DataFrame) -> np.ndarray:
    """(n, 12): logs of NUMBERS; NaN where unknown or not positive."""
    values = frame[[*HARDWARE, *WORK]].to_numpy(float)
    return with_intensities(np.log(np.where(values > 0, values, np.nan)))


def log_speedups(frame: pd.DataFrame) -> np.ndarray:
    """(n,): NaN where a run did not finish."""
    found = np.log((frame["cpu_seconds"] / frame["gpu_seconds"]).to_numpy(float))
    cut = frame["cpu_censored"].to_numpy(bool) | frame["gpu_censored"].to_numpy(bool)
    return np.where(cut | ~np.isfinite(found), np.nan, found)


def log_shortfalls(frame: pd.DataFrame, logs: np.ndarray) -> np.ndarray:
    """(n,): log of a CPU's seconds of a step over those at its full throughput; NaN where that is unknown.

    logs: of `logs_of`.
    """
    seconds = (frame["cpu_seconds"] / frame["steps"].fillna(1.0)).to_numpy(float)
    work = logs[:, NUMBERS.index("flops")] - logs[:, NUMBERS.index("cpu_gflops")] - GIGA
    return np.asarray(np.log(np.where(seconds > 0, seconds, np.nan)) - work)


def work_of(frame: pd.DataFrame) -> np.ndarray:
    """(n,) codes: rows of equal work have equal codes."""
    return frame.groupby([*INPUTS, "framework"], dropna=False, sort=True).ngroup().to_numpy()


def parts_of_work(frame: pd.DataFrame, seed: int) -> list[np.ndarray]:
    """PARTS masks (n,), drawn by the seed, equal work together; those of too little work are empty, and left out."""
    work = work_of(frame)
    part = (np.random.default_rng(seed).permutation(int(work.max()) + 1) % PARTS)[work]
    return [part == number for number in np.unique(part)]


def held_out_work(frame: pd.DataFrame, seed: int) -> np.ndarray:
    """(n,): mask of one part of the work, drawn by the seed."""
    return parts_of_work(frame, seed)[0]


@one_thread
def speedups_by_trees(train: pd.DataFrame, test: pd.DataFrame) -> np.ndarray:
    """(n,): log speed-ups of the test rows. Raises LogError where the others are too few."""
    target = log_speedups(train)
    known = np.isfinite(target)
    if known.sum() < FEWEST_ROWS / 2:
        raise LogError(f"nothing to learn from: {int(known.sum())} pairs; trees take {FEWEST_ROWS // 2} at least.")
    names = tuple(sorted(train["framework"].dropna().unique()))
    seen, asked = (inputs_of(logs_of(frame), frame["framework"].to_list(), names) for frame in (train[known], test))
    found: np.ndarray = _regressor(SPEEDUP_TREES).fit(seen, target[known]).predict(asked)
    return found


@one_thread
def fit_trees(frame: pd.DataFrame, seed: int = 0) -> BoostedTrees | None:
    """The trees of a frame of pairs (see `profiling.dataset.frames`); None where it has fewer than FEWEST_ROWS."""
    target = log_speedups(frame)
    known = np.isfinite(target)
    if known.sum() < FEWEST_ROWS:
        return None
    frame, target = frame[known], target[known]
    logs = logs_of(frame)
    names = tuple(sorted(frame["framework"].dropna().unique()))
    inputs = inputs_of(logs, frame["framework"].to_list(), names)
    without = inputs.copy()
    without[:, OF_KERNELS] = UNKNOWN
    centre, slopes, power, power_std = _power(frame, logs, without, target, seed)
    sums = [_boosted(inputs, target, SPEEDUP_TREES), power]
    if np.isfinite(logs[:, KERNELS]).all():
        sums.append(_boosted(without, target, SPEEDUP_TREES))
    work, edge = held_out_work(frame, seed), _edge(frame)
    shortfall = log_shortfalls(frame, logs)
    times = None
    timed = np.isfinite(shortfall)
    of_speedup = _errors(inputs, target, work)
    if timed.sum() >= FEWEST_ROWS:
        sums.append(_boosted(*_twice(inputs[timed], shortfall[timed]), TIMES_TREES))
        times = _times(
            inputs[timed], target[timed], shortfall[timed], work[timed],
            None if of_speedup is None else of_speedup[timed[work]],
        )  # fmt: skip
    within, *others = (
        _rms(target - target.mean() if errors is None else errors)
        for errors in (of_speedup, *(_errors(inputs, target, mask) for mask in (edge, _some_gpus(frame))))
    )
    return BoostedTrees(
        names, _forest(inputs.shape[1], sums),
        centre, slopes, _over(np.nanmin, logs), _over(np.nanmax, logs), within, max(within, *others), power_std, times,
    )  # fmt: skip


def _twice(inputs: np.ndarray, target: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The rows twice, once with unknown kernels, so that one sum of trees serves tasks with and without them."""
    without = inputs.copy()
    without[:, OF_KERNELS] = UNKNOWN
    return np.vstack([inputs, without]), np.tile(target, 2)


def _times(
    inputs: np.ndarray, speedup: np.ndarray, shortfall: np.ndarray, held: np.ndarray, of_speedup: np.ndarray | None
) -> Times:
    """Standard errors of the log seconds of both devices on the rows of a mask, fitted on the others.

    of_speedup: standard error of the log speed-up on these rows.
    """
    if of_speedup is None or not len(of_speedup) or (~held).sum() < FEWEST_ROWS / 2:
        return Times(*(_rms(log - log.mean()) for log in (shortfall, shortfall - speedup)))
    seen = _twice(inputs[~held], shortfall[~held])
    of_cpu = _regressor(TIMES_TREES).fit(*seen).predict(inputs[held]) - shortfall[held]
    return Times(_rms(of_cpu), _rms(of_cpu - of_speedup))


def _forest(inputs: int, sums: Sequence[tuple[list[Tree], float]]) -> Forest:
    """Sums of trees, each with the constant that it is added to."""
    ends = tuple(accumulate(len(trees) for trees, _ in sums))
    return Forest(inputs, tuple(tree for trees, _ in sums for tree in trees), ends, tuple(base for _, base in sums))


def _boosted(inputs: np.ndarray, target: np.ndarray, options: dict[str, Any]) -> tuple[list[Tree], float]:
    """The trees, and the constant that they are added to."""
    model = _regressor(options).fit(inputs, target)
    return [_tree(each[0].nodes) for each in model._predictors], float(np.ravel(model._baseline_prediction)[0])


def _regressor(options: dict[str, Any]) -> Any:
    from sklearn.ensemble import HistGradientBoostingRegressor

    return HistGradientBoostingRegressor(random_state=0, early_stopping=False, **options)


def _tree(nodes: Any) -> Tree:
    """scikit-learn's nodes as a Tree: leaves are numbered as they are met, left part first."""
    splits: list[tuple[int, float, int, int]] = []
    values: list[float] = []

    def walk(at: int) -> None:
        node = nodes[at]
        if node["is_leaf"]:
            values.append(float(f"{node['value']:.7g}"))
            return
        first = len(values)
        walk(int(node["left"]))
        splits.append((int(node["feature_idx"]), float(node["num_threshold"]), first, len(values)))
        walk(int(node["right"]))

    walk(0)
    return Tree(tuple(splits), tuple(values))


def _power(
    frame: pd.DataFrame, logs: np.ndarray, inputs: np.ndarray, speedup: np.ndarray, seed: int
) -> tuple[np.ndarray, np.ndarray, tuple[list[Tree], float], float | None]:
    """(centre, slopes, (trees, base), standard deviation) of the log power ratio."""
    logs = logs[:, : len(HARDWARE)]
    centre, none = _over(np.nanmean, logs), np.zeros(logs.shape[1])
    power = np.log(frame["energy_ratio"].to_numpy(float)) + speedup
    known = np.isfinite(power)
    if known.sum() < FEWEST_ENERGIES:
        one = power_of(frame)
        return centre, none, ([], one.mean if one else 0.0), one.std if one else None
    logs, inputs, power = logs[known], inputs[known], power[known]
    centred = np.nan_to_num(logs - centre)

    def fitted(rows: np.ndarray) -> tuple[float, np.ndarray]:
        scale = np.maximum(centred[rows].std(0), 1e-9)
        x, level = centred[rows] / scale, float(power[rows].mean())
        x = x - x.mean(0)
        found = np.linalg.solve(x.T @ x + RIDGE * np.eye(x.shape[1]), x.T @ (power[rows] - level)) / scale
        return level - float(centred[rows].mean(0) @ found), found

    held = held_out_work(frame[known], seed)
    level, slopes = fitted(~held)
    rest = _regressor(POWER_TREES).fit(inputs[~held], (power - level - centred @ slopes)[~held])
    error = (power - level - centred @ slopes)[held] - rest.predict(inputs[held])
    level, slopes = fitted(np.ones(len(power), bool))
    trees, base = _boosted(inputs, power - level - centred @ slopes, POWER_TREES)
    return centre, slopes, (trees, level + base), max(LEAST_SPREAD, float(np.sqrt(np.mean(error**2))))


def _errors(inputs: np.ndarray, target: np.ndarray, held: np.ndarray) -> np.ndarray | None:
    """Standard error of trees on the rows of a mask, fitted on the others; None where either part has too few rows."""
    if not held.any() or (~held).sum() < FEWEST_ROWS / 2:
        return None
    found: np.ndarray = _regressor(SPEEDUP_TREES).fit(inputs[~held], target[~held]).predict(inputs[held])
    return found - target[held]


def _rms(errors: np.ndarray) -> float:
    return max(LEAST_SPREAD, float(np.sqrt(np.mean(errors**2))))


def _edge(frame: pd.DataFrame) -> np.ndarray:
    flops = frame["flops"].to_numpy(float)
    known = flops[np.isfinite(flops)]
    if not len(known):
        return np.zeros(len(flops), bool)
    low, high = np.quantile(known, [EDGE, 1 - EDGE])
    return (flops < low) | (flops > high)


def _some_gpus(frame: pd.DataFrame) -> np.ndarray:
    """One kind of GPU in PARTS: the largest among them."""
    gpus = frame.groupby("gpu_device")["gpu_gflops"].mean().sort_values(ascending=False, kind="stable").index
    return frame["gpu_device"].isin(list(gpus[::PARTS]) if len(gpus) > 1 else []).to_numpy()


def _over(what: Any, logs: np.ndarray) -> np.ndarray:
    """A statistic of each column's known values; NaN where there are none."""
    known: Iterable[np.ndarray] = (column[np.isfinite(column)] for column in logs.T)
    return np.array([float(what(column)) if len(column) else np.nan for column in known])
