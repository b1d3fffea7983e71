"""`placement bench`: the overhead of placing. `placement bench-pipeline`: pipelines of Ray Data, placed and pinned."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from profiling.cli.options import Json, folder_to_write

if TYPE_CHECKING:
    from rich.table import Table


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
    overhead: Annotated[
        bool | None, typer.Option(help="Also where there is nothing to choose; so without --real.")
    ] = None,
    real: Annotated[
        bool, typer.Option("--real", help="JPEG files classified on this machine; else only what is named.")
    ] = False,
    images: Annotated[int, typer.Option(min=1, help="Of --real: JPEG files.")] = 2_000,
    data: Annotated[
        Path, typer.Option(callback=folder_to_write, help="Of --real: the folder of the files, generated once.")
    ] = Path("out/bench-pipeline"),
    json: Json = None,
) -> None:
    """Multimodal pipelines, on an emulated A-D cluster or for real: the GPU stage pinned, divided or placed."""
    from rich.console import Group

    from profiling.pipelines import benchmark, table
    from profiling.pipelines import real as on_this_machine
    from profiling.pipelines.arms import ARMS
    from profiling.pipelines.shapes import SHAPES
    from profiling.report import console_tables

    replayed: dict[str, Iterable[str]] = {"shapes": SHAPES, "disturbances": benchmark.DISTURBANCES} if not real else {}
    report = benchmark.benchmark(
        _names(shapes, replayed.get("shapes", ())), _names(arms, ARMS), seconds=seconds, batches=batches,
        disturbances=_names(disturbances, replayed.get("disturbances", ())), advance=console_tables.say,
    )  # fmt: skip
    if overhead if overhead is not None else not real:
        report["overhead"] = _overhead()
    tables = []
    if rows := table.rows_of(report):
        tables.append(_table("Pipelines (times and joules are emulated)", rows))
    if real:
        found = on_this_machine.benchmark(
            images, _names(arms, on_this_machine.ARMS), data=data, advance=console_tables.say
        )
        report["real"] = found
        tables.append(_table(table.title_of_real(found), table.rows_of_real(found)))
    console_tables.show(Group(*tables), json, report)


def _overhead() -> dict[str, float]:
    from profiling.pipelines.overhead import overhead
    from profiling.report import console_tables

    console_tables.say("overhead")
    found = overhead()
    console_tables.say(
        f"Where there is nothing to choose, batches of 10 ms take {found['extra']:+.1%} of Ray Data's time."
    )
    return found


def _table(title: str, rows: list[list[str]]) -> Table:
    from rich.table import Table

    from profiling.pipelines.table import HEADER

    shown = Table(*HEADER, title=title)
    for row in rows:
        shown.add_row(*row)
    return shown


def _names(given: str, every: Iterable[str]) -> tuple[str, ...]:
    """The names of an option; "none" for none."""
    if given.strip() == "none":
        return ()
    return tuple(name.strip() for name in given.split(",") if name.strip()) or tuple(every)
