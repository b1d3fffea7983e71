"""`placement evaluate --sweep-order`: held-out accuracy against cells measured, by what a sweep measures next."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from rich.table import Table

from profiling.active_learning.accuracy_curves import accuracy_curves
from profiling.learning.fit_shipped import emulated_grid
from profiling.report.console_tables import show


def evaluate_sweep_order(seeds: int, json: Path | None) -> None:
    """Prints the table, and writes it where a file is asked for."""
    curves = accuracy_curves(emulated_grid(), range(seeds))
    table = Table(
        title="Held-out accuracy by the order of a sweep",
        caption=f"Per cent, mean and standard deviation over {seeds} seeds. Times of A-D are emulated.",
        title_justify="left", caption_justify="left", header_style="bold",
    )  # fmt: skip
    for name in ("cells measured", *curves):
        table.add_column(name, justify="right")
    for cells in next(iter(curves.values())):
        each = [100 * np.array(curve[cells]) for curve in curves.values()]
        table.add_row(f"{cells:,}", *(f"{found.mean():.1f} ± {found.std():.1f}" for found in each))
    show(table, json, {"seeds": seeds, "accuracy": curves})
