"""`placement bench`: the overhead of placing. `placement bench-pipeline`: pipelines of Ray Data, placed and pinned."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from profiling.cli.options import Json

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
        bool | None,
        typer.Option(
            "--overhead/--no-overhead", help="Also where there is nothing to choose; left out, not with --real."
        ),
    ] = None,
    real: Annotated[
        bool,
        typer.Option("--real", help="JPEG files classified on this machine; shapes and disturbances only as named."),
    ] = False,
    images: Annotated[int, typer.Option(min=1, help="Of --real: JPEG files.")] = 2_000,
    data: Annotated[Path, typer.Option(help="Of --real: the folder of the files, which are generated once.")] = Path(
        "out/bench-pipeline"
    ),
    json: Json = None,
) -> None:
    """Multimodal pipelines, on an emulated A-D cluster or for real: the GPU stage pinned, divided or placed."""
    from rich.console import Group

    from profiling.pipelines import benchmark
    from profiling.pipelines import real as on_this_machine
    from profiling.pipelines.arms import ARMS
    from profiling.pipelines.shapes import SHAPES
    from profiling.report.console_tables import say, show

    found = {}
    if real:
        found["real"] = on_this_machine.benchmark(images, _names(arms, on_this_machine.ARMS), data=data, advance=say)
    report = benchmark.benchmark(
        _names(shapes, () if real else SHAPES), _names(arms, ARMS), seconds=seconds, batches=batches,
        disturbances=_names(disturbances, () if real else benchmark.DISTURBANCES), advance=say,
    )  # fmt: skip
    report |= found
    if overhead if overhead is not None else not real:
        report["overhead"] = _overhead()
    show(Group(*_tables(report)), json, report)


def _overhead() -> dict[str, float]:
    from profiling.pipelines.overhead import overhead
    from profiling.report import console_tables

    console_tables.say("overhead")
    found = overhead()
    console_tables.say(
        f"Where there is nothing to choose, batches of 10 ms take {found['extra']:+.1%} of Ray Data's time."
    )
    return found


def _tables(report: dict[str, Any]) -> Iterator[Table]:
    """The tables of the pipelines that ran."""
    from rich.table import Table

    from profiling.pipelines import table

    contents = {"Pipelines (times and joules are emulated)": table.rows_of(report)}
    if "real" in report:
        contents[table.title_of_real(report["real"])] = table.rows_of_real(report["real"])
    for title, rows in contents.items():
        shown = Table(*table.HEADER, title=title)
        for row in rows:
            shown.add_row(*row)
        if rows:
            yield shown


def _names(given: str, every: Iterable[str]) -> tuple[str, ...]:
    """The names of an option; "none" for none."""
    if given.strip() == "none":
        return ()
    return tuple(name.strip() for name in given.split(",") if name.strip()) or tuple(every)
