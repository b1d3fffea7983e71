"""Figures of a selector's answers about published pairs: decisions, seconds, calibration, regret."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from placement.prediction.selector import Selector
from profiling.dataset.pair_specs import node_of, task_of
from profiling.evaluation.holdout_scores import balanced_accuracy, calibration_error, roc_auc

if TYPE_CHECKING:
    import pandas as pd

Figures = dict[str, float | None]
FACTORS = ("speedup_factor", "speedup_bias", "cpu_seconds_factor", "cpu_seconds_bias", "gpu_seconds_factor",
           "gpu_seconds_bias")  # fmt: skip
SUMS = ("rows", "rows_gpu", "regret_seconds", "regret_joules", "gpu_only_regret_seconds", "cpu_only_regret_seconds")
"""Figures that are summed over sources; FACTORS are averaged by their logarithms, all others plainly."""


@dataclass(frozen=True, slots=True)
class SelectorAnswers:
    """A selector's answers about the rows of a frame; NumPy arrays (n,), NaN where it has none.

    speedup, spread: log speed-up and its standard deviation.  cpu_seconds, gpu_seconds: of the whole task.
    extrapolating: 0 or 1.
    """

    p_gpu: np.ndarray
    speedup: np.ndarray
    spread: np.ndarray
    cpu_seconds: np.ndarray
    gpu_seconds: np.ndarray
    extrapolating: np.ndarray

    def take(self, rows: np.ndarray) -> SelectorAnswers:
        """The answers about some rows."""
        return SelectorAnswers(*(getattr(self, name)[rows] for name in self.__slots__))


def answers_of(selector: Selector, frame: pd.DataFrame, leave_out: tuple[str, ...] = ()) -> SelectorAnswers:
    """The selector's answers, each row asked as a TaskSpec and a NodeSpec. leave_out: fields the specs do not tell.

    A row without an answer (FLOPs unknown) goes to the CPU, as a user's task would.
    """
    kept: dict[object, tuple[float, ...]] = {}
    answers = []
    for row in frame.to_dict("records"):
        task, node = task_of(row, leave_out), node_of(row)
        key = (task, node)
        if key not in kept:
            kept[key] = _answer(selector, task, node)
        answers.append(kept[key])
    return SelectorAnswers(*np.array(answers, float).reshape(-1, 6).T)


def _answer(selector: Selector, task: object, node: object) -> tuple[float, ...]:
    found = selector.estimate(task, node, 1.0)  # type: ignore[arg-type]
    if found is None:
        return 0.0, np.nan, np.nan, np.nan, np.nan, 1.0
    speedup = (np.nan, np.nan) if found.speedup is None else (found.speedup.mean, found.speedup.std)
    seconds = (np.nan if value is None else value for value in (found.cpu_seconds, found.gpu_seconds))
    return (found.p_gpu, *speedup, *seconds, float(found.extrapolating))


def decision_figures(frame: pd.DataFrame, p_gpu: np.ndarray) -> Figures:
    """Figures of P(GPU) alone, which every learner has."""
    gpu, chosen = (frame["label"] == "gpu").to_numpy(), p_gpu >= 0.5
    everywhere, nowhere = np.ones(len(gpu), bool), np.zeros(len(gpu), bool)
    return {
        "rows": float(len(gpu)),
        "rows_gpu": float(gpu.sum()),
        "accuracy": float((chosen == gpu).mean()),
        "balanced_accuracy": balanced_accuracy(gpu, chosen),
        "roc_auc": roc_auc(gpu, p_gpu),
        "brier": float(((p_gpu - gpu) ** 2).mean()),
        "calibration_error": calibration_error(gpu, p_gpu),
        "regret_seconds": _regret(frame, "seconds", chosen, gpu),
        "gpu_only_regret_seconds": _regret(frame, "seconds", everywhere, gpu),
        "cpu_only_regret_seconds": _regret(frame, "seconds", nowhere, gpu),
        "regret_joules": _regret(frame, "joules", chosen, gpu),
    }


def figures(frame: pd.DataFrame, answers: SelectorAnswers) -> Figures:
    """All figures of a selector's answers about a frame."""
    cpu, gpu = (frame[f"{device}_seconds"].to_numpy(float) for device in ("cpu", "gpu"))
    speedup = answers.speedup - np.log(cpu / gpu)
    inside = np.abs(speedup) <= answers.spread
    right = (answers.p_gpu >= 0.5) == (frame["label"] == "gpu").to_numpy()
    flagged = answers.extrapolating > 0.5
    return {
        **decision_figures(frame, answers.p_gpu),
        **_factor("speedup", speedup),
        **_factor("cpu_seconds", np.log(answers.cpu_seconds / cpu)),
        **_factor("gpu_seconds", np.log(answers.gpu_seconds / gpu)),
        "within_spread": float(inside[np.isfinite(speedup)].mean()) if np.isfinite(speedup).any() else None,
        "spread": _mean(answers.spread),
        "extrapolating": float(flagged.mean()),
        "flagged_accuracy": float(right[flagged].mean()) if flagged.any() else None,
        "unflagged_accuracy": float(right[~flagged].mean()) if (~flagged).any() else None,
    }


def _factor(name: str, errors: np.ndarray) -> Figures:
    """Median factor by which an estimate is off, and its bias (the factor of the median error), of log errors."""
    known = errors[np.isfinite(errors)]
    if not len(known):
        return {f"{name}_factor": None, f"{name}_bias": None}
    return {f"{name}_factor": float(np.exp(np.median(np.abs(known)))), f"{name}_bias": float(np.exp(np.median(known)))}


def _regret(frame: pd.DataFrame, what: str, chosen: np.ndarray, best: np.ndarray) -> float | None:
    """Sum of the device taken less that of the label's, over the pairs of which both are known; None where none is."""
    cpu, gpu = (frame[f"{device}_{what}"].to_numpy(float) for device in ("cpu", "gpu"))
    gaps = np.where(chosen, gpu, cpu) - np.where(best, gpu, cpu)
    known = np.isfinite(cpu + gpu)
    return float(gaps[known].sum()) if known.any() else None


def pooled(each: Sequence[Figures], whole: Figures) -> Figures:
    """Means over sources (sums of SUMS, geometric means of FACTORS); `NAME_rows` is the figure over all rows."""
    found: Figures = {}
    for name in whole:
        values = [float(value) for one in each if (value := one.get(name)) is not None and np.isfinite(value)]
        if not values:
            found[name] = None
        elif name in SUMS:
            found[name] = float(sum(values))
        elif name in FACTORS:
            found[name] = float(np.exp(np.mean(np.log(values))))
        else:
            found[name] = float(np.mean(values))
        if name not in SUMS:
            found[f"{name}_rows"] = whole[name]
    return found


def _mean(values: np.ndarray) -> float | None:
    known = values[np.isfinite(values)]
    return float(known.mean()) if len(known) else None
