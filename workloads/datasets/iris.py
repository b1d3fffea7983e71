"""Iris from scikit-learn, which ships it: 150 rows, 4 columns, 3 classes. No file is read and none is written."""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np

ROWS, COLUMNS, CLASSES = 150, 4, 3
NOISE_CM = 0.1
"""Deviation of the noise on sampled rows: the columns' own resolution."""


@lru_cache(maxsize=1)
def iris() -> tuple[np.ndarray, np.ndarray]:
    """The real rows: FP32 (150, 4) in cm, and int64 (150,)."""
    import numpy as np
    from sklearn.datasets import load_iris

    data = load_iris()
    return data.data.astype(np.float32), data.target.astype(np.int64)


def sample(rows: int, *, seed: int = 0) -> tuple[np.ndarray, np.ndarray, bool]:
    """Features FP32 (rows, 4), labels int64 (rows,), and whether they are synthetic.

    150 rows are Iris itself. More are drawn from it with replacement, each with Gaussian noise of NOISE_CM:
    synthetic rows, only for larger sizes of the same task.
    """
    import numpy as np

    features, labels = iris()
    if rows == ROWS:
        return features, labels, False
    rng = np.random.default_rng(seed)
    drawn = rng.integers(0, ROWS, rows)
    noise = rng.standard_normal((rows, COLUMNS), dtype=np.float32) * np.float32(NOISE_CM)
    return features[drawn] + noise, labels[drawn], True
