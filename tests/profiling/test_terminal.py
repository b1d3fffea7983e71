"""Tables fit the width of the terminal, and are never wrapped where the output is none."""

from __future__ import annotations

from io import StringIO

import pytest
from rich.console import Console
from rich.table import Table

from placement.spec.node import Inventory, NodeKind, paper_configs
from profiling.report import console_tables as tables
from profiling.terminal import TerminalConsole, natural_width

INVENTORY = Inventory(tuple(NodeKind(spec, (name,)) for name, spec in paper_configs().items()))
NAMES = {spec.gpu_name for spec in paper_configs().values()}


def printed(table: Table, width: int) -> str:
    """What a terminal of that width shows."""
    out = StringIO()
    TerminalConsole(file=out, force_terminal=True, width=width, color_system=None).print(table)
    return out.getvalue()


@pytest.mark.parametrize("width", [40, 80, 100])
def test_the_nodes_are_records_where_the_terminal_is_too_narrow(width: int) -> None:
    shown = printed(tables.nodes(INVENTORY), width)
    assert max(map(len, shown.splitlines())) <= width
    assert {line.split(maxsplit=1)[1] for line in shown.splitlines() if line.startswith("GPU  ")} == NAMES
    assert "│" not in shown


def test_the_nodes_are_a_table_where_it_fits() -> None:
    table = tables.nodes(INVENTORY)
    natural = natural_width(table, Console())
    shown = printed(table, natural)
    assert shown.count("┏") == 1
    assert all(name in shown for name in NAMES)
    assert "┏" not in printed(table, natural - 1)


def test_the_last_column_is_wrapped_at_its_words_before_records_are_made() -> None:
    table = Table("name", "reason")
    table.add_row("a long name", "the gpu was taken")
    assert printed(table, 35).count("│") == 3
    assert printed(table, 27).splitlines()[3:5] == ["│ a long name │ the gpu   │", "│             │ was taken │"]
    assert "│" in printed(table, 24)
    assert "│" not in printed(table, 23)


def test_a_cell_that_is_empty_makes_no_line_and_markup_none_either() -> None:
    table = Table("name", "much", title="Few")
    table.add_row("a", "")
    table.add_row(r"\[b]", "x" * 30)
    assert printed(table, 20).split() == ["Few", "name", "a", "name", "[b]", "much", "x" * 20, "x" * 10]


def test_no_line_is_wrapped_where_the_output_is_no_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "60")
    out = StringIO()
    TerminalConsole(file=out).print(tables.nodes(INVENTORY))
    lines = [line for line in out.getvalue().splitlines() if "│" in line]
    assert len(lines) == len(INVENTORY.kinds)
    assert all(line.count("│") == len(tables.nodes(INVENTORY).columns) + 1 for line in lines)
