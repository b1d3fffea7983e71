"""`placement simulate`: every policy on a trace, as a table and as JSON."""

from __future__ import annotations

import time
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from profiling.cli.options import Json

if TYPE_CHECKING:
    from profiling.simulation.simulator import Simulation

KINDS = (4, 16, 100, 1000)
SHARED = ("balanced", "selector", "gpu_only")
"""Policies of --gpu-shares where none is named."""


def simulate_command(
    trace: Annotated[
        str,
        typer.Option(
            help="paper, saturated, inference, burst, idle, bursty, alibaba, or a file: arrival_s, preset, steps; or "
            "Alibaba's."
        ),
    ] = "saturated",
    nodes: Annotated[int, typer.Option(help="In all.")] = 4,
    configs: Annotated[
        str, typer.Option(help="Nodes of each configuration, in shares; or a group: servers.")
    ] = "A=1,B=1,C=1,D=1",
    tasks: Annotated[int, typer.Option(help="How many; of a file at most.")] = 20_000,
    policies: Annotated[str, typer.Option(help="Their names with commas between; all where not given.")] = "",
    load: Annotated[float | None, typer.Option(help="Arrivals, as a multiple of what the cluster serves.")] = None,
    burst: Annotated[int | None, typer.Option(help="How many arrive together.")] = None,
    noise: Annotated[float, typer.Option(help="Sigma of the factor by which the policies' times are off.")] = 0.0,
    selector: Annotated[
        str, typer.Option(help="By what policies decide: perfect times, the shipped selector, or a selector file.")
    ] = "perfect",
    history: Annotated[
        bool, typer.Option("--history", help="The selector's estimates learn from runs that end, as on a cluster.")
    ] = False,
    times: Annotated[
        str | None, typer.Option(help="A log, whose measured times replace the emulator's where it has them.")
    ] = None,
    seed: Annotated[int, typer.Option(help="Of arrivals, mix, noise and draws.")] = 0,
    price_schedule: Annotated[
        Path | None,
        typer.Option(help="Prices of a joule by time (CSV): joules by period and waiting, beside the mean price's."),
    ] = None,
    gpu_shares: Annotated[
        bool,
        typer.Option("--gpu-shares", help='Each policy with whole GPUs and with the shares that gpus="auto" takes.'),
    ] = False,
    growth: Annotated[bool, typer.Option(help="Also time decisions among 4 to 1,000 kinds of node.")] = False,
    live: Annotated[
        bool, typer.Option("--live", help="A small trace on an emulated Ray cluster beside the simulator; minutes.")
    ] = False,
    json_file: Json = None,
) -> None:
    """Replays a trace through the policies that run live: makespan, completion, energy, regret, and the bound.

    --live takes --policies, --json and a --trace that is a file; else the committed one (profiling/data).
    --gpu-shares and --price-schedule decide by true times.
    --price-schedule takes the policies that price joules (balanced where none is named).
    """
    if live:
        from profiling.simulation import live_replay

        path = Path(trace) if Path(trace).is_file() else None
        named = [name.strip() for name in policies.split(",") if name.strip()] or live_replay.POLICIES
        live_replay.report(path, named, live_replay.COMPRESSION, json_file)
        return
    from rich.console import Console

    from placement.errors import OptionError
    from placement.scheduling.energy_price import read_schedule
    from placement.scheduling.policies.registry import POLICIES, policy_of
    from profiling.report.console_tables import write_json
    from profiling.simulation.arrivals import trace_of
    from profiling.simulation.cluster import cluster_of
    from profiling.simulation.estimator import Estimator
    from profiling.simulation.measured_times import MeasuredTimes
    from profiling.simulation.simulator import simulate

    console = Console(stderr=True)
    chosen = [name.strip() for name in policies.split(",") if name.strip()] or list(POLICIES)
    estimator = Estimator.of(selector, history)
    if estimator is not None and noise:
        raise OptionError("--noise is on the true times, by which --selector perfect decides; leave one of them out.")
    measured = None if times is None else MeasuredTimes.of(times)
    inventory = cluster_of(nodes, configs, None if measured is None else measured.nodes)
    for name in chosen:
        policy_of(name)  # a misuse is reported before the trace is made
    arriving = trace_of(trace, tasks, seed=seed, load=load, burst=burst)

    def advance(name: str) -> None:
        console.print(f"{name} ...", style="dim")

    if gpu_shares or price_schedule is not None:
        check_alone(
            both=gpu_shares and price_schedule is not None,
            others=bool(noise) or estimator is not None or measured is not None,
        )
    if gpu_shares:
        from profiling.report.sharing_table import show_sharing
        from profiling.simulation.gpu_sharing import simulate_sharing

        show_sharing(
            simulate_sharing(arriving, inventory, chosen if policies else SHARED, seed=seed, advance=advance), json_file
        )
        return
    if price_schedule is not None:
        from profiling.report.tariff_table import show_tariff
        from profiling.simulation.tariff import simulate_tariff

        schedule = read_schedule(price_schedule)
        day = simulate_tariff(
            arriving, inventory, schedule, chosen if policies else ["balanced"], seed=seed, advance=advance
        )
        show_tariff(day, schedule, json_file)
        return
    found = simulate(
        arriving,
        inventory,
        chosen,
        noise=noise,
        seed=seed,
        estimator=estimator,
        measured=measured,
        advance=advance,
    )
    report = as_dict(found) | ({"decide_us_by_kinds": decide_us_by_kinds()} if growth else {})
    report["selector"] = "perfect" if estimator is None else estimator.selector.version
    report["history"] = history
    if measured is not None:
        report["times"] = f"{measured.share(arriving, inventory):.0%} of the log {times}, the rest emulated"
    show(found, report)
    if json_file is not None:
        write_json(json_file, report)


def check_alone(*, both: bool, others: bool) -> None:
    """Raises OptionError where --gpu-shares or --price-schedule is given with an option that it does not take."""
    from placement.errors import OptionError

    if both or others:
        raise OptionError(
            "--gpu-shares and --price-schedule are given one at a time, and decide by true, emulated times: leave out "
            "--selector, --history, --noise and --times."
        )


def as_dict(found: Simulation) -> dict[str, Any]:
    """A Simulation as plain data."""
    return {**asdict(found), "balanced_gain_share": found.gain_share(), "times": "emulated"}


def show(found: Simulation, report: dict[str, Any]) -> None:
    """Prints the results as two tables."""
    from rich.table import Table

    from profiling.terminal import TerminalConsole

    by = "true times" if report["selector"] == "perfect" else f"selector {report['selector']}"
    by += " and history" if report["history"] else ""
    title = (
        f"{found.trace}: {found.tasks:,} tasks on {found.nodes:,} nodes, decided by {by}, times {report['times']}; "
        "no schedule ends before "
    )
    speed = Table(title=f"{title}{found.bound_seconds:,.0f} s", title_justify="left")
    cost = Table(title="What they cost; regret: seconds over the oracle's devices", title_justify="left")
    for table, heads in (
        (speed, ("makespan s", "/ bound", "mean s", "p99 s", "decision us")),
        (cost, ("task MJ", "cluster MJ", "GPU h", "regret s", "on GPU")),
    ):
        table.add_column("policy", no_wrap=True)
        for head in heads:
            table.add_column(head, justify="right")
    for name, o in found.policies.items():
        speed.add_row(
            name, f"{o.makespan_seconds:,.0f}", f"{o.bound_ratio:.3f}", f"{o.mean_completion_seconds:,.1f}",
            f"{o.p99_completion_seconds:,.1f}", f"{o.decide_us:.1f}",
        )  # fmt: skip
        cost.add_row(
            name, f"{o.joules / 1e6:.3f}", f"{o.cluster_joules / 1e6:.3f}", f"{o.gpu_hours:.2f}",
            f"{o.regret_seconds:,.0f}", f"{o.gpu_share:.2f}",
        )  # fmt: skip
    console = TerminalConsole()
    console.print(speed)
    console.print(cost)
    gain = found.gain_share()
    if gain is not None:
        console.print(f"balanced takes {gain:.2f} of the gain over selector that the bound allows.")
    balanced = found.policies.get("balanced")
    if balanced is not None and balanced.same_as_selector is not None:
        console.print(f"balanced takes selector's device for {balanced.same_as_selector:.1%} of the tasks.")
    for kinds, us in report.get("decide_us_by_kinds", {}).items():
        console.print(f"a decision of balanced among {kinds} kinds of node: {us:.1f} us")


def decide_us_by_kinds() -> dict[int, float]:
    """Median us of a decision of `balanced` with busy queues, by the number of kinds of node."""
    from placement.scheduling.decision_table import DecisionTable
    from placement.scheduling.feasibility import Limits
    from placement.scheduling.policies.balanced import Balanced
    from placement.scheduling.queue_model import Backlog, Load
    from placement.scheduling.snapshot import Snapshot
    from placement.spec.joint_threshold import JointThreshold
    from placement.spec.node import Inventory, NodeKind, paper_configs
    from profiling.simulation.arrivals import trace_of
    from profiling.simulation.runtimes import Times, TimesSelector

    trace, found = trace_of("saturated", 2000), {}
    base = list(paper_configs().values())
    for count in KINDS:
        kinds = [NodeKind(replace(base[i % 4], config=f"kind{i}"), (f"node{i}",)) for i in range(count)]
        inventory = Inventory(tuple(kinds))
        thresholds = JointThreshold()
        times = Times.of(trace, inventory, thresholds)
        backlog = Backlog(lambda: 0.0)
        backlog.merge({(k.spec.config, d): Load(4, 40, 400.0) for k in kinds for d in ("cpu", "gpu")}, 0.0)  # type: ignore[misc]
        snapshot = Snapshot(1, inventory, TimesSelector(trace, inventory, times), Balanced(seed=0), backlog=backlog)
        decisions, spent = DecisionTable("f", Limits(), snapshot), []
        for at in trace.type_of.tolist():
            start = time.perf_counter_ns()
            decisions.decide(trace.types[at].spec)
            spent.append(time.perf_counter_ns() - start)
        found[count] = sorted(spent)[len(spent) // 2] / 1000
    return found
