"""Fits the corrections of the roofline (see `placement.prediction.residual_trees`) to a frame of pairs.

Corrections of speed-up and CPU seconds are trees on what the roofline leaves over. Their variance is fitted to squared
errors on work, and on devices, held out of a fit, so that each row has a spread of its own.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from placement.errors import LogError
from placement.prediction.boosted_trees import NUMBERS, OF_KERNELS, inputs_of
from placement.prediction.device_rates import rates
from placement.prediction.prepared_residuals import LARGEST_LOG_VARIANCE, LEAST_STD
from placement.prediction.residual_trees import (
    BOUNDED,
    FARTHEST,
    POWER_STD,
    ROOFLINE_ALONE,
    Region,
    ResidualTrees,
    log_power_by_tdp,
)
from placement.prediction.roofline import roofline
from placement.prediction.task_work import HOST_ONLY, work
from placement.prediction.tree_ensemble import UNKNOWN
from profiling.dataset.one_sided import described_rows
from profiling.learning.fit_boosted_trees import boosted, forest_of_sums, regressor
from profiling.learning.openmp import one_openmp_thread
from profiling.learning.pair_targets import PARTS, log_speedups, logs_of, parts_of_work, work_of

if TYPE_CHECKING:
    import pandas as pd

L2 = {"l2_regularization": 2.0}
"""In pieces of work, as `weights_of` counts them: what a leaf of one piece tells may be that piece's own error."""
SPEEDUP: dict[str, Any] = {"max_iter": 100, "max_leaf_nodes": 31, "learning_rate": 0.12, "min_samples_leaf": 10, **L2}
SECONDS: dict[str, Any] = {"max_iter": 40, "max_leaf_nodes": 31, "learning_rate": 0.2, "min_samples_leaf": 20, **L2}
VARIANCE: dict[str, Any] = {"max_iter": 30, "max_leaf_nodes": 16, "learning_rate": 0.12, "min_samples_leaf": 20}
POWER: dict[str, Any] = {"max_iter": 30, "max_leaf_nodes": 16, "learning_rate": 0.15, "min_samples_leaf": 10}
FEWEST_ROWS = 40  # below it trees have nothing to split
FEWEST_IN_REGION = 4
FEWEST_OF_FAMILY = 30
LEAST_SQUARE = 4e-4  # of an error: two runs of the same work differ by so much
LOG_SQUARE = 1.27
"""Minus the mean of the logarithm of the square of a standard normal variable, which a fit to such logarithms lacks."""
WEIGHT, IMPUTED_VARIANCE = "weight", "imputed_variance"
"""Columns of frames with imputed runs (`profiling.learning.counterfactuals`): weights of rows, variances of logs."""
PRIOR = ("flops", "input_bytes", "parameters", "batch_size", "kernels", "framework", "inputs_on_device",
         "cpu_gflops", "gpu_gflops", "gpu_memory_gb", "gpu_tdp_w")  # fmt: skip


class Priors(NamedTuple):
    """The roofline's answers about the rows of a frame, (n,) each: logarithms of a step's CPU seconds, the speed-up,
    its standard deviation, and the power ratio by the TDPs.
    """

    log_cpu: np.ndarray
    speedup: np.ndarray
    std: np.ndarray
    power: np.ndarray


class Predictions(NamedTuple):
    """A model's predictions of the rows of a frame, (n,) each: logarithms and standard deviations as in
    `ResidualBelief`.
    """

    speedup: np.ndarray
    std: np.ndarray
    power: np.ndarray
    power_std: np.ndarray
    support: np.ndarray

    @property
    def alone(self) -> np.ndarray:
        """Mask of rows (n,) that rest on the roofline alone."""
        return self.support < ROOFLINE_ALONE


def priors_of(frame: pd.DataFrame, *, kernels: bool = True) -> Priors:
    """The roofline of each row. kernels: False takes the launches as unknown."""
    columns = {name: frame.get(name, np.nan) for name in PRIOR}
    import pandas as pd

    table = pd.DataFrame(columns, index=frame.index).astype(object)
    if not kernels:
        table["kernels"] = None
    known: dict[tuple[Any, ...], tuple[float, float, float]] = {}
    rows = []
    for row in table.where(table.notna(), None).itertuples(index=False, name=None):
        if row not in known:
            of = work(*row[:6], bool(row[6]))
            known[row] = roofline(of, rates(row[7] or 500.0, row[8] or 10_000.0, row[9], row[10]))
        rows.append(known[row])
    found = np.array(rows, float).reshape(-1, 3)
    tdps = zip(*(_tdp(frame, name) for name in ("cpu_tdp_w", "gpu_tdp_w")), strict=True)
    return Priors(found[:, 0], found[:, 1], found[:, 2], np.array([log_power_by_tdp(*pair) for pair in tdps]))


def _tdp(frame: pd.DataFrame, name: str) -> list[float | None]:
    return [value if value > 0 else None for value in frame[name].astype(float)]


@one_openmp_thread
def fit_residuals(frame: pd.DataFrame, seed: int = 0) -> ResidualTrees | None:
    """The corrections of a frame (see `profiling.dataset.frames`); None where it has fewer than FEWEST_ROWS pairs."""
    known = np.isfinite(log_speedups(frame)) & described_rows(frame)
    if known.sum() < FEWEST_ROWS:
        return None
    frame = frame[known].reset_index(drop=True)
    names = tuple(sorted(frame["framework"].dropna().unique()))
    inputs = inputs_of(logs_of(frame), frame["framework"].to_list(), names)
    told, untold = priors_of(frame), priors_of(frame, kernels=False)
    speedups, seconds, weights = log_speedups(frame), _log_cpu(frame), weights_of(frame)
    squares = _held_out_squares(frame, inputs, speedups, told, seed)
    power, power_std = _power(frame, inputs, told, seed)
    both, halves = _twice(inputs), np.tile(weights / 2, 2)
    sums = [
        boosted(both, np.r_[speedups - told.speedup, speedups - untold.speedup], SPEEDUP, halves),
        boosted(both, np.r_[seconds - told.log_cpu, seconds - untold.log_cpu], SECONDS, halves),
        squares,
        power,
    ]
    return ResidualTrees(names, forest_of_sums(inputs.shape[1], sums), regions_of(frame), power_std)


@one_openmp_thread
def speedups_by_trees(train: pd.DataFrame, test: pd.DataFrame) -> np.ndarray:
    """(n,): log speed-ups of the test rows by a fit to the others. Raises LogError where those are too few."""
    target = log_speedups(train)
    known = np.isfinite(target)
    if known.sum() < FEWEST_ROWS / 2:
        raise LogError(f"nothing to learn from: {int(known.sum())} pairs; trees take {FEWEST_ROWS // 2} at least.")
    names = tuple(sorted(train["framework"].dropna().unique()))
    seen, asked = (inputs_of(logs_of(frame), frame["framework"].to_list(), names) for frame in (train[known], test))
    rest = target[known] - priors_of(train[known]).speedup
    model = regressor(SPEEDUP).fit(seen, rest, sample_weight=weights_of(train[known]))
    return np.asarray(priors_of(test).speedup + model.predict(asked))


def weights_of(frame: pd.DataFrame) -> np.ndarray:
    """(n,): weights of the rows, whose sum is the number of pieces of work.

    The rows of one piece of work err alike and count as one together. Every source counts alike: the rows of a large
    source are much alike, and would else have all the leaves.
    """
    import pandas as pd

    source = frame["source_name"].astype(object).fillna("") if "source_name" in frame else pd.Series("", frame.index)
    work = pd.Series(work_of(frame), frame.index)
    each = 1.0 / work.groupby([source, work]).transform("size")
    of_source = each.groupby(source).transform("sum")
    return _column(frame, WEIGHT, 1.0) * (each * each.sum() / of_source / source.nunique()).to_numpy(float)


def _column(frame: pd.DataFrame, name: str, default: float) -> np.ndarray:
    return frame[name].to_numpy(float) if name in frame else np.full(len(frame), default)


def _twice(inputs: np.ndarray) -> np.ndarray:
    """The rows twice, once with unknown kernels, as few specs written by hand tell them."""
    without = inputs.copy()
    without[:, OF_KERNELS] = UNKNOWN
    return np.vstack([inputs, without])


def _log_cpu(frame: pd.DataFrame) -> np.ndarray:
    """(n,): log of a step's CPU seconds."""
    return np.asarray(np.log((frame["cpu_seconds"] / frame["steps"].fillna(1.0)).to_numpy(float)))


def _held_out_squares(frame: pd.DataFrame, inputs: np.ndarray, speedups: np.ndarray, told: Priors, seed: int) -> Any:
    """Trees of the log variance, fitted to squared errors on what was held out."""
    target, rows, squares = speedups - told.speedup, [], []
    weights, imputed = weights_of(frame), _column(frame, IMPUTED_VARIANCE, 0.0)
    # No error on an imputed run holds what it is off by: that is drawn, so that LOG_SQUARE holds of the squares.
    drawn = np.sqrt(imputed) * np.random.default_rng(seed).normal(size=len(frame))
    for held in _held_out(frame, seed):
        if not held.any() or (~held).sum() < FEWEST_ROWS / 2:
            continue
        model = regressor(SPEEDUP).fit(inputs[~held], target[~held], sample_weight=weights[~held])
        errors = model.predict(inputs[held]) - target[held] + drawn[held]
        rows.append(np.flatnonzero(held))
        squares.append(errors**2)
    if not rows:
        rows, squares = [np.arange(len(target))], [(target - target.mean()) ** 2]
    logs = np.log(np.concatenate(squares) + LEAST_SQUARE) + LOG_SQUARE
    each = np.concatenate(rows)
    return boosted(_twice(inputs[each]), np.tile(logs, 2), VARIANCE, np.tile(weights[each], 2))


def _held_out(frame: pd.DataFrame, seed: int) -> Iterator[np.ndarray]:
    """Masks of rows: each part of the work once, and each part of the devices once."""
    yield from parts_of_work(frame, seed)
    devices = frame.groupby(["cpu_device", "gpu_device"], dropna=False).ngroup().to_numpy()
    if devices.max() > 0:
        part = (np.random.default_rng(seed).permutation(int(devices.max()) + 1) % PARTS)[devices]
        yield from (part == number for number in np.unique(part))


def _power(frame: pd.DataFrame, inputs: np.ndarray, told: Priors, seed: int) -> tuple[Any, float | None]:
    """(trees of the log power ratio beyond that of the TDPs, their standard deviation; None without energies)."""
    power = np.log(frame["energy_ratio"].to_numpy(float)) + log_speedups(frame) - told.power
    known = np.isfinite(power)
    if known.sum() < FEWEST_ROWS:
        return ([], 0.0), None
    held = parts_of_work(frame[known], seed)[0]
    target, seen = power[known], inputs[known].copy()
    seen[:, OF_KERNELS] = UNKNOWN
    std = POWER_STD
    if held.any() and (~held).sum() >= FEWEST_ROWS / 2:
        errors = regressor(POWER).fit(seen[~held], target[~held]).predict(seen[held]) - target[held]
        std = max(LEAST_STD, float(np.sqrt(np.mean(errors**2))))
    return boosted(seen, target, POWER), std


def regions_of(frame: pd.DataFrame) -> tuple[Region, ...]:
    """A region for each source and framework that has some rows."""
    values = frame[list(BOUNDED)].to_numpy(float)
    logs = np.log(np.where(values >= 0, np.maximum(values, 1.0), np.nan))  # work may have no parameters
    energies, emulated = np.isfinite(frame["energy_ratio"].to_numpy(float)), emulated_rows(frame)
    found = []
    for framework, rows in _parts(frame):
        if len(rows) >= FEWEST_IN_REGION:
            ranges = [_range(logs[rows, at]) for at in range(len(BOUNDED))]
            low, high = tuple(one[0] for one in ranges), tuple(one[1] for one in ranges)
            name = framework if isinstance(framework, str) else None
            flags = (bool(of[rows].mean() > 0.5) for of in (energies, emulated))
            found.append(Region(name, low, high, *flags))
    return tuple(found)


def _parts(frame: pd.DataFrame) -> Iterator[tuple[Any, np.ndarray]]:
    """(framework, indices of rows): each family of a source that has rows enough, and its other rows together."""
    names = {name: frame.get(name, np.nan) for name in ("source_name", "family", "framework")}
    import pandas as pd

    keys = pd.DataFrame(names, index=frame.index).astype(object)
    keys = keys.where(keys.notna(), "")
    few = keys.groupby(list(names))["framework"].transform("size") < FEWEST_OF_FAMILY
    keys.loc[few, "family"] = ""
    for key, rows in keys.groupby(list(names)).indices.items():
        yield key[2] or None, rows


def emulated_rows(frame: pd.DataFrame) -> np.ndarray:
    """(n,): whether the row's times are an emulator's."""
    if "emulated" not in frame:
        return np.zeros(len(frame), bool)
    return np.asarray(frame["emulated"].astype(object).fillna(False).astype(bool))


def _range(column: np.ndarray) -> tuple[float | None, float | None]:
    known = column[np.isfinite(column)]
    if len(known) < len(column) / 2:
        return None, None
    return round(float(known.min()), 4), round(float(known.max()), 4)


def predict(model: ResidualTrees, frame: pd.DataFrame) -> Predictions:
    """The model's predictions of each row: those of `PreparedResiduals`, but for the width of its cells."""
    told, logs = priors_of(frame), logs_of(frame)
    frameworks = [name if isinstance(name, str) else None for name in frame["framework"]]
    supported, powered = _supports(model.regions, logs, frameworks, emulated_rows(frame))
    shift, _, log_variance, power = model.sums(logs, frameworks).T
    learned = np.where(np.isin(np.array(frameworks, object), list(HOST_ONLY)), 0.0, supported)
    variance = learned * np.exp(np.minimum(log_variance, LARGEST_LOG_VARIANCE)) + (1 - learned) * told.std**2
    of_power, power_std = told.power, np.full(len(frame), POWER_STD)
    if model.power_std is not None:
        of_power = of_power + powered * power
        power_std = powered * model.power_std + (1 - powered) * POWER_STD
    std = np.maximum(LEAST_STD, np.sqrt(variance))
    return Predictions(told.speedup + learned * shift, std, of_power, power_std, supported)


def _supports(
    regions: Sequence[Region], logs: np.ndarray, frameworks: Sequence[str | None], emulated: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """(n,), (n,): support of times and of powers; logs: of NUMBERS."""
    values = logs[:, [NUMBERS.index(name) for name in BOUNDED]]
    rows = [tuple(None if v != v else v for v in row) for row in values.tolist()]
    known: dict[Any, tuple[float, float]] = {}
    found = []
    for key in zip(rows, frameworks, emulated.tolist(), strict=True):
        if key not in known:
            row, framework, on_emulated = key
            distances = [((one.distance(row, 0) + one.strangeness(framework)) * one.scale, one) for one in regions]
            nearest = min((far for far, one in distances if on_emulated or not one.emulated), default=FARTHEST)
            powered = min(
                (far for far, one in distances if one.energies and (on_emulated or not one.emulated)), default=FARTHEST
            )
            known[key] = tuple(np.exp(-0.5 * far) if far < FARTHEST else 0.0 for far in (nearest, powered))  # type: ignore[assignment]
        found.append(known[key])
    each = np.array(found, float).reshape(-1, 2)
    return each[:, 0], each[:, 1]
