"""The prior covariance of log seconds between the training points of a `GaussianProcess`, of which its fit is made."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from placement.prediction.gaussian_process import AMPLITUDES, KIND_LEVEL, SHARED_LEVEL, WIDTHS, TrainingPoints


def covariances(a: TrainingPoints, b: TrainingPoints) -> list[Any]:
    """The matrices (len(a), len(b)) of the level and of each of AMPLITUDES, at amplitude 1."""
    import numpy as np

    line = a.inputs @ b.inputs.T
    square = (a.inputs**2).sum(1)[:, None] + (b.inputs**2).sum(1)[None, :] - 2 * line
    wide, middle, narrow = (np.exp(np.maximum(square, 0.0) * (-0.5 / width**2)) for width in WIDTHS)
    kind = (a.gpu[:, None] == b.gpu[None, :]).astype(float)
    framework = ((a.framework[:, None] == b.framework[None, :]) & (a.framework[:, None] >= 0)).astype(float)
    device = kind * (a.device[:, None] == b.device[None, :]) * (a.device[:, None] >= 0)
    shared = [line, wide, middle, narrow, framework, framework * line, framework * wide]
    own = [device, device * line, device * middle, kind * np.outer(a.gflops, b.gflops)]
    return [SHARED_LEVEL + KIND_LEVEL * kind, *shared, *(kind * part for part in shared), *own]


def covariance(a: TrainingPoints, b: TrainingPoints, amplitudes: Sequence[float], scales: Any) -> Any:
    """(len(a), len(b)): the prior covariance of log seconds. scales (frameworks,): multiply the framework's parts."""
    import numpy as np

    level, *parts = covariances(a, b)
    by_framework = np.append(scales, 0.0)[a.framework][:, None] ** 2  # only equal frameworks covary; -1 is the last
    for name, part, amplitude in zip(AMPLITUDES, parts, amplitudes, strict=True):
        level += amplitude**2 * (by_framework * part if "framework" in name else part)
    return level
