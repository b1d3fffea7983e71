"""Fits the Gaussian process of the speed-up selector (see `placement.prediction.gaussian_process`) to timings: the
amplitudes by marginal likelihood, the rest in closed form.

pairs -> timings (one for each piece of work on each device) -> cells (equal work on an equal device) -> GaussianProcess
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from placement.prediction.covariance import covariance, covariances
from placement.prediction.gaussian_process import (
    AMPLITUDES,
    INPUTS,
    GaussianProcess,
    PowerRatio,
    TrainingPoints,
)
from profiling.learning.timings import check_timings, timings_of

if TYPE_CHECKING:
    import pandas as pd

SEARCH_CELLS = 300  # the amplitudes are sought on so many: they are few, and the search is cubic
MOST_CELLS = 2000
MOST_POINTS = 256  # bounds the cost of a prediction and the size of the selector file
ITERATIONS = 25
JITTER = 1e-5
BOUND_ROOM = 1.0  # a predicted speed-up exceeds the largest measured one by a factor e at most

_SHARED = (0.3, 0.6, 0.8, 0.3, 0.5, 0.05, 0.8)
_KIND = (0.1, 0.5, 0.8, 0.5, 0.5, 0.05, 0.9)
_DEVICE = (0.4, 0.05, 0.08, 0.3)
TYPICAL = (*_SHARED, *_KIND, *_DEVICE)
"""Where the search for AMPLITUDES starts, and the centre of a log-normal prior with a standard deviation of 1: a wide
belief, set by what published pairs of several sources gave."""
TYPICAL_NOISE = 0.2  # standard deviation of log seconds: 20 %
SCALE, SCALE_SPREAD = math.exp(-1.0), 1.5
"""Median of a framework's scale, and the standard deviation of its logarithm: heavy-tailed, for a few are exceptional
(NumPy runs on the CPU wherever it is sent)."""


@dataclass(frozen=True, slots=True)
class Cells:
    """Equal work on an equal device. mean (n,), variance (n,): of log seconds; count (n,): timings."""

    points: TrainingPoints
    mean: np.ndarray
    variance: np.ndarray
    count: np.ndarray

    def take(self, chosen: np.ndarray) -> Cells:
        """The cells of an array of indices."""
        return Cells(self.points.take(chosen), self.mean[chosen], self.variance[chosen], self.count[chosen])


@dataclass(frozen=True, slots=True)
class _Scales:
    """The names of the codes, and the means that logs are centred on; see GaussianProcess."""

    frameworks: tuple[str, ...]
    cpus: tuple[str, ...]
    gpus: tuple[str, ...]
    centre: np.ndarray
    low: np.ndarray
    high: np.ndarray
    gflops_centre: tuple[float, float]


def fit_ratio(frame: pd.DataFrame, seed: int = 0, like: GaussianProcess | None = None) -> GaussianProcess:
    """The model of a frame of pairs (see `profiling.dataset.frames`). seed: of the subsets, where there are too many.

    like: a model of more of the same, whose amplitudes are taken: they need no search.

    Raises LogError where there are fewer than FEWEST_CELLS pieces of work on either kind of device.
    """
    timings = timings_of(frame)
    check_timings(timings)
    scales = _scales(timings)
    cells = _cells(timings, scales)
    chance = np.random.default_rng(seed)
    cells = _at_most(MOST_CELLS, cells, chance)
    level = float(cells.mean.mean())
    if like is None:
        prior = _search(_at_most(SEARCH_CELLS, cells, chance), level, len(scales.frameworks))
    else:
        prior = _Prior.like(like, scales.frameworks)
    points, weights, factor = _condense(cells, prior, level)
    speedup = np.log(frame["cpu_seconds"] / frame["gpu_seconds"]).to_numpy()
    speedup = speedup[np.isfinite(speedup)]
    return GaussianProcess(
        scales.frameworks, scales.cpus, scales.gpus, scales.centre, scales.low, scales.high, scales.gflops_centre,
        points, tuple(prior.amplitudes.tolist()), prior.scales, weights, factor, level,
        (float(prior.noise[0]), float(prior.noise[1])),
        (float(speedup.min()) - BOUND_ROOM, float(speedup.max()) + BOUND_ROOM), power_of(frame),
    )  # fmt: skip


def _scales(timings: pd.DataFrame) -> _Scales:
    logs = np.log(timings[list(INPUTS)])
    kinds = [timings[timings["gpu"] == gpu] for gpu in (False, True)]
    gflops = [np.log(kind.drop_duplicates("device")["gflops"]).mean() for kind in kinds]
    return _Scales(
        tuple(sorted(timings["framework"].dropna().unique())),
        tuple(sorted(kinds[0]["device"].unique())),
        tuple(sorted(kinds[1]["device"].unique())),
        logs.mean().to_numpy(), logs.min().to_numpy(), logs.max().to_numpy(),
        tuple(0.0 if np.isnan(value) else float(value) for value in gflops),
    )  # fmt: skip


def _cells(timings: pd.DataFrame, scales: _Scales) -> Cells:
    keys = [*INPUTS, "framework", "device", "gpu"]
    groups = timings.groupby(keys, dropna=False, sort=True)
    cells = groups["log_seconds"].agg(["mean", "var", "size"]).reset_index()
    cells["gflops"] = groups["gflops"].mean().to_numpy()
    gpu = cells["gpu"].to_numpy(bool)
    inputs = np.log(cells[list(INPUTS)].to_numpy(float)) - scales.centre
    codes = np.where(
        gpu,
        _codes(cells["device"], scales.gpus),
        _codes(cells["device"], scales.cpus),
    )
    gflops = np.log(cells["gflops"].to_numpy(float)) - np.where(gpu, scales.gflops_centre[1], scales.gflops_centre[0])
    points = TrainingPoints(np.nan_to_num(inputs), _codes(cells["framework"], scales.frameworks), codes, gpu,
                    np.nan_to_num(gflops))  # fmt: skip
    return Cells(points, cells["mean"].to_numpy(), cells["var"].fillna(0.0).to_numpy(), cells["size"].to_numpy(float))


def _codes(names: pd.Series[Any], known: Sequence[str]) -> np.ndarray:
    place = {name: number for number, name in enumerate(known)}
    return names.map(place).fillna(-1).to_numpy(int)


def _at_most(count: int, cells: Cells, chance: np.random.Generator) -> Cells:
    if len(cells.mean) <= count:
        return cells
    return cells.take(np.sort(chance.choice(len(cells.mean), count, replace=False)))


@dataclass(frozen=True, slots=True)
class _Prior:
    """The result of the search. amplitudes: of AMPLITUDES.  noise: of CPU and GPU times.  scales: of the frameworks."""

    amplitudes: np.ndarray
    noise: np.ndarray
    scales: np.ndarray

    @classmethod
    def of(cls, logs: np.ndarray) -> _Prior:
        count = len(AMPLITUDES)
        return cls(np.exp(logs[:count]), np.exp(logs[count : count + 2]), np.exp(logs[count + 2 :]))

    @classmethod
    def like(cls, model: GaussianProcess, frameworks: Sequence[str]) -> _Prior:
        scales = dict(zip(model.frameworks, model.scales.tolist(), strict=True))
        return cls(*(np.array(v) for v in (model.amplitudes, model.noise, [scales[name] for name in frameworks])))


def _search(cells: Cells, level: float, frameworks: int) -> _Prior:
    """The prior of the largest posterior: marginal likelihood times the log-normal priors of its amplitudes."""
    from scipy.optimize import minimize

    start = np.log(np.array([*TYPICAL, TYPICAL_NOISE, TYPICAL_NOISE, *[SCALE] * frameworks]))
    spread = np.array([1.0] * (len(TYPICAL) + 2) + [SCALE_SPREAD] * frameworks)
    parts = covariances(cells.points, cells.points)
    result = minimize(
        _cost, start, args=(start, spread, parts, cells, cells.mean - level), jac=True, method="L-BFGS-B",
        bounds=[(value - 3.0, value + 2.5) for value in start], options={"maxiter": ITERATIONS},
    )  # fmt: skip
    return _Prior.of(result.x)


def _cost(
    logs: np.ndarray, start: np.ndarray, spread: np.ndarray, parts: Sequence[np.ndarray], cells: Cells,
    target: np.ndarray,
) -> tuple[float, np.ndarray]:  # fmt: skip
    """Minus the log posterior of the logs of a _Prior, and its gradient (Rasmussen and Williams 2006, eq. 5.8 and 5.9).

    A cell's timings scatter about its mean: their variance speaks for the noise beside the cells' means.
    """
    from scipy.linalg import cho_factor, cho_solve

    gpu, count, prior, code = cells.points.gpu.astype(int), cells.count, _Prior.of(logs), cells.points.framework
    by_framework = np.append(prior.scales, 0.0)[code][:, None] ** 2
    matrix, of_frameworks = parts[0].copy(), np.zeros_like(parts[0])
    for name, amplitude, part in zip(AMPLITUDES, prior.amplitudes, parts[1:], strict=True):
        if "framework" in name:
            of_frameworks += amplitude**2 * part
        else:
            matrix += amplitude**2 * part
    of_frameworks *= by_framework
    matrix += of_frameworks
    noise = prior.noise[gpu] ** 2
    matrix[np.diag_indices_from(matrix)] += noise / count + JITTER
    lower = cho_factor(matrix, lower=True)
    inverse = cho_solve(lower, np.eye(len(target)))
    solved = inverse @ target
    within, away = (count - 1) * cells.variance, (logs - start) / spread
    cost = 0.5 * target @ solved + np.log(np.diag(lower[0])).sum()
    cost += 0.5 * (within / noise + (count - 1) * np.log(noise)).sum() + 0.5 * (away**2).sum()
    slope = inverse - np.outer(solved, solved)
    scaled = slope * by_framework
    by_amplitude = [
        amplitude**2 * np.vdot(scaled if "framework" in name else slope, part)
        for name, amplitude, part in zip(AMPLITUDES, prior.amplitudes, parts[1:], strict=True)
    ]
    by_noise = np.diag(slope) * noise / count - within / noise + (count - 1)
    by_scale = np.bincount(code + 1, (slope * of_frameworks).sum(1), len(prior.scales) + 1)[1:]
    gradient = [*by_amplitude, by_noise[gpu == 0].sum(), by_noise[gpu == 1].sum(), *by_scale]
    return float(cost), np.array(gradient) + away / spread


def _condense(cells: Cells, prior: _Prior, level: float) -> tuple[TrainingPoints, np.ndarray, np.ndarray]:
    """(points, weights, factor) of GaussianProcess: exact where the cells are at most MOST_POINTS, else projected on
    the points that leave the least variance unexplained (deterministic training conditional, Quinonero-Candela and
    Rasmussen 2005)."""
    from scipy.linalg import cholesky, eigh, solve_triangular

    chosen = _pivots(cells, prior)
    points = cells.points.take(chosen)
    among = covariance(points, points, prior.amplitudes, prior.scales)
    among[np.diag_indices_from(among)] += JITTER
    lower = cholesky(among, lower=True)
    scale = np.sqrt(prior.noise[cells.points.gpu.astype(int)] ** 2 / cells.count)
    whitened = (
        solve_triangular(lower, covariance(points, cells.points, prior.amplitudes, prior.scales), lower=True) / scale
    )
    values, vectors = eigh(whitened @ whitened.T)
    values = np.maximum(values, 0.0)
    explained = vectors * np.sqrt(values / (1 + values))
    mean = vectors @ ((vectors.T @ (whitened @ ((cells.mean - level) / scale))) / (1 + values))
    weights = solve_triangular(lower.T, mean, lower=False)
    factor = solve_triangular(lower.T, explained, lower=False).T
    return points, weights, factor


def _pivots(cells: Cells, prior: _Prior) -> np.ndarray:
    """Indices of the cells to keep: pivoted Cholesky of the covariance, greedily the largest variance left."""
    count = len(cells.mean)
    if count <= MOST_POINTS:
        return np.arange(count)
    of_prior = prior.amplitudes, prior.scales
    blocks = [cells.points.take(some) for some in np.array_split(np.arange(count), count // 50)]
    left = np.concatenate([np.diag(covariance(block, block, *of_prior)) for block in blocks])
    rows, chosen = np.zeros((MOST_POINTS, count)), []
    for step in range(MOST_POINTS):
        pivot = int(np.argmax(left))
        chosen.append(pivot)
        row = covariance(cells.points.take([pivot]), cells.points, *of_prior)[0]
        rows[step] = (row - rows[:step, pivot] @ rows[:step]) / np.sqrt(max(left[pivot], JITTER))
        left = left - rows[step] ** 2
        left[chosen] = -np.inf
    return np.sort(np.array(chosen))


def power_of(frame: pd.DataFrame) -> PowerRatio | None:
    """The power ratio of the pairs whose energy ratio is known; None where there is none."""
    known = np.log((frame["energy_ratio"] * frame["cpu_seconds"] / frame["gpu_seconds"]).to_numpy(float))
    known = known[np.isfinite(known)]
    if not len(known):
        return None
    # A few pairs do not show their spread: 50 % is the error of a CPU's joules estimated from its TDP.
    prior, worth = 0.5, 4
    variance = (worth * prior**2 + ((known - known.mean()) ** 2).sum()) / (worth + len(known))
    return PowerRatio(float(known.mean()), float(np.sqrt(variance * (1 + 1 / len(known)))))
