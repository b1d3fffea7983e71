"""Tables of an evaluation: placements with their reasons, Table 5, and accuracy by split."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from rich.table import Table

from profiling.report import figure_data

if TYPE_CHECKING:
    import pandas as pd

    from profiling.evaluation.evaluate import Evaluation

HEAD = "bold"


def _table(title: str, caption: str, *columns: str, numbers: Iterable[str] = ()) -> Table:
    table = Table(title=title, caption=caption, title_justify="left", caption_justify="left", header_style=HEAD)
    for number, column in enumerate(columns):
        # The first column names the row: in a narrow terminal the others give way.
        whole = number == 0 or column in set(numbers)
        table.add_column(column, justify="right" if column in set(numbers) else "left", no_wrap=whole, overflow="fold")
    return table


def placed(where: pd.DataFrame, emulated: bool) -> Table:
    """The placements of `figure_data.placed`."""
    caption = "Nodes A-D are emulated: the tasks ran for real, on this machine's CPU." if emulated else ""
    table = _table("What went where", caption, "task", "kind", "CPU", "GPU", "nodes", "why", numbers=("CPU", "GPU"))
    for row in where.itertuples():
        table.add_row(row.workload, row.kind or "–", str(row.cpu), str(row.gpu), row.configs, row.reason)
    return table


def policies(evaluation: Evaluation) -> Table:
    """Table 5 with the oracle, the paper's own figures in brackets."""
    numbers = ("throughput", "efficiency", "accuracy", "less GPU")
    caption = (
        "Throughput: CPU-only = 1. Efficiency: of energy, GPU-only = 1. Accuracy: of selection. Less GPU: reduction of "
        f"its use. {len(evaluation.frame)} pairs, times {_told(evaluation, 'time_provenance')}, energies "
        f"{_told(evaluation, 'energy_provenance')}. In brackets: the paper's, of its own workloads."
    )
    table = _table("Policies (Table 5)", caption, "policy", *numbers, numbers=numbers)
    for name, score in evaluation.policies.items():
        cells = [
            _beside(score.throughput, name, "throughput", ".2f"),
            _beside(score.energy_efficiency, name, "energy_efficiency", ".2f"),
            _beside(score.selection_accuracy, name, "selection_accuracy", ".1%"),
            _beside(score.gpu_reduction, name, "gpu_reduction", ".1%"),
        ]
        table.add_row(name, *cells, style="bold" if name == "selector" else "")
    return table


def accuracy(evaluation: Evaluation) -> Table:
    """Accuracy of the selector on pairs held out of its fit, beside the majority class."""
    numbers = ("majority", "paper's net", "ratio", "regret s", "regret J")
    caption = (
        "Majority: always the commoner class of the rest. Regret: more than the oracle's seconds and joules, as a "
        f"share of them, by the selector of Table 5: {evaluation.learner}. Its worst fold."
    )
    table = _table("Accuracy on held-out pairs", caption, "split", *numbers, "worst fold", numbers=numbers)
    for name, score in evaluation.splits.items():
        worst, fold = min(score.by_fold.items(), key=lambda entry: entry[1][evaluation.learner])
        joules = "–" if score.regret_joules is None else f"{score.regret_joules:+.1%}"
        table.add_row(
            figure_data.SPLIT_TITLES.get(name, name), f"{score.majority:.1%}", f"{score.paper:.1%}",
            "–" if score.ratio is None else f"{score.ratio:.1%}",
            f"{score.regret_seconds:+.1%}", joules, f"{fold[evaluation.learner]:.1%} ({worst})",
        )  # fmt: skip
    return table


def _beside(value: float | None, policy: str, key: str, form: str) -> str:
    paper = figure_data.PAPER_POLICIES.get(policy, {}).get(key)
    ours = "–" if value is None else format(value, form)
    least = "≥" if (policy, key) in figure_data.PAPER_LEAST else ""
    return ours if paper is None else f"{ours} ({least}{format(paper, '.0%' if '%' in form else form)})"


def _told(evaluation: Evaluation, column: str) -> str:
    return ", ".join(f"{name} {count}" for name, count in figure_data.provenance(evaluation.frame[column]).items())
