"""The paper's evaluation, each part by one command: `placement paper PART [LOG]`, PART one of PARTS.

    source         the pairs: of a log, or of the full grid emulated on A-D, with the committed measured rows
    table2         speed-ups, powers and labels of the paper's five runs
    fig1           share of the work for the GPU, by configuration
    table5         the policies, with the oracle and confidence intervals over seeds, on two mixes
    curves         Fig. 3 to 5
    sensitivity    to T_t and T_e
    influence      of each of the nine features, by permutation
    mix            how often each preset occurs in Table 5
    held_out_nets  the paper's net fitted to what each split leaves, for several seeds
    figures        figures of the notebooks

The command is `profiling.cli.paper`.

Each part's module has `run(source, options) -> Part`. Beside each published figure stands ours, and a note says why
where they differ. Published figures are those of Ju, Kwak and Park (2026).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

    from matplotlib.figure import Figure
    from rich.table import Table

PARTS: dict[str, str] = {
    "table2": "profiling.paper.table2",
    "fig1": "profiling.paper.fig1",
    "table5": "profiling.paper.table5",
    "fig3": "profiling.paper.curves",
    "fig4": "profiling.paper.curves",
    "fig5": "profiling.paper.curves",
    "sensitivity": "profiling.paper.sensitivity",
    "influence": "profiling.paper.influence",
}
"""Part -> its module."""

EPOCHS = 300
"""Epochs of the nets, chosen so that a part takes a minute. The paper's are 800: in a trial on the emulated grid,
random split, they gained 0.4 points of accuracy over 200, for four times the time.
"""


@dataclass(frozen=True, slots=True)
class PaperOptions:
    """part: of PARTS.  seeds: how many; intervals are over them.  epochs: of each net, at most.  beside: learners of
    `profiling.learning.registry` beside the net in Table 5."""

    part: str = "table5"
    seeds: int = 3
    epochs: int = EPOCHS
    beside: tuple[str, ...] = ("boosted_trees",)


@dataclass(frozen=True, slots=True)
class Part:
    """The result of a part. tables: for the terminal, of at most 80 columns.  data: for `--json`.

    notes: why ours differ from the published figures, a sentence each.  draw: makes the figure, where it is one.
    """

    tables: tuple[Table, ...]
    data: dict[str, Any]
    notes: tuple[str, ...] = field(default=())
    draw: Callable[[], Figure] | None = None


def table(title: str, *columns: str, caption: str = "") -> Table:
    """An empty table: the first column names the row, all others are right-aligned."""
    from rich import box
    from rich.table import Table

    made = Table(
        title=title, caption=caption or None, title_justify="left", caption_justify="left", header_style="bold",
        box=box.SIMPLE_HEAD, pad_edge=False, padding=(0, 1, 0, 0),
    )  # fmt: skip
    for number, name in enumerate(columns):
        made.add_column(name, justify="right" if number else "left", no_wrap=True)
    return made


def figure(value: float | None, form: str = ".2f") -> str:
    """A number, or a dash where it is not known."""
    return "–" if value is None or value != value else format(value, form)
