"""`placement bench`: the overhead of placing."""

from __future__ import annotations

from typing import Annotated

import typer

from profiling.cli.options import Json


def bench_command(
    rounds: Annotated[int, typer.Option(min=1, help="Of each comparison.")] = 15,
    calls: Annotated[int, typer.Option(min=1, help="Tasks in a round.")] = 400,
    json: Json = None,
) -> None:
    """The overhead of placing, as ratios to plain Ray in one run."""
    from profiling import bench as benching
    from profiling.report import console_tables

    figures = benching.bench(rounds, calls, told=console_tables.say)
    console_tables.show(benching.table(figures), json, benching.as_json(figures))
