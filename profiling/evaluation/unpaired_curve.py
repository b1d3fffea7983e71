"""Accuracy against rows of a production log in which each task ran on one device only."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

ROWS = (200, 500, 1_000, 2_000, 5_000, 10_000, 20_000)


def accuracy_curve(rows: Sequence[int] = ROWS, *, seed: int = 0) -> list[dict[str, Any]]:
    """One dict for each number of rows: rows, unpaired, pairs, history, shipped; the last four are accuracies."""
    raise NotImplementedError
