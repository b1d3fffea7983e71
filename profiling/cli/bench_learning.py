"""`placement bench-learning`: the loop of learning in simulation, beside history alone, no learning and the oracle."""

from __future__ import annotations

from typing import Annotated

import typer

from profiling.cli.options import Json


def bench_learning_command(
    scenarios: Annotated[str, typer.Option(help="Of a to e, with commas between.")] = "a,b,c,d,e",
    tasks: Annotated[int, typer.Option(min=1000, help="Of each run of (a).")] = 200_000,
    seeds: Annotated[int, typer.Option(min=1, help="Runs of (a).")] = 20,
    changed_tasks: Annotated[int, typer.Option(min=2000, help="Of each run of (b) to (e).")] = 60_000,
    changed_seeds: Annotated[int, typer.Option(min=1, help="Runs of each of (b) to (e).")] = 3,
    queues: Annotated[
        bool, typer.Option("--queues/--no-queues", help="Also how far gains task by task are from gains under load.")
    ] = True,
    costs: Annotated[bool, typer.Option("--costs/--no-costs", help="Also what the learner itself costs.")] = True,
    curve: Annotated[
        bool, typer.Option("--curve/--no-curve", help="Also accuracy against rows of a log without pairs.")
    ] = True,
    json: Json = None,
) -> None:
    """Drift, refits, swaps and rollbacks in simulation: regret over time, and the tasks until it is back."""
    from profiling.learning_loop.benchmark import benchmark
    from profiling.learning_loop.tables import tables_of
    from profiling.report import console_tables

    names = [name.strip() for name in scenarios.split(",") if name.strip()]
    found = benchmark(
        names, tasks=tasks, seeds=seeds, changed_tasks=changed_tasks, changed_seeds=changed_seeds,
        advance=console_tables.say,
    )  # fmt: skip
    if queues:
        from profiling.learning_loop.queue_coupling import coupling

        console_tables.say("queues")
        found["queues"] = coupling()
    if costs:
        from profiling.learning_loop.learner_cost import learner_cost

        console_tables.say("costs")
        found["costs"] = learner_cost()
    if curve:
        from profiling.evaluation.unpaired_curve import accuracy_curve

        console_tables.say("curve")
        found["curve"] = accuracy_curve()
    console_tables.show(tables_of(found), json, found)
