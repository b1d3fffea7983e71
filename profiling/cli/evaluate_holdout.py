"""`placement evaluate LOG --holdout WHAT`: prints a held-out evaluation, and writes it with --json."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated

import typer

from placement.spec.joint_threshold import JointThreshold
from profiling.cli.error_line import error_line
from profiling.cli.options import Json
from profiling.dataset.frames import read_frame
from profiling.evaluation.holdout import PROBES, SEEDS, holdout
from profiling.report.console_tables import write_json
from profiling.report.holdout_tables import show
from profiling.terminal import TerminalConsole


def evaluate_holdout(
    log: Annotated[str, typer.Argument(help="A log (path or URI), or a table of pairs (.parquet file, .csv).")],
    by: Annotated[
        str, typer.Option("--holdout", help="gpu, cpu, config, workload, family, source or random.")
    ] = "workload",
    source: Annotated[str | None, typer.Option("--source", help="Only pairs of these sources: NAME,...")] = None,
    json_file: Json = None,
    seeds: Annotated[int, typer.Option(help="How many seeds draw the parts and the probes.")] = len(SEEDS),
    probes: Annotated[int, typer.Option(help="Tasks timed on a device held out.")] = PROBES,
    speedup: Annotated[float, typer.Option(help="T_t")] = JointThreshold().speedup,
    energy_ratio: Annotated[float, typer.Option(help="T_e")] = JointThreshold().energy_ratio,
) -> None:
    """Accuracy of each learner on parts held out of its fit."""
    console = TerminalConsole()
    with error_line():
        rule = JointThreshold(speedup, energy_ratio)
        sources = [name.strip() for name in source.split(",") if name.strip()] if source else None
        result = holdout(read_frame(log, rule), by, sources, range(seeds), probes, rule)
        show(result, console)
        if json_file is not None:
            write_json(json_file, result.to_json())


def main(arguments: Sequence[str] | None = None) -> None:
    """The program python -m profiling.cli.evaluate_holdout LOG --holdout gpu"""
    with error_line():
        _app()(None if arguments is None else list(arguments))


def _app() -> typer.Typer:
    app = typer.Typer()
    app.command()(evaluate_holdout)
    return app


if __name__ == "__main__":
    main()
