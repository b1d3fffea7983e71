"""The table of policies with whole GPUs and with shares."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path

from rich.table import Table

from profiling.report.console_tables import show
from profiling.simulation.gpu_sharing import Sharing


def show_sharing(found: Sharing, json_file: Path | None) -> None:
    """Prints policies with whole GPUs and with shares, and writes them as JSON where a file is named."""
    show(sharing_table(found), json_file, {**asdict(found), "times": "emulated"})


def sharing_table(found: Sharing) -> Table:
    """A row for each policy: with shares over with whole GPUs."""
    table = Table(
        title=f"{found.trace}: {found.tasks:,} tasks on {found.nodes:,} nodes; shares of GPUs over whole GPUs. "
        "Times and slowdown by neighbours are emulated, an assumption",
        title_justify="left",
    )
    table.add_column("policy", no_wrap=True)
    heads = ("tasks/s", "x whole", "cluster MJ", "x whole", "mean s", "x whole", "worst p99, x whole")
    for head in (*heads, "GPUs a task", "slowdown", "on GPU"):
        table.add_column(head, justify="right")
    for name, (whole, shared) in found.runs.items():
        ratio, preset = found.worst_p99(name)
        table.add_row(
            name, f"{shared.tasks_per_second:.2f}", f"{shared.tasks_per_second / whole.tasks_per_second:.2f}",
            f"{shared.cluster_joules / 1e6:.3f}", f"{shared.cluster_joules / whole.cluster_joules:.2f}",
            f"{shared.mean_completion_seconds:,.1f}",
            f"{shared.mean_completion_seconds / whole.mean_completion_seconds:.2f}",
            f"{ratio:.2f} ({preset})", _number(shared.mean_gpus), _number(shared.mean_slowdown),
            f"{shared.gpu_share:.2f}",
        )  # fmt: skip
    return table


def _number(value: float | None) -> str:
    return "–" if value is None else f"{value:.2f}"
