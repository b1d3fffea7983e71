"""Random effects of groups on two devices at once: what rows on one device tell about the other.

    residual of a row on device d = effect of its group on d + noise        effects ~ N(0, covariance), a pair a group

The covariance and the noise are estimated by moments, the effects by their best linear unbiased prediction (Henderson,
Biometrics 1975): a group that was timed on both devices keeps its own means, one timed on one device alone has of the
other as much as the covariance tells, one of few rows is drawn towards 0.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

import numpy as np

LEAST_NOISE, LEAST_EFFECT = 0.01, 1e-3  # variances of log seconds: two runs of the same work differ by as much
FEWEST = 10  # of groups, or of degrees of freedom, below which a moment is not estimated
LARGEST_CORRELATION = 0.95


class Effects(NamedTuple):
    """Means and variances of the effects, (n, 2) each: of each row, on each device."""

    mean: np.ndarray
    variance: np.ndarray


def nested_effects(levels: Iterable[np.ndarray], residuals: np.ndarray) -> Effects:
    """The sum of the effects of all levels, each estimated on what the level before leaves over.

    levels: codes of the rows' groups, (n,) each, the coarsest first.  residuals: (n, 2), NaN where there was no run.
    """
    mean, variance = np.zeros_like(residuals), np.zeros_like(residuals)
    for codes in levels:
        found = group_effects(codes, residuals - mean)
        mean, variance = mean + found.mean[codes], variance + found.variance[codes]
    return Effects(mean, variance)


def group_effects(codes: np.ndarray, residuals: np.ndarray) -> Effects:
    """The effects of each group, (groups, 2). codes, residuals: as in `nested_effects`."""
    runs = np.isfinite(residuals)
    count, total = (_sums(codes, values) for values in (runs, np.where(runs, residuals, 0.0)))
    mean = total / np.maximum(count, 1.0)
    noise = _noise(np.where(runs, residuals - mean[codes], 0.0), count)
    precision = np.linalg.inv(_covariance(mean, count, noise)) + (count / noise)[:, :, None] * np.eye(2)
    covariance = np.linalg.inv(precision)
    effects = np.einsum("gij,gj->gi", covariance, total / noise)
    return Effects(effects, np.einsum("gii->gi", covariance))


def _sums(codes: np.ndarray, values: np.ndarray) -> np.ndarray:
    """(groups, 2): sums over the rows of each group."""
    return np.stack([np.bincount(codes, column) for column in values.T], axis=1)


def _noise(deviations: np.ndarray, count: np.ndarray) -> np.ndarray:
    """(2,): variance of the rows of a group on each device."""
    freedom = np.maximum(count - 1.0, 0.0).sum(0)
    known = (deviations**2).sum(0) / np.maximum(freedom, 1.0)
    return np.where(freedom >= FEWEST, np.maximum(known, LEAST_NOISE), LEAST_NOISE)


def _covariance(mean: np.ndarray, count: np.ndarray, noise: np.ndarray) -> np.ndarray:
    """(2, 2): of the effects of a group on both devices."""
    timed = count > 0
    variance = [
        np.mean(mean[timed[:, d], d] ** 2 - noise[d] / count[timed[:, d], d]) if timed[:, d].any() else 0.0
        for d in (0, 1)
    ]
    variance = np.maximum(variance, LEAST_EFFECT)
    both = timed.all(1)
    known = float(np.mean(mean[both].prod(1))) if both.sum() >= FEWEST else 0.0
    most = LARGEST_CORRELATION * float(np.sqrt(variance.prod()))
    shared = min(max(known, -most), most)
    return np.array([[variance[0], shared], [shared, variance[1]]])
