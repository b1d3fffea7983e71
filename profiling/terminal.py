"""Tables that fit the terminal: where it is too narrow for one, each row is a record, one figure a line.

The last column may be wrapped at its words: it has the reasons and remarks. Where the output is not a terminal, a table
has the width that it needs: a program that reads it finds whole lines.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from rich.console import Console, ConsoleOptions, RenderResult
from rich.measure import Measurement
from rich.table import Table
from rich.text import Text

UNBOUNDED = 10_000
"""Columns where the output is no terminal: no line is as long."""


class TerminalConsole(Console):
    """rich's console of standard output, whose tables fit; unbounded where the output is no terminal."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        if not self.is_terminal:
            self.width = UNBOUNDED

    def print(self, *objects: Any, **options: Any) -> None:
        """Prints as rich does, and each table in the form that fits."""
        super().print(*(ResponsiveTable(one) if isinstance(one, Table) else one for one in objects), **options)


class ResponsiveTable:
    """A table where it fits the width there is, else its rows as records; empty cells of these are left out."""

    def __init__(self, table: Table) -> None:
        self.table = table

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        if least_width(self.table, console) <= options.max_width:
            for column in self.table.columns[:-1]:
                column.no_wrap = True
            yield self.table
        else:
            yield from records(self.table)


def natural_width(table: Table, console: Console) -> int:
    """Columns that a table takes where no cell is wrapped; its title and caption may be."""
    return Measurement.get(console, console.options.update_width(UNBOUNDED), table).maximum


def least_width(table: Table, console: Console) -> int:
    """Columns that a table takes where the cells of its last column alone are wrapped, at their words."""
    if not table.columns:
        return 0
    options, last = console.options.update_width(UNBOUNDED), table.columns[-1]
    texts = [Measurement.get(console, options, text) for text in (last.header, *last.cells)]
    spared = max(text.maximum for text in texts) - max(text.minimum for text in texts)
    return natural_width(table, console) - spared


def records(table: Table) -> Iterator[Text]:
    """A table's title, a paragraph for each of its rows, and its caption."""
    heads = [Text.from_markup(str(column.header)) for column in table.columns]
    longest = max((len(head) for head in heads), default=0)
    if table.title:
        yield _text(table.title, "bold")
    for row in zip(*(column.cells for column in table.columns), strict=True):
        for head, cell in zip(heads, row, strict=True):
            if str(cell):
                yield Text.assemble((head.plain.ljust(longest + 2), "bold"), _text(cell))
        yield Text()
    if table.caption:
        yield _text(table.caption, "dim")


def _text(cell: Any, style: str = "") -> Text:
    text = cell.copy() if isinstance(cell, Text) else Text.from_markup(str(cell))
    text.stylize_before(style)
    return text
