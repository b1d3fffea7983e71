"""The command line.

app                           registers the commands
cluster                       nodes, swap
deploy                        node-args, start
status                        status
explain, task_explanation     explain
sweep, sweep_function         sweep, import
learn, evaluate_holdout,
evaluate_published,
evaluate_sweep_order          refit, evaluate
simulate                      simulate
paper                         paper
report                        report
demo                          demo
bench, bench_learning         bench, bench-pipeline, bench-learning
measure_here                  every measurement that needs a real GPU, in one call
options, session, error_line  options, the connection and the one line of an error, which commands share
"""

from __future__ import annotations


def main() -> None:
    """The command `placement`."""
    from profiling.cli.app import main as command

    command()
