"""Scores of a learner's predictions on pairs held out of its fit."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    import pandas as pd

BINS = 10  # bins of the calibration error


@dataclass(frozen=True, slots=True)
class DeviceScore:
    """Scores on one held-out device (or family, source, config). rows: pairs tested, a seed's; means over the seeds."""

    accuracy: float
    balanced_accuracy: float
    rows: int


@dataclass(frozen=True, slots=True)
class LearnerScore:
    """Scores of one learner, all folds of a seed pooled; means over the seeds.

    accuracy: share of the pairs where the device with P >= 0.5 is the label's.  accuracy_std: over the seeds.
    balanced_accuracy: mean of the shares right of either label.  roc_auc: None where the test has one label only.
    brier: mean squared error of P(GPU).  calibration_error: mean gap of P(GPU) and the share of GPU labels, in BINS
    equal bins of P(GPU), weighted by their pairs.
    regret_seconds, regret_joules: mean over the pairs of the device taken less the oracle's (the label's); below zero
    where disobeying the rule was faster, for it asks for more than being faster. Joules: of the pairs whose energies
    are known on both devices; None where none are.
    oracle_fraction: the oracle's seconds over the learner's: its throughput as a share of the oracle's.
    """

    accuracy: float
    accuracy_std: float
    balanced_accuracy: float
    roc_auc: float | None
    brier: float
    calibration_error: float
    regret_seconds: float
    regret_joules: float | None
    oracle_fraction: float
    by_device: Mapping[str, DeviceScore]

    @property
    def worst(self) -> str:
        """The device with the least accuracy."""
        return min(self.by_device, key=lambda name: self.by_device[name].accuracy)


@dataclass(frozen=True, slots=True)
class Answers:
    """A learner's predictions of the test rows of one seed. rows: indices; p_gpu: of each; held_out: names of the
    folds.
    """

    rows: np.ndarray
    p_gpu: np.ndarray
    held_out: np.ndarray


def score(frame: pd.DataFrame, seeds: Sequence[Answers]) -> LearnerScore:
    """The score of one learner."""
    each = [_of_seed(frame, answers) for answers in seeds]
    whole = {name: _mean([one[name] for one in each]) for name in each[0]}
    devices = sorted({str(name) for answers in seeds for name in answers.held_out})
    return LearnerScore(
        **whole,  # type: ignore[arg-type]
        accuracy_std=float(np.std([one["accuracy"] for one in each])),
        by_device={name: _of_device(frame, seeds, name) for name in devices},
    )


def _mean(values: Sequence[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return float(np.mean(known)) if known else None


def _of_seed(frame: pd.DataFrame, answers: Answers) -> dict[str, float | None]:
    tested = frame.iloc[answers.rows]
    gpu, chosen = (tested["label"] == "gpu").to_numpy(), answers.p_gpu >= 0.5
    seconds, best = (_taken(tested, "seconds", choice) for choice in (chosen, gpu))
    joules = _taken(tested, "joules", chosen) - _taken(tested, "joules", gpu)
    either = np.isfinite(_taken(tested, "joules", ~gpu) + _taken(tested, "joules", gpu))
    return {
        "accuracy": float((chosen == gpu).mean()),
        "balanced_accuracy": balanced_accuracy(gpu, chosen),
        "roc_auc": roc_auc(gpu, answers.p_gpu),
        "brier": float(((answers.p_gpu - gpu) ** 2).mean()),
        "calibration_error": calibration_error(gpu, answers.p_gpu),
        "regret_seconds": float((seconds - best).mean()),
        "regret_joules": float(joules[either].mean()) if either.any() else None,
        "oracle_fraction": float(best.sum() / seconds.sum()),
    }


def _taken(tested: pd.DataFrame, what: str, gpu: np.ndarray) -> np.ndarray:
    return np.where(gpu, tested[f"gpu_{what}"].to_numpy(float), tested[f"cpu_{what}"].to_numpy(float))


def _of_device(frame: pd.DataFrame, seeds: Sequence[Answers], name: str) -> DeviceScore:
    accuracies, balanced, rows = [], [], []
    for answers in seeds:
        there = answers.held_out == name
        if there.any():
            gpu = (frame["label"].to_numpy()[answers.rows[there]] == "gpu").astype(bool)
            chosen = answers.p_gpu[there] >= 0.5
            accuracies.append((chosen == gpu).mean())
            balanced.append(balanced_accuracy(gpu, chosen))
            rows.append(int(there.sum()))
    return DeviceScore(float(np.mean(accuracies)), float(np.mean(balanced)), round(float(np.mean(rows))))


def balanced_accuracy(gpu: np.ndarray, chosen: np.ndarray) -> float:
    """The mean of the shares right of either label; of the one label that occurs where only one does."""
    return float(np.mean([(chosen[gpu == label] == label).mean() for label in (False, True) if (gpu == label).any()]))


def roc_auc(gpu: np.ndarray, p_gpu: np.ndarray) -> float | None:
    """Area under the receiver operating characteristic; None where only one label occurs."""
    from sklearn.metrics import roc_auc_score

    return float(roc_auc_score(gpu, p_gpu)) if 0 < gpu.sum() < len(gpu) else None


def calibration_error(gpu: np.ndarray, p_gpu: np.ndarray) -> float:
    """Expected calibration error with BINS equal bins (Naeini, Cooper and Hauskrecht 2015)."""
    part = np.minimum((p_gpu * BINS).astype(int), BINS - 1)
    gaps = [abs(float((p_gpu - gpu)[part == number].sum())) for number in range(BINS)]
    return float(sum(gaps) / len(gpu))
