"""`placement demo`: the whole loop once."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from profiling.cli.options import folder_to_write
from profiling.cli.session import console


def demo_command(
    output: Annotated[
        Path,
        typer.Option("--output", "-o", callback=folder_to_write, help="Folder of the log, selector and report."),
    ] = Path("out/demo"),
) -> None:
    """The whole loop once, on this machine: place, profile, log, refit, swap; about 5 minutes on 2 cores."""
    from profiling.demo.demo import run

    run(output, console())
