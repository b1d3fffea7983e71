"""`placement simulate`: every policy on a trace, as a table and as JSON."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from profiling.cli.options import Json

if TYPE_CHECKING:
    from placement.spec.node import Inventory
    from profiling.simulation.arrivals import ArrivalTrace

SHARED = ("balanced", "selector", "gpu_only")
"""Policies of --gpu-shares where none is named."""

Trace = Annotated[
    str,
    typer.Option(
        help="paper, saturated, inference, burst, idle, bursty, alibaba, or a file: arrival_s, preset, steps; or "
        "Alibaba's."
    ),
]
Nodes = Annotated[int, typer.Option(help="In all.")]
Configs = Annotated[str, typer.Option(help="Nodes of each configuration, in shares; or a group: servers.")]
Tasks = Annotated[int, typer.Option(help="How many; of a file at most.")]
Policies = Annotated[str, typer.Option(help="Their names with commas between; all where not given.")]
Load = Annotated[float | None, typer.Option(help="Arrivals, as a multiple of what the cluster serves.")]
Burst = Annotated[int | None, typer.Option(help="How many arrive together.")]
Noise = Annotated[float, typer.Option(help="Sigma of the factor by which the policies' times are off.")]
SelectorName = Annotated[
    str, typer.Option(help="By what policies decide: perfect times, the shipped selector, or a selector file.")
]
LearnsFromRuns = Annotated[
    bool, typer.Option("--history", help="The selector's estimates learn from runs that end, as on a cluster.")
]
TimesLog = Annotated[
    str | None, typer.Option(help="A log, whose measured times replace the emulator's where it has them.")
]
DrawSeed = Annotated[int, typer.Option(help="Of arrivals, mix, noise and draws.")]
Schedule = Annotated[
    Path | None,
    typer.Option(help="Prices of a joule by time (CSV): joules by period and waiting, beside the mean price's."),
]
GpuShares = Annotated[
    bool, typer.Option("--gpu-shares", help='Each policy with whole GPUs and with the shares that gpus="auto" takes.')
]
Growth = Annotated[bool, typer.Option("--growth", help="Also time decisions among 4 to 1,000 kinds of node.")]
Live = Annotated[
    bool, typer.Option("--live", help="A small trace on an emulated Ray cluster beside the simulator; minutes.")
]


def simulate_command(
    trace: Trace = "saturated",
    nodes: Nodes = 4,
    configs: Configs = "A=1,B=1,C=1,D=1",
    tasks: Tasks = 20_000,
    policies: Policies = "",
    load: Load = None,
    burst: Burst = None,
    noise: Noise = 0.0,
    selector: SelectorName = "perfect",
    history: LearnsFromRuns = False,
    times: TimesLog = None,
    seed: DrawSeed = 0,
    price_schedule: Schedule = None,
    gpu_shares: GpuShares = False,
    growth: Growth = False,
    live: Live = False,
    json_file: Json = None,
) -> None:
    """Replays a trace through the policies that run live: makespan, completion, energy, regret, and the bound.

    --live takes --policies, --json and a --trace that is a file; else the committed one (profiling/data).
    --gpu-shares and --price-schedule decide by true times.
    --price-schedule takes the policies that price joules (balanced where none is named).
    """
    named = [name.strip() for name in policies.split(",") if name.strip()]
    if live:
        from profiling.simulation import live_replay

        path = Path(trace) if Path(trace).is_file() else None
        live_replay.report(path, named or live_replay.POLICIES, live_replay.COMPRESSION, json_file)
        return
    from placement.errors import OptionError
    from placement.scheduling.policies.registry import POLICIES, policy_of
    from profiling.report.console_tables import write_json
    from profiling.report.simulation_table import as_dict, show_simulation
    from profiling.simulation.arrivals import trace_of
    from profiling.simulation.cluster import cluster_of
    from profiling.simulation.decision_times import decide_us_by_kinds
    from profiling.simulation.estimator import Estimator
    from profiling.simulation.measured_times import MeasuredTimes
    from profiling.simulation.simulator import simulate

    estimator = Estimator.of(selector, history)
    if estimator is not None and noise:
        raise OptionError("--noise is on the true times, by which --selector perfect decides; leave one of them out.")
    measured = None if times is None else MeasuredTimes.of(times)
    inventory = cluster_of(nodes, configs, None if measured is None else measured.nodes)
    for name in named:
        policy_of(name)  # a misuse is reported before the trace is made
    arriving, advance = trace_of(trace, tasks, seed=seed, load=load, burst=burst), progress()
    if gpu_shares or price_schedule is not None:
        check_alone(
            both=gpu_shares and price_schedule is not None,
            others=bool(noise) or estimator is not None or measured is not None,
        )
    if gpu_shares:
        compare_shares(arriving, inventory, named, seed, advance, json_file)
        return
    if price_schedule is not None:
        simulate_day(arriving, inventory, price_schedule, named, seed, advance, json_file)
        return
    found = simulate(
        arriving, inventory, named or list(POLICIES),
        noise=noise, seed=seed, estimator=estimator, measured=measured, advance=advance,
    )  # fmt: skip
    report = as_dict(found) | ({"decide_us_by_kinds": decide_us_by_kinds()} if growth else {})
    report["selector"] = "perfect" if estimator is None else estimator.selector.version
    report["history"] = history
    if measured is not None:
        report["times"] = f"{measured.share(arriving, inventory):.0%} of the log {times}, the rest emulated"
    show_simulation(found, report)
    if json_file is not None:
        write_json(json_file, report)


def progress() -> Callable[[str], None]:
    """Prints the name of each policy as it begins."""
    from rich.console import Console

    console = Console(stderr=True)
    return lambda name: console.print(f"{name} ...", style="dim")


def compare_shares(
    trace: ArrivalTrace, inventory: Inventory, named: list[str], seed: int, advance: Callable[[str], None],
    json_file: Path | None,
) -> None:  # fmt: skip
    """The policies with whole GPUs and with shares of them."""
    from profiling.report.sharing_table import show_sharing
    from profiling.simulation.gpu_sharing import simulate_sharing

    show_sharing(simulate_sharing(trace, inventory, named or SHARED, seed=seed, advance=advance), json_file)


def simulate_day(
    trace: ArrivalTrace, inventory: Inventory, file: Path, named: list[str], seed: int,
    advance: Callable[[str], None], json_file: Path | None,
) -> None:  # fmt: skip
    """The policies by a schedule of prices of a joule and at its mean price."""
    from placement.scheduling.energy_price import read_schedule
    from profiling.report.tariff_table import show_tariff
    from profiling.simulation.tariff import simulate_tariff

    schedule = read_schedule(file)
    day = simulate_tariff(trace, inventory, schedule, named or ["balanced"], seed=seed, advance=advance)
    show_tariff(day, schedule, json_file)


def check_alone(*, both: bool, others: bool) -> None:
    """Raises OptionError where --gpu-shares or --price-schedule is given with an option that it does not take."""
    from placement.errors import OptionError

    if both or others:
        raise OptionError(
            "--gpu-shares and --price-schedule are given one at a time, and decide by true, emulated times: leave out "
            "--selector, --history, --noise and --times."
        )
