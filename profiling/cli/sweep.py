"""`placement sweep` and `placement import`: measurements of this cluster, and of others, into a log."""

from __future__ import annotations

from collections.abc import Sequence
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from placement.errors import LogError, OptionError
from profiling.cli.options import Address, Json, OutputLog
from profiling.cli.session import connect, console

if TYPE_CHECKING:
    from workloads import Preset


class Subset(StrEnum):
    """The named sets of presets."""

    demo = "demo"
    paper = "paper"
    full = "full"
    multimodal = "multimodal"
    installed = "installed"


def sweep_command(
    output: OutputLog = "out/log",
    subset: Annotated[Subset, typer.Option(help=f"Which presets: {', '.join(Subset)}.")] = Subset.demo,
    preset: Annotated[list[str] | None, typer.Option(help="Only this preset; may be given again.")] = None,
    workload: Annotated[str | None, typer.Option(help="Only presets of this workload.")] = None,
    data: Annotated[Path, typer.Option(help="Where data sets lie, or are generated.")] = Path("out/data"),
    function: Annotated[
        str | None, typer.Option(help="A placed function of your own instead, module:name; takes --inputs.")
    ] = None,
    inputs: Annotated[
        str | None, typer.Option(help="Its inputs, module:name of an iterable, or of a function that gives one.")
    ] = None,
    star: Annotated[bool, typer.Option("--star", help="Each input is a tuple of arguments.")] = False,
    cpus: Annotated[str | None, typer.Option(help="CPUs granted, NUMBER,...: 1,4,all; with --function 1,4.")] = None,
    budget_s: Annotated[
        float | None,
        typer.Option(
            "--budget-s", "--budget", help="Seconds for all: what tells most comes first, the rest is left to the next."
        ),
    ] = None,
    cell_budget_s: Annotated[float, typer.Option(help="Seconds for a cell; a run over it is censored.")] = 60.0,
    window_s: Annotated[float, typer.Option(help="A cell is repeated until it took so many seconds.")] = 0.5,
    address: Address = None,
    emulated: Annotated[bool, typer.Option("--emulated", help="Start an emulated cluster of --configs first.")] = False,
    emulate_only: Annotated[
        bool, typer.Option("--emulate-only", help="From traces alone: nothing is measured, no cluster.")
    ] = False,
    configs: Annotated[
        str | None,
        typer.Option(help="Only these kinds of node, NAME,...; emulated also groups (paper, servers, phone, laptop)."),
    ] = None,
    json: Json = None,
) -> None:
    """Measures workloads on every kind of node. Killed and started again it goes on where it stopped.

    With --function it measures a placed function of your own, whose results are thrown away.
    """
    from contextlib import nullcontext

    from placement.spec.node import configs_named
    from profiling.cli.sweep_function import inputs_of, numbers_of, own_function
    from profiling.emulation.emulated_cluster import emulated_cluster
    from profiling.report import console_tables
    from profiling.sweep import sweep as sweeping

    check_seconds(budget_s=budget_s, cell_budget_s=cell_budget_s, window_s=window_s)
    beside = {"--preset": preset, "--workload": workload, "--emulate-only": emulate_only}
    own = None if function is None else own_function(function, inputs, beside)
    chosen = () if own else presets_of(subset.value, preset, workload)
    nodes = configs_named(configs or "paper") if emulated or emulate_only else {}
    granted = numbers_of("--cpus", cpus)
    if emulate_only:
        done = sweeping.emulate_sweep(output, chosen, nodes=list(nodes.values()), cpus=granted, console=console())
    else:
        from profiling.active_learning.budgeted_choice import choice_for
        from profiling.active_learning.profile_function import profile
        from profiling.sweep.measure_cell import Protocol

        shared = {
            "protocol": Protocol(window_s=window_s, budget_s=cell_budget_s), "budget_s": budget_s, "console": console(),
            "configs": None if emulated or configs is None else [name.strip() for name in configs.split(",")],
        }  # fmt: skip
        with emulated_cluster(list(nodes)) if emulated else nullcontext():
            connect(address, start=True)
            if own:
                given = inputs_of(own[1], inputs)
                done = profile(own[0], given, log=output, cpus=granted or (1, 4), star=star, **shared)
            else:
                choose = choice_for(output, budget_s)
                done = sweeping.sweep(output, chosen, data, cpus=granted, choose=choose, **shared)
    console_tables.show(console_tables.facts("Sweep", done.to_dict()), json, done.to_dict())


def import_command(
    pairs: Annotated[
        Path, typer.Argument(help="A table of pairs, Parquet or CSV; see profiling/dataset/import_pairs.py.")
    ],
    output: OutputLog,
    json: Json = None,
) -> None:
    """Takes a table of foreign measurements, a CPU's and a GPU's seconds in each row, into a log."""
    from placement.log import LogWriter
    from profiling.dataset.import_pairs import import_pairs
    from profiling.report import console_tables

    if not pairs.exists():
        raise LogError(f"{pairs}: there is no such file. Give a table of pairs, Parquet or CSV.")
    rows = import_pairs(pairs)
    LogWriter(output).append(rows)
    done = {"log": output, "pairs": len(rows) // 2, "rows": len(rows)}
    console_tables.show(console_tables.facts("Import", done), json, done)


def presets_of(subset: str, names: Sequence[str] | None, workload: str | None) -> Sequence[Preset]:
    """The presets of the options. Raises OptionError with similar names on an unknown preset."""
    import workloads

    try:
        if names:
            return [workloads.preset(name) for name in names]
        chosen = workloads.presets(subset, workload=workload)  # type: ignore[arg-type]
    except ValueError as error:
        raise OptionError(str(error)) from None
    if not chosen:
        valid = sorted({preset.workload for preset in workloads.all_presets()})
        raise OptionError(f"no preset of {subset!r} is of workload {workload!r}; valid are {', '.join(valid)}.")
    return chosen


def check_seconds(**options: float | None) -> None:
    """Raises OptionError where an option that is given is not a positive number of seconds."""
    wrong = [f"--{name.replace('_', '-')}={value:g}" for name, value in options.items()
             if value is not None and not 0 < value < float("inf")]  # fmt: skip
    if wrong:
        raise OptionError(f"{', '.join(wrong)}: must be positive seconds.")
