"""How often each piece of work came in production, from the log's counts."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Any

import numpy as np

from placement.errors import LogError
from placement.spec.task import TaskSpec

SIZES = ("flops", "input_bytes", "parameters", "batch_size")
UNKNOWN_APART = 2.0
"""Distance, in natural logarithms, of a size that only one of two specs tells."""


def production_counts(log: str | os.PathLike[str]) -> list[dict[str, Any]]:
    """A row for each function_key and sizes of the log's production rows of placed tasks, with their `count`.

    Empty where there is no log.
    """
    import pyarrow.compute as pc

    from placement.log import read_log

    keys = ["function_key", *SIZES]
    try:
        placed = (pc.field("source") == "production") & pc.field("policy").is_valid()
        table = read_log(log, filters=placed).select(keys)
    except LogError:
        return []
    return table.group_by(keys).aggregate([([], "count_all")]).rename_columns([*keys, "count"]).to_pylist()


def traffic(
    specs: Sequence[TaskSpec], function_keys: Sequence[str | None], counted: Sequence[dict[str, Any]]
) -> np.ndarray:
    """(n,): the share of production of each piece of work, with one more run of each (Laplace's rule).

    Runs of a function are those of its own piece of work with the nearest sizes; runs of others are those of the preset
    with the nearest sizes.
    """
    shares = np.ones(len(specs))
    sizes = np.array([[_log(getattr(spec, name)) for name in SIZES] for spec in specs])
    of_key: dict[str | None, np.ndarray] = {
        key: np.flatnonzero([one == key for one in function_keys]) for key in set(function_keys)
    }
    for row in counted:
        candidates = of_key.get(row["function_key"])
        if candidates is None:
            candidates = of_key.get(None)
        if candidates is not None:
            asked = np.array([_log(row[name]) for name in SIZES])
            shares[candidates[int(np.argmin(_distances(sizes[candidates], asked)))]] += row["count"]
    return shares / shares.sum()


def _distances(sizes: np.ndarray, asked: np.ndarray) -> np.ndarray:
    """(n,): of the sizes (n, 4) from those asked about, (4,): sums over the logarithms."""
    apart = np.nan_to_num(np.abs(sizes - asked), nan=UNKNOWN_APART)
    return np.where(np.isnan(sizes) & np.isnan(asked), 0.0, apart).sum(axis=1)


def _log(value: float | None) -> float:
    return float(np.log(value)) if value is not None and value > 0 else float("nan")
