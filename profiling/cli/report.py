"""`placement report`: the page of a log."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from profiling.cli.options import Log, file_to_write


def report_command(
    log: Log,
    output: Annotated[Path, typer.Option("--output", "-o", callback=file_to_write, help="The page to write.")] = Path(
        "out/report.html"
    ),
    selector: Annotated[Path | None, typer.Option(help="A selector file; else the shipped one.")] = None,
) -> None:
    """A self-contained HTML page on a log, with plots."""
    from profiling.report import console_tables
    from profiling.report.report import write

    console_tables.say(f"written: {write(log, output, selector)}")
