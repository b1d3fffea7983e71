"""The command line: `placement nodes`, `explain`, `sweep`, `refit`, `swap`, `evaluate`, `report`, `demo` and others.

The commands are functions in the modules of this folder. Each imports what it needs when it runs, so that
`placement --help` is quick. A misuse is one red line and exit code 2; `--json FILE` writes what a table shows.
"""

from __future__ import annotations

from typing import Any

import typer
from typer.core import TyperGroup

from profiling.cli.bench import bench_command, bench_pipeline_command
from profiling.cli.bench_learning import bench_learning_command
from profiling.cli.cluster import nodes_command, swap_command
from profiling.cli.demo import demo_command
from profiling.cli.deploy import node_args_command, start_command
from profiling.cli.error_line import error_line
from profiling.cli.explain import explain_command
from profiling.cli.learn import evaluate_command, refit_command
from profiling.cli.paper import paper_command
from profiling.cli.report import report_command
from profiling.cli.simulate import simulate_command
from profiling.cli.status import status_command
from profiling.cli.sweep import import_command, sweep_command


class _Group(TyperGroup):
    """A group whose commands report errors of this package, and of files, in one line."""

    def invoke(self, ctx: Any) -> Any:
        with error_line():
            return super().invoke(ctx)


main = typer.Typer(
    cls=_Group,
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    help="Places every task of a Ray program on a CPU or a GPU, by measured speed and energy.",
)
main.command(name="nodes")(nodes_command)
main.command(name="explain")(explain_command)
main.command(name="sweep")(sweep_command)
main.command(name="refit")(refit_command)
main.command(name="swap")(swap_command)
main.command(name="evaluate")(evaluate_command)
main.command(name="report")(report_command)
main.command(name="demo")(demo_command)
main.command(name="bench")(bench_command)
main.command(name="bench-pipeline")(bench_pipeline_command)
main.command(name="bench-learning")(bench_learning_command)
main.command(name="import")(import_command)
main.command(name="simulate")(simulate_command)
main.command(name="status")(status_command)
main.command(name="paper")(paper_command)
main.command(name="start")(start_command)
main.command(name="node-args")(node_args_command)

if __name__ == "__main__":
    main()
