"""Tables of an evaluation on published pairs (`profiling.evaluation.out_of_the_box`)."""

from __future__ import annotations

from collections.abc import Mapping

from rich.console import Group
from rich.table import Table

from profiling.evaluation.out_of_the_box import POOLED, OutOfTheBox
from profiling.evaluation.source_figures import Figures

COLUMNS = {
    "rows": "pairs", "accuracy": "accuracy", "balanced_accuracy": "balanced", "roc_auc": "AUC", "brier": "Brier",
    "calibration_error": "calibration", "speedup_factor": "speed-up x", "speedup_bias": "bias",
    "cpu_seconds_factor": "CPU s x", "gpu_seconds_factor": "GPU s x", "within_spread": "within spread",
    "extrapolating": "extrapolating", "regret_seconds": "regret s", "regret_joules": "regret J",
}  # fmt: skip


def tables(found: OutOfTheBox) -> Group:
    """The shipped file, each source left out, specs of FLOPs and bytes alone, and the baselines."""
    parts = {"The shipped selector": found.shipped, "Each source left out of the fit": found.left_out,
             "Left out, by specs of FLOPs and bytes alone": found.bare}  # fmt: skip
    shown = [source_table(title, figures) for title, figures in parts.items() if figures]
    return Group(*shown, *([baseline_table(found)] if found.baselines else []))


def source_table(title: str, figures: Mapping[str, Figures]) -> Table:
    """One row a source; the last are the means over sources, and all rows at once."""
    table = _table(title, ["source", *COLUMNS.values()])
    for source, each in figures.items():
        table.add_row(source, *(_text(name, each.get(name)) for name in COLUMNS))
    rows = figures[POOLED]
    table.add_row("all rows", *(_text(name, rows.get(f"{name}_rows", rows.get(name))) for name in COLUMNS))
    return table


def baseline_table(found: OutOfTheBox) -> Table:
    """One row a learner, fitted without each source: means over sources, and over all rows."""
    names = ("accuracy", "balanced_accuracy", "roc_auc", "brier", "calibration_error", "regret_seconds")
    table = _table("Beside it, each source left out", ["learner", *(COLUMNS[name] for name in names), "rows: balanced"])
    each = {name: figures[POOLED] for name, figures in found.baselines.items()} | {"ours": found.left_out[POOLED]}
    for name, figures in each.items():
        table.add_row(
            name, *(_text(one, figures.get(one)) for one in names), _text("", figures["balanced_accuracy_rows"])
        )
    return table


def _table(title: str, names: list[str]) -> Table:
    table = Table(title=title, title_justify="left", header_style="bold")
    for name in names:
        table.add_column(name, justify="left" if name in ("source", "learner") else "right")
    return table


def _text(name: str, value: float | None) -> str:
    if value is None:
        return "–"
    if name.startswith(("rows", "regret")):
        return f"{value:,.0f}" if abs(value) >= 10 else f"{value:.2g}"
    return f"{value:.2f}" if name.endswith(("factor", "bias")) else f"{value:.3f}"
