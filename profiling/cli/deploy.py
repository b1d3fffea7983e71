"""`placement node-args` and `placement start`: the commands that a cluster file runs on its machines."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated

import typer

from placement.errors import OptionError
from profiling.cli.options import Address
from profiling.cli.session import connect


def node_args_command(
    config: Annotated[
        str | None, typer.Option(envvar="PLACEMENT_CONFIG", help="This machine's kind; else a name of its hardware.")
    ] = None,
    cpus: Annotated[
        int | None, typer.Option(envvar="PLACEMENT_CPUS", help="That Ray may grant; else those that Ray counts here.")
    ] = None,
    gpus: Annotated[
        int | None,
        typer.Option(
            envvar="PLACEMENT_GPUS",
            help="That Ray may grant; else those of the driver that CUDA_VISIBLE_DEVICES names.",
        ),
    ] = None,
    emulated: Annotated[
        bool,
        typer.Option(
            "--emulated",
            envvar="PLACEMENT_EMULATED",
            help="It plays the config of that name: A, server-t4, ...",
        ),
    ] = False,
) -> None:
    """The arguments of `ray start` for the machine it runs on: ray start --address=HEAD:6379 $(placement node-args)."""
    from placement.hardware.meters import cpu_name, find_gpus
    from placement.hardware.probe import config_name, visible_gpu_count
    from placement.ray_internals.machine import detected_cpus
    from placement.spec.node import emulated_configs, emulated_names
    from placement.spec.ray_start_args import ray_start_args

    if emulated and config is None:
        raise OptionError(f"--emulated: name the config to play by --config; valid are {emulated_names()}.")
    if emulated and gpus is None:
        spec = emulated_configs().get(config or "")
        gpus = spec.gpus if spec else 0
    visible = os.environ.get("CUDA_VISIBLE_DEVICES")
    cpus = detected_cpus() if cpus is None else cpus
    gpus = visible_gpu_count(visible) if gpus is None else gpus
    if config is None:
        gpu = next(iter(find_gpus(visible)), None) if gpus else None
        config = config_name(cpu_name() or "machine", cpus, gpu.name if gpu else None)
    words = ray_start_args(config, cpus, gpus, emulated=emulated, visible_devices=visible)
    typer.echo(" ".join(words))


def start_command(
    log: Annotated[
        str | None, typer.Option(help="Where production records go: a path on the head, or s3://bucket/log.")
    ] = None,
    selector: Annotated[str | None, typer.Option(help="A selector file or URI; else the shipped one.")] = None,
    policy: Annotated[str | None, typer.Option(help="The whole cluster's.")] = None,
    node_types: Annotated[
        Path | None, typer.Option(help="A cluster file: tasks that only its types could serve wait for them.")
    ] = None,
    price_schedule: Annotated[
        Path | None, typer.Option(help="Prices of a joule by time, and caps in watts: CSV; see the docs on policies.")
    ] = None,
    exploration: Annotated[
        float | None, typer.Option(min=0.0, max=1.0, help="Share of device seconds that trials of a device may take.")
    ] = None,
    learn: Annotated[
        bool | None,
        typer.Option("--learn/--no-learn", help="A learner refits the selector from the log, and swaps it."),
    ] = None,
    address: Address = None,
) -> None:
    """Starts the placement actor of the running cluster, and changes its settings."""
    import placement
    from placement.commands import NOT_PLACED

    connect(address)
    version = placement.start(
        log=log, selector=selector, policy=policy, node_types=node_types, exploration=exploration, learn=learn,
        seconds_per_joule=price_schedule,
    )  # fmt: skip
    if version == NOT_PLACED:
        typer.echo("nothing is placed: this Ray lacks what placing takes, or PLACEMENT_RAY_API=plain is set")
        return
    typer.echo(f"the placement actor serves; selector {version}, log {placement.status()['log'] or 'none'}")
