"""`placement explain`: every candidate for a task described by its options."""

from __future__ import annotations

import math
from typing import Annotated

import typer

from placement.errors import OptionError
from profiling.cli.options import Address, Json


def explain_command(
    flops: Annotated[float | None, typer.Option(help="Of one step, a multiply-add counted as two.")] = None,
    input_bytes: Annotated[float | None, typer.Option(help="Bytes that a step reads as input.")] = None,
    batch: Annotated[int | None, typer.Option(help="Samples in a step.")] = None,
    parameters: Annotated[float | None, typer.Option(help="Of the model.")] = None,
    memory_bytes: Annotated[float | None, typer.Option(help="Device memory needed.")] = None,
    steps: Annotated[int, typer.Option(help="Steps that the task runs.")] = 1,
    cpus: Annotated[float, typer.Option(help="CPUs granted to the task.")] = 1.0,
    config: Annotated[list[str] | None, typer.Option(help="Only this config; may be given again.")] = None,
    policy: Annotated[str | None, typer.Option(help="Instead of the cluster's.")] = None,
    selector: Annotated[str | None, typer.Option(help="A selector file or URI, instead of the one in service.")] = None,
    address: Address = None,
    offline: Annotated[bool, typer.Option("--offline", help="The paper's configs A-D, no cluster.")] = False,
    json: Json = None,
) -> None:
    """Every candidate for a task, with the reason why it would or would not be taken."""
    from placement.scheduling.policies.registry import policy_of
    from placement.spec.task import TaskSpec
    from profiling.cli.task_explanation import explain_task, snapshot_of
    from profiling.report import console_tables

    task = TaskSpec(
        flops=flops, input_bytes=input_bytes, batch_size=batch, steps=steps, memory_bytes=memory_bytes,
        parameters=whole(parameters),
    )  # fmt: skip
    chosen = None if policy is None else policy_of(policy)
    current, where = snapshot_of(address, offline, selector)
    found = explain_task(task, current, cpus, config, chosen)
    console_tables.say(where)
    console_tables.show(
        console_tables.explanation(found), json, {"cluster": where, **console_tables.explanation_data(found)}
    )


def whole(parameters: float | None) -> int | None:
    """A number of parameters like 1e6 as an integer. Raises OptionError on NaN and infinity."""
    if parameters is None or math.isfinite(parameters):
        return None if parameters is None else int(parameters)
    raise OptionError(f"--parameters={parameters}: must be a finite number.")
