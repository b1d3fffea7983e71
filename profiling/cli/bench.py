"""`placement bench`: the overhead of placing. `placement bench-pipeline`: pipelines of Ray Data, placed and pinned."""

from __future__ import annotations

from collections.abc import Iterable
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


def bench_pipeline_command(
    shapes: Annotated[str, typer.Option(help="Their names with commas between; all where not given.")] = "",
    arms: Annotated[str, typer.Option(help="Likewise: pinned, cpu_only, half, best_fixed, choose, placed.")] = "",
    disturbances: Annotated[
        str, typer.Option(help="Likewise: growth, node_killed, gpus_taken; none for no such run.")
    ] = "",
    seconds: Annotated[float, typer.Option(min=1.0, help="That the bound of a pipeline takes on the clock.")] = 5.0,
    batches: Annotated[int, typer.Option(min=10, help="Of each pipeline.")] = 150,
    overhead: Annotated[bool, typer.Option(help="Also where there is nothing to choose.")] = True,
    json: Json = None,
) -> None:
    """Multimodal pipelines on an emulated A-D cluster: the GPU stage pinned, divided by hand, or placed by batch."""
    from rich.table import Table

    from profiling.pipelines import benchmark, table
    from profiling.pipelines import overhead as nothing_to_choose
    from profiling.pipelines.arms import ARMS
    from profiling.pipelines.shapes import SHAPES
    from profiling.report import console_tables

    report = benchmark.benchmark(
        _names(shapes, SHAPES), _names(arms, ARMS), seconds=seconds, batches=batches,
        disturbances=_names(disturbances, benchmark.DISTURBANCES), advance=console_tables.say,
    )  # fmt: skip
    if overhead:
        console_tables.say("overhead")
        report["overhead"] = nothing_to_choose.overhead()
        extra = report["overhead"]["extra"]
        console_tables.say(f"Where there is nothing to choose, batches of 10 ms take {extra:+.1%} of Ray Data's time.")
    shown = Table(*table.HEADER, title="Pipelines (times and joules are emulated)")
    for row in table.rows_of(report):
        shown.add_row(*row)
    console_tables.show(shown, json, report)


def _names(given: str, every: Iterable[str]) -> tuple[str, ...]:
    """The names of an option; "none" for none."""
    if given.strip() == "none":
        return ()
    return tuple(name.strip() for name in given.split(",") if name.strip()) or tuple(every)
