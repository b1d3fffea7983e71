"""Fits the interference model (see `placement.prediction.interference`) to the rows of a log with neighbours.

A row with neighbours is compared with the mean of the rows of the same function, size and config whose task had its GPU
alone; where there is none, it says nothing.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from placement.prediction.interference import ASSUMED, Interference, fitted

if TYPE_CHECKING:
    import pandas as pd
    import pyarrow as pa

SAME = ("function_key", "function", "config", "emulated", "flops", "input_bytes", "batch_size", "parameters", "steps")
"""Columns by which two rows are runs of the same work on the same kind of node."""
READ = (
    *SAME, "device", "error", "fallback", "cold", "transfer_s", "compute_s", "gpu_utilisation", "neighbours",
    "neighbour_utilisation",
)  # fmt: skip


def fit_interference(log: pa.Table) -> Interference:
    """The interference model of a log; the assumed one where no row has neighbours."""
    if "neighbours" not in log.column_names or log["neighbours"].null_count == log.num_rows:
        return ASSUMED
    rows = log.select(READ).to_pandas()
    rows["seconds"] = rows["transfer_s"].fillna(0.0) + rows["compute_s"]
    good = (rows["device"] == "gpu") & rows["error"].isna() & rows["fallback"].isna() & (rows["seconds"] > 0)
    rows = rows[good & ~rows["cold"].fillna(False).astype(bool)]
    beside = rows["neighbours"].fillna(0) > 0
    return fitted(_compared(rows[~beside], rows[beside]))


def _compared(alone: pd.DataFrame, beside: pd.DataFrame) -> list[tuple[float, float, float]]:
    """(own use, the others' use, slowdown) of each row with neighbours that can be compared."""
    means = alone.groupby(list(SAME), dropna=False)[["seconds", "gpu_utilisation"]].mean()
    both = beside.merge(means, left_on=list(SAME), right_index=True, suffixes=("", "_alone"))
    columns = (both["gpu_utilisation_alone"], both["neighbour_utilisation"], both["seconds"] / both["seconds_alone"])
    runs = np.column_stack([column.to_numpy(float) for column in columns])
    return [tuple(run) for run in runs[np.isfinite(runs).all(axis=1)].tolist()]
