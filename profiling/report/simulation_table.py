"""The tables of `placement simulate`: the policies' makespan and completion, and what they cost."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from rich.table import Table

from profiling.simulation.simulator import Simulation
from profiling.terminal import TerminalConsole


def as_dict(found: Simulation) -> dict[str, Any]:
    """A Simulation as plain data."""
    return {**asdict(found), "balanced_gain_share": found.gain_share(), "times": "emulated"}


def show_simulation(found: Simulation, report: dict[str, Any]) -> None:
    """Prints the results as two tables."""
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
