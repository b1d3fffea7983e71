"""The paper's net on pairs held out of its fit: for each seed, one net for each fold of each split, fitted at once."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np

from placement.errors import LogError
from placement.prediction.mlp import Classifier
from placement.spec.joint_threshold import JointThreshold
from profiling.evaluation.evaluate import SPLITS, can_learn, folds_of
from profiling.learning.descent import TrainingOptions
from profiling.learning.mlp_training import Examples, examples, fit_many

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["HeldOut", "held_out", "interval", "known"]


@dataclass(frozen=True)
class HeldOut:
    """One split and seed. tested: masks of the rows held out, each with the net fitted without them; None where the
    other rows had one label only.  p_gpu: (n,) P(GPU) of every row by that net."""

    split: str
    seed: int
    tested: tuple[tuple[np.ndarray, Classifier | None], ...]
    p_gpu: np.ndarray


def known(frame: pd.DataFrame) -> tuple[pd.DataFrame, Examples]:
    """The pairs whose nine features are all known, and the training examples made of them."""
    data, usable = examples(frame)
    return frame[usable].reset_index(drop=True), data


def held_out(
    frame: pd.DataFrame, data: Examples, rule: JointThreshold, seeds: Sequence[int], epochs: int,
    splits: Sequence[str] = tuple(SPLITS),
) -> list[HeldOut]:  # fmt: skip
    """Every split for every seed; a split of which the frame has one value only is left out. `frame`, `data`: of
    `known`. Raises LogError where nothing can be fitted."""
    found = [one for seed in seeds for one in _of_seed(frame, data, rule, seed, epochs, splits)]
    if not found:
        raise LogError(f"nothing to hold out: of {len(frame)} pairs no part leaves both labels to learn from.")
    return found


def _of_seed(
    frame: pd.DataFrame, data: Examples, rule: JointThreshold, seed: int, epochs: int, splits: Sequence[str]
) -> list[HeldOut]:
    masks = [(split, mask) for split in splits for mask in folds_of(frame, SPLITS[split], seed).values()]
    able = [can_learn(data, ~mask) for _, mask in masks]
    seen = [~mask for (_, mask), can in zip(masks, able, strict=True) if can]
    nets = iter(fit_many(data, seen, rule, TrainingOptions(epochs=epochs, seed=seed)) if seen else ())
    fitted = [
        (split, mask, next(nets).selector if can else None) for (split, mask), can in zip(masks, able, strict=True)
    ]
    return [
        _pooled(split, seed, data, [(mask, net) for name, mask, net in fitted if name == split])
        for split in splits
        if any(name == split for name, _, _ in fitted)
    ]


def _pooled(split: str, seed: int, data: Examples, tested: Sequence[tuple[np.ndarray, Classifier | None]]) -> HeldOut:
    p_gpu = np.full(len(data.gpu), np.nan)
    for mask, net in tested:
        share = data.gpu[~mask].mean() if (~mask).any() else 0.5
        p_gpu[mask] = share if net is None else net.probabilities(data.inputs[mask])
    return HeldOut(split, seed, tuple(tested), p_gpu)


def interval(values: Sequence[float]) -> tuple[float, float]:
    """(mean, half width of its 95 % confidence interval by Student's t); NaN for a single value."""
    mean, count = float(np.mean(values)), len(values)
    if count < 2:
        return mean, float("nan")
    return mean, _student(count - 1) * float(np.std(values, ddof=1)) / count**0.5


@lru_cache
def _student(freedom: int) -> float:
    from scipy.stats import t

    return float(t.ppf(0.975, freedom))
