"""The command line: `placement nodes | explain | sweep | refit | swap | evaluate | report | demo | bench | import`.

Each command imports what it needs when it runs, so that `placement --help` is quick. What a user did wrong is one red
line and exit code 2; `--json FILE` writes what a table shows.
"""

from __future__ import annotations

from collections.abc import Sequence
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from typer.core import TyperGroup

from placement.errors import LogError, OptionError, PlacementError
from profiling.cli.deploy import node_args_command, start_command
from profiling.cli.paper import paper_command
from profiling.cli.session import connect, console
from profiling.cli.simulate import simulate_command
from profiling.cli.status import status_command
from profiling.learning.learners import DEFAULT

if TYPE_CHECKING:
    from workloads import Preset


class _Group(TyperGroup):
    """Turns the errors of this package, and those of files, into one line."""

    def invoke(self, ctx: Any) -> Any:
        try:
            return super().invoke(ctx)
        except (PlacementError, OSError) as error:
            from rich.console import Console
            from rich.text import Text

            name = "" if isinstance(error, PlacementError) else f"{type(error).__name__}: "
            Console(stderr=True, soft_wrap=True).print(Text(f"error: {name}{error}", style="bold red"))
            raise typer.Exit(2) from None


main = typer.Typer(
    cls=_Group,
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    help="Places every task of a Ray program on a CPU or a GPU, by measured speed and energy.",
)

Json = Annotated[Path | None, typer.Option("--json", help="Also write what is printed to this JSON file.")]
Address = Annotated[str | None, typer.Option(help="Of the Ray cluster; found by itself where not given.")]
Log = Annotated[str, typer.Argument(help="The log: a folder, or a URI that pyarrow knows (s3://bucket/log).")]
Speedup = Annotated[float, typer.Option(help="T_t: the GPU must be so many times faster.")]
EnergyRatio = Annotated[float, typer.Option(help="T_e: it may take so many times the energy.")]
Seed = Annotated[int, typer.Option(help="Of splits and initial weights.")]


class Subset(StrEnum):
    """The named sets of presets."""

    demo = "demo"
    paper = "paper"
    full = "full"


@main.command()
def nodes(address: Address = None, json: Json = None) -> None:
    """The kinds of node of the running cluster, with their probed figures."""
    import placement
    from placement.commands import wait_for_probes
    from profiling.report import console_tables

    connect(address)
    placement.start()
    wait_for_probes()
    found = placement.inventory()
    told = [{**kind.spec.to_dict(), "count": kind.count, "node_ids": list(kind.node_ids)} for kind in found.kinds]
    console_tables.show(console_tables.nodes(found), json, {"nodes": told})


@main.command()
def explain(
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
    """Every candidate for a task, with the reason it would or would not be taken."""
    from placement.scheduling.policies.registry import policy_of
    from placement.spec.task import TaskSpec
    from profiling.cli import explain as explaining
    from profiling.report import console_tables

    task = TaskSpec(
        flops=flops, input_bytes=input_bytes, batch_size=batch, steps=steps, memory_bytes=memory_bytes,
        parameters=None if parameters is None else int(parameters),
    )  # fmt: skip
    chosen = None if policy is None else policy_of(policy)
    snapshot, where = explaining.snapshot(address, offline, selector)
    found = explaining.explain_task(task, snapshot, cpus, config, chosen)
    console_tables.say(where)
    console_tables.show(
        console_tables.explanation(found), json, {"cluster": where, **console_tables.explanation_data(found)}
    )


@main.command()
def sweep(
    output: Annotated[
        str, typer.Option("--output", "-o", help="The log, a folder or URI; it is added to.")
    ] = "out/log",
    subset: Annotated[Subset, typer.Option(help="Which presets.")] = Subset.demo,
    preset: Annotated[list[str] | None, typer.Option(help="Only this preset; may be given again.")] = None,
    workload: Annotated[str | None, typer.Option(help="Only presets of this workload.")] = None,
    data: Annotated[Path, typer.Option(help="Where data sets lie, or are generated.")] = Path("out/data"),
    budget_s: Annotated[float | None, typer.Option(help="Seconds for all; the rest is left to the next call.")] = None,
    cell_budget_s: Annotated[float, typer.Option(help="Seconds for a cell; a run over it is censored.")] = 60.0,
    window_s: Annotated[float, typer.Option(help="A cell is repeated until it took so many seconds.")] = 0.5,
    address: Address = None,
    emulated: Annotated[bool, typer.Option("--emulated", help="Start an emulated cluster of A-D first.")] = False,
    emulate_only: Annotated[
        bool, typer.Option("--emulate-only", help="A-D from traces alone: nothing is measured, no cluster.")
    ] = False,
    json: Json = None,
) -> None:
    """Measures the workloads on every kind of node. Killed and started again it goes on where it stopped."""
    from contextlib import nullcontext

    from profiling.emulation.emulated_cluster import emulated_cluster
    from profiling.report import console_tables
    from profiling.sweep import sweep as sweeping
    from profiling.sweep.measure_cell import Protocol

    chosen = presets_of(subset.value, preset, workload)
    if cell_budget_s <= 0 or window_s <= 0 or (budget_s is not None and budget_s <= 0):
        raise OptionError("--budget-s, --cell-budget-s and --window-s must be positive seconds.")
    if emulate_only:
        done = sweeping.emulate_sweep(output, chosen, console=console())
    else:
        with emulated_cluster() if emulated else nullcontext():
            connect(address, start=True)
            protocol = Protocol(window_s=window_s, budget_s=cell_budget_s)
            done = sweeping.sweep(output, chosen, data, protocol=protocol, budget_s=budget_s, console=console())
    console_tables.show(console_tables.facts("Sweep", done.to_dict()), json, done.to_dict())


@main.command()
def refit(
    log: Log,
    output: Annotated[str, typer.Option("--output", "-o", help="The selector file to write, a path or URI.")],
    speedup: Speedup = 2.0,
    energy_ratio: EnergyRatio = 1.5,
    epochs: Annotated[int, typer.Option(help="At most so many.")] = 800,
    seed: Seed = 0,
    learner: Annotated[str, typer.Option(help="ratio: predicts the speed-up; paper: the paper's net.")] = DEFAULT,
    storage_path: Annotated[str | None, typer.Option(help="Ray Train's folder, shared by all machines.")] = None,
    timeout: Annotated[float, typer.Option(help="Seconds to wait for a free CPU.")] = 60.0,
    address: Address = None,
    json: Json = None,
) -> None:
    """Fits the selector to a log's pairs with Ray Train, and writes the selector file."""
    from profiling.learning.descent import TrainingOptions
    from profiling.learning.refit import refit as fit
    from profiling.learning.refit import training_frame
    from profiling.report import console_tables

    wanted, options = rule(speedup, energy_ratio), TrainingOptions(epochs=epochs, seed=seed)
    training_frame(log, wanted, learner)  # what is wrong with the log is said before a cluster is started
    connect(address, start=True)
    done = fit(
        log, output, rule=wanted, options=options, storage_path=storage_path, timeout_s=timeout, learner=learner
    ).to_dict()
    shown = {name: done[name] for name in ("version", "file", "seconds")}
    shown |= {name: done["training"][name] for name in ("rows", "rows_gpu", "configs", "time_provenance")}
    console_tables.show(console_tables.facts("Refit", {**shown, **done["metrics"]}), json, done)


@main.command()
def swap(
    selector: Annotated[str, typer.Argument(help="A selector file, as `placement refit` writes; a path or URI.")],
    address: Address = None,
    json: Json = None,
) -> None:
    """Puts a selector in service in the running cluster, without a restart."""
    import placement
    from placement.commands import read_selector
    from profiling.report import console_tables

    read_selector(selector)  # a broken file is refused before any cluster is asked
    connect(address)
    before = placement.start()
    done = {"in_service": placement.swap(selector), "before": before}
    console_tables.show(console_tables.facts("Swap", done), json, done)


@main.command()
def evaluate(
    log: Log,
    holdout: Annotated[
        str | None,
        typer.Option(help="Every learner on an unseen gpu, cpu, config, workload, family, source, or random pairs."),
    ] = None,
    source: Annotated[str | None, typer.Option(help="With --holdout: only pairs of these sources, NAME,...")] = None,
    seeds: Annotated[int, typer.Option(min=1, help="With --holdout: how many seeds draw the parts.")] = 3,
    probes: Annotated[int, typer.Option(min=0, help="With --holdout: tasks timed on a device held out.")] = 8,
    learner: Annotated[str, typer.Option(help="Of Table 5's selector: ratio or paper.")] = DEFAULT,
    speedup: Speedup = 2.0,
    energy_ratio: EnergyRatio = 1.5,
    seed: Seed = 0,
    json: Json = None,
) -> None:
    """The policies side by side (Table 5), and held-out accuracies beside the majority class."""
    if holdout is not None:
        from profiling.cli.evaluate_holdout import evaluate_holdout

        evaluate_holdout(log, holdout, source, json, seeds, probes, speedup, energy_ratio)
        return
    if source is not None:
        raise OptionError("--source narrows a held-out evaluation; give --holdout too.")
    from profiling.demo import demo_tables
    from profiling.evaluation.evaluate import evaluate as evaluated
    from profiling.learning.descent import TrainingOptions
    from profiling.report import console_tables

    found = evaluated(log, rule=rule(speedup, energy_ratio), options=TrainingOptions(seed=seed), learner=learner)
    console_tables.show(demo_tables.policies(found), None, {})
    console_tables.show(demo_tables.accuracy(found), json, found.to_dict())
    for note in found.notes:
        console_tables.say(note)


@main.command()
def report(
    log: Log,
    output: Annotated[Path, typer.Option("--output", "-o", help="The page to write.")] = Path("out/report.html"),
    selector: Annotated[Path | None, typer.Option(help="A selector file; else the shipped one.")] = None,
) -> None:
    """One self-contained HTML page of what a log says, with plots."""
    from profiling.report import console_tables
    from profiling.report.report import write

    console_tables.say(f"written: {write(log, output, selector)}")


@main.command()
def demo(
    output: Annotated[Path, typer.Option("--output", "-o", help="Folder of the log, selector, report.")] = Path(
        "out/demo"
    ),
) -> None:
    """The whole loop once, on this machine: place, profile, log, refit, swap; about 5 minutes on 2 cores."""
    from profiling.demo.demo import run

    run(output, console())


@main.command()
def bench(
    rounds: Annotated[int, typer.Option(min=1, help="Of each comparison.")] = 15,
    calls: Annotated[int, typer.Option(min=1, help="Tasks in a round.")] = 400,
    json: Json = None,
) -> None:
    """What placing costs, as ratios against plain Ray in one run."""
    from profiling import bench as benching
    from profiling.report import console_tables

    figures = benching.bench(rounds, calls, told=console_tables.say)
    console_tables.show(benching.table(figures), json, benching.as_json(figures))


@main.command(name="import")
def import_(
    pairs: Annotated[
        Path, typer.Argument(help="A table of pairs, Parquet or CSV; see profiling/dataset/import_pairs.py.")
    ],
    output: Annotated[str, typer.Option("--output", "-o", help="The log, a folder or URI; it is added to.")],
    json: Json = None,
) -> None:
    """Takes a table of foreign measurements, a CPU's and a GPU's seconds in each row, into a log."""
    from placement.log import LogWriter
    from profiling.dataset.import_pairs import import_pairs
    from profiling.report import console_tables

    if not pairs.is_file():
        raise LogError(f"{pairs}: there is no such file. Give a table of pairs, Parquet or CSV.")
    rows = import_pairs(pairs)
    LogWriter(output).append(rows)
    done = {"log": output, "pairs": len(rows) // 2, "rows": len(rows)}
    console_tables.show(console_tables.facts("Import", done), json, done)


def presets_of(subset: str, names: Sequence[str] | None, workload: str | None) -> Sequence[Preset]:
    """The presets asked for; OptionError that lists what comes near."""
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


def rule(speedup: float, energy_ratio: float) -> Any:
    """The thresholds; OptionError where they are not positive."""
    from placement.spec.joint_threshold import JointThreshold

    return JointThreshold(speedup, energy_ratio)


main.command(name="simulate")(simulate_command)
main.command(name="status")(status_command)
main.command(name="paper")(paper_command)
main.command(name="start")(start_command)
main.command(name="node-args")(node_args_command)

if __name__ == "__main__":
    main()
