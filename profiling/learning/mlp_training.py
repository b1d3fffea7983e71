"""Fits the paper's net 9-16-16-1: SGD at 0.05, up to 800 epochs, BCE, dropout, weight decay, early stopping.

The Ray Train loop calls `fit`. `fit_many` fits one net for each of several training parts of the same data at
once, as one batched product: the held-out fits of an evaluation cost hardly more than one.
No Ray here; torch is imported when a fit begins.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from placement.errors import LogError
from placement.prediction.mlp import Classifier
from placement.spec.features import FEATURES
from placement.spec.joint_threshold import JointThreshold
from profiling.learning.descent import Best, MiniBatch, TrainingOptions, descend

if TYPE_CHECKING:
    import pandas as pd

FEWEST_ROWS = 10  # with fewer rows the validation part is too small
_EPSILON = 1e-7


@dataclass(frozen=True, slots=True)
class Fit:
    """A fitted net. selector: with its metrics.  epochs: until the best validation loss.  loss: that loss (BCE)."""

    selector: Classifier
    epochs: int
    loss: float


@dataclass(frozen=True, slots=True)
class Examples:
    """Training examples: log1p of the nine features (n, 9), and whether the GPU was right (n,)."""

    inputs: np.ndarray
    gpu: np.ndarray


def examples(frame: pd.DataFrame) -> tuple[Examples, np.ndarray]:
    """The rows of a labelled frame (see `profiling.dataset.pairs.labelled`) whose features are all known, and which
    they are.

    FLOPs of 0 count as unknown. Raises LogError where fewer than FEWEST_ROWS are left.
    """
    columns = frame[list(FEATURES)].to_numpy(dtype=np.float64)
    known = np.isfinite(columns).all(axis=1) & (frame["flops"].to_numpy(dtype=np.float64) > 0)
    if known.sum() < FEWEST_ROWS:
        raise LogError(
            f"nothing to learn from: of {len(frame)} pairs only {int(known.sum())} have all nine features, and "
            f"{FEWEST_ROWS} is the least. A task's spec must tell {', '.join(list(FEATURES)[5:])}."
        )
    return Examples(np.log1p(columns[known]), (frame["label"].to_numpy() == "gpu")[known]), known


def fit(
    frame: pd.DataFrame,
    rule: JointThreshold | None = None,
    options: TrainingOptions | None = None,
    on_epoch: Callable[[int, float], None] | None = None,
) -> Fit:
    """Fits the net to a labelled frame: columns FEATURES and `label`; rows with unknown features are left out.

    rule: the thresholds the labels were made by, for the selector file.  on_epoch: called now and then with
    (epoch, validation loss).  Raises LogError where there are too few rows, or one class only.
    """
    data, _ = examples(frame)
    return fit_many(data, [np.ones(len(data.gpu), bool)], rule, options, on_epoch)[0]


def fit_many(
    data: Examples,
    parts: Sequence[np.ndarray],
    rule: JointThreshold | None = None,
    options: TrainingOptions | None = None,
    on_epoch: Callable[[int, float], None] | None = None,
) -> list[Fit]:
    """One net for each part (a mask of the rows it may learn from). A part of one class only raises LogError.

    A net of several is the same as one fitted alone but for the order in which it sees its rows.
    """
    import torch

    options, rule = options or TrainingOptions(), rule or JointThreshold()
    _check_parts(data, parts)
    training, validating = _split(data, parts, options)
    scale = [_Scale.of(data.inputs[part]) for part in parts]
    inputs = torch.tensor(np.stack([(data.inputs - s.mean) / s.std for s in scale]), dtype=torch.float32)
    batch = MiniBatch(
        inputs,
        torch.tensor(data.gpu, dtype=torch.float32),
        torch.tensor(training, dtype=torch.float32),
        torch.tensor(validating, dtype=torch.float32),
    )
    best = descend(batch, options, on_epoch)
    return [_finished(number, best, scale[number], data, parts[number], rule, options) for number in range(len(parts))]


def _check_parts(data: Examples, parts: Sequence[np.ndarray]) -> None:
    for part in parts:
        gpu = int(data.gpu[part].sum())
        if part.sum() < FEWEST_ROWS or gpu in (0, part.sum()):
            raise LogError(
                f"nothing to learn from: {int(part.sum())} pairs, {gpu} of them labelled gpu. Both answers must occur, "
                f"and at least {FEWEST_ROWS} pairs. Sweep smaller and larger work, or choose other thresholds."
            )


def _split(data: Examples, parts: Sequence[np.ndarray], options: TrainingOptions) -> tuple[np.ndarray, np.ndarray]:
    """(training, validating) masks (parts, n): of each class the same share validates."""
    chance = np.random.default_rng(options.seed)
    held = np.zeros(len(data.gpu), bool)
    for answer in (False, True):
        rows = chance.permutation(np.flatnonzero(data.gpu == answer))
        held[rows[: max(1, round(options.validation * len(rows)))]] = True
    allowed = np.stack(parts)
    validating = allowed & held
    # A part whose rows all fell on one side validates on its training rows.
    lacking = ~validating.any(axis=1) | ~(allowed & ~held).any(axis=1)
    training = np.where(lacking[:, None], allowed, allowed & ~held)
    return training, np.where(lacking[:, None], allowed, validating)


@dataclass(frozen=True, slots=True)
class _Scale:
    mean: np.ndarray
    std: np.ndarray
    low: np.ndarray
    high: np.ndarray

    @classmethod
    def of(cls, inputs: np.ndarray) -> _Scale:
        std = inputs.std(axis=0)
        # A feature that never varied says nothing of what another value would mean: it is left at its mean.
        return cls(inputs.mean(axis=0), np.where(std > _EPSILON, std, 1.0), inputs.min(axis=0), inputs.max(axis=0))


def _finished(
    number: int, best: Best, scale: _Scale, data: Examples, part: np.ndarray, rule: JointThreshold,
    options: TrainingOptions,
) -> Fit:  # fmt: skip
    """Net `number` as a Classifier whose version names its weights."""
    weights = tuple(w[number].astype(np.float64) for w in best.weights[0::2])
    biases = tuple(b[number, 0].astype(np.float64) for b in best.weights[1::2])
    digest = hashlib.sha256(b"".join(array.tobytes() for array in (*weights, *biases, scale.mean, scale.std)))
    selector = Classifier(
        version=f"paper-{digest.hexdigest()[:12]}",
        weights=weights, biases=biases, mean=scale.mean, std=scale.std, low=scale.low, high=scale.high,
        thresholds=rule,
        training={"rows": int(part.sum()), "rows_gpu": int(data.gpu[part].sum()), **asdict(options)},
    )  # fmt: skip
    right = (selector.probabilities(data.inputs[part]) >= 0.5) == data.gpu[part]
    epochs, loss = int(best.epoch[number]), float(best.loss[number])
    metrics = {"training_accuracy": float(right.mean()), "validation_loss": loss, "best_epoch": epochs}
    return Fit(replace(selector, metrics=metrics), epochs, loss)


def environment() -> dict[str, Any]:
    """The versions a fit depends on."""
    from importlib.metadata import PackageNotFoundError, version

    versions = {}
    for name in ("ray", "torch", "numpy"):
        try:
            versions[name] = version(name)
        except PackageNotFoundError:
            versions[name] = None
    return versions
