"""`placement demo`: the whole loop on real input, on one machine, in a few minutes.

    emulated A-D cluster -> sweep -> refit through Ray Train -> swap in the running actor -> a stream of real tasks
    -> evaluation -> report

On a machine without a GPU every task runs for real on its CPU, while the seconds and joules of A-D are the emulator's
and are marked so. Where there is an NVIDIA GPU it joins as a fifth, measured config.

Everything lies under one folder. Run again, the demo replaces its log, selector, report and summary there; the data
sets it generated are kept and used again.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

from placement.errors import OptionError
from profiling.terminal import TerminalConsole

if TYPE_CHECKING:
    import pyarrow as pa

    from profiling.demo.task_stream import Streamed
    from profiling.evaluation.evaluate import Evaluation

DEFAULT_OUT = Path("out/demo")
LEAST_SHARE, SHARE = 0.2, 0.25
"""Of the placeable tasks, the share that each device must get (less is reported), and the share that the mix is filled
up to.
"""
EMULATOR = "profiling.emulation.emulator:emulated"
FLUSH_S = 60.0
WINDOW_S = 0.2
"""Seconds of repeats of a cell; the demo's are short, a sweep of your own has its --window-s."""
CELL_BUDGET_S = 30.0
MOST_FAILURES = 10


@dataclass(frozen=True, slots=True)
class Places:
    """Paths of a demo's files."""

    out: Path

    @property
    def log(self) -> Path:
        """The Parquet log: the sweep's rows and the stream's."""
        return self.out / "log"

    @property
    def data(self) -> Path:
        """The data sets, generated where they are not on disk."""
        return self.out / "data"

    @property
    def selector(self) -> Path:
        """The refitted selector."""
        return self.out / "selector.json"

    @property
    def report(self) -> Path:
        """The page."""
        return self.out / "report.html"

    @property
    def summary(self) -> Path:
        """The summary of the results, as JSON."""
        return self.out / "summary.json"

    def clear(self) -> None:
        """Makes the folder, and removes what an earlier demo left there; the data sets stay.

        Raises OptionError where the folder, or its log/, holds something that no demo wrote.
        """
        if self.out.exists() and not self.out.is_dir():
            raise OptionError(f"{self.out} is a file; give --output a folder, or one that is not there yet.")
        strange = [path for path in self.log.glob("*") if not path.name.endswith((".parquet", ".parquet.tmp"))]
        if strange:
            raise OptionError(f"{strange[0]} was not written by a demo; give --output another folder, or move it away.")
        self.data.mkdir(parents=True, exist_ok=True)
        for path in (*self.log.glob("*"), self.selector, self.report, self.summary):
            path.unlink(missing_ok=True)


@dataclass
class Stages:
    """Prints each stage of the demo and keeps its duration. seconds: stage -> s."""

    console: Console
    began: float = field(default_factory=time.perf_counter)
    seconds: dict[str, float] = field(default_factory=dict)

    @contextmanager
    def stage(self, name: str, what: str) -> Iterator[None]:
        """One stage; its line appears before it, its seconds after it."""
        self.console.print(f"[bold]{what}[/] …")
        start = time.perf_counter()
        try:
            yield
        finally:
            self.seconds[name] = round(time.perf_counter() - start, 2)
        self.console.print(f"  [dim]{self.seconds[name]:.0f} s[/]")

    @property
    def wall_seconds(self) -> float:
        """Since the demo began."""
        return time.perf_counter() - self.began


def run(out: Path | str = DEFAULT_OUT, console: Console | None = None) -> dict[str, Any]:
    """Runs the whole loop under `out`, prints the results, and returns the summary that it also writes.

    Raises OptionError where `out` holds foreign files, or this process is connected to a Ray cluster already.
    """
    places, stages = Places(Path(out)), Stages(console or TerminalConsole())
    places.clear()
    sent = _on_cluster(places, stages)
    from placement.log import read_log
    from profiling.evaluation.evaluate import evaluate
    from profiling.learning.descent import one_thread
    from profiling.report import console_tables, report

    with stages.stage("evaluation", "Evaluating on what a selector has not seen"), one_thread():
        table, evaluation = read_log(places.log), evaluate(places.log)
    with stages.stage("report", "Writing the report"):
        report.write(places.log, places.report, places.selector, evaluation)
    summary = summarised(places, stages, sent, table, evaluation)
    console_tables.write_json(places.summary, summary)
    show(places, stages, sent, table, evaluation)
    return summary


@dataclass(frozen=True, slots=True)
class Sent:
    """Results of the part that needs the cluster.

    devices: share of the placeable tasks that the selector sends to each.  before, after: selector in service.
    recorded: the log has a row of each task that was done.
    """

    streamed: Streamed
    devices: Mapping[str, float]
    before: str
    after: str
    recorded: bool


def _on_cluster(places: Places, stages: Stages) -> Sent:
    import placement
    from profiling.emulation.emulated_cluster import emulated_cluster
    from profiling.emulation.real_gpu_node import local_gpu_node
    from profiling.learning.refit import refit

    with ExitStack() as cluster:
        with stages.stage("cluster", "Starting a cluster of the emulated configs A, B, C and D"):
            address = cluster.enter_context(emulated_cluster())
            before = placement.start(log=places.log, emulator=EMULATOR, policy="selector")
        with stages.stage("sweep", "Profiling the workloads: real code, measured here once; A-D by the emulator"):
            _profile(places, stages.console)
        with stages.stage("refit", "Refitting the selector through Ray Train"):
            refit(places.log, places.selector)
        with stages.stage("swap", "Swapping the selector in the running actor"):
            # After the sweep, which has measured this machine's own GPU through the first emulated node.
            if cluster.enter_context(local_gpu_node(address)):
                placement.start(log=places.log, emulator=EMULATOR, policy="selector")
            after = placement.swap(places.selector)
        stages.console.print(f"  in service: {after}; before: {before}", highlight=False)
        with stages.stage("stream", "Sending a mixed stream of real tasks"):
            streamed, devices = _stream(places, stages.console)
            recorded = _await_records(streamed.done.total())
    return Sent(streamed, devices, before, after, recorded)


def _await_records(tasks: int) -> bool:
    """Waits until the log has a row of each task that was done; False where some had not come in time."""
    import placement

    deadline = time.monotonic() + FLUSH_S
    while True:
        counts = placement.flush(FLUSH_S)
        if counts["rows_written"] >= tasks:
            return True
        if time.monotonic() > deadline:
            return False
        time.sleep(0.5)


def _profile(places: Places, console: Console) -> None:
    """Every preset of the subset "demo" on this machine; each cell's rows of A-D come with it."""
    import workloads
    from profiling.sweep.measure_cell import Protocol
    from profiling.sweep.sweep import sweep

    protocol = Protocol(window_s=WINDOW_S, least=1, budget_s=CELL_BUDGET_S)
    done = sweep(places.log, workloads.presets("demo"), places.data, protocol=protocol, console=console)
    told = f"  {done.rows} rows of {done.done} cells measured here"
    console.print(f"{told}, {done.failed} failed, {done.left} left" if done.failed or done.left else told)


def _stream(places: Places, console: Console) -> tuple[Streamed, dict[str, float]]:
    from profiling.demo import task_stream
    from profiling.report import console_tables

    names = task_stream.mixed()
    batches = task_stream.batches_of(names, places.data)
    why = task_stream.explained(names, batches)
    names = task_stream.balanced(names, why, SHARE)
    devices = task_stream.device_shares(names, why)
    for device in ("gpu", "cpu"):
        shown = next((name for name in task_stream.MIX if name in why and why[name].decision.device == device), None)
        if shown is not None:
            console.print(f"Why [bold]{shown}[/] goes to a {device.upper()}:", highlight=False)
            console.print(console_tables.explanation(why[shown]))
    with _progress(console) as bar:
        task = bar.add_task("tasks", total=len(names))
        streamed = task_stream.send(names, batches, advance=lambda _: bar.advance(task))
    return streamed, devices


def _progress(console: Console) -> Progress:
    columns = (
        SpinnerColumn(),
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
    )
    return Progress(*columns, console=console)


def summarised(places: Places, stages: Stages, sent: Sent, table: pa.Table, evaluation: Evaluation) -> dict[str, Any]:
    """summary.json: the placements, the policies, the accuracies, and the provenance of each figure."""
    from profiling.report import figure_data

    where = figure_data.placed(table)
    return {
        "wall_seconds": round(stages.wall_seconds, 1),
        "seconds": stages.seconds,
        "tasks_placed": int(sent.streamed.done.total()),
        "tasks_failed": len(sent.streamed.failures),
        "failures": [{"preset": name, "what": what} for name, what in sent.streamed.failures],
        "tasks_recorded": sent.recorded,
        "placed": {row.workload: {"cpu": int(row.cpu), "gpu": int(row.gpu)} for row in where.itertuples()},
        "device_shares": dict(sent.devices),
        "policies": {name: asdict(score) for name, score in evaluation.policies.items()},
        "accuracy": evaluation.accuracy,
        "pairs": len(evaluation.frame),
        "configs": sorted({str(config) for config in evaluation.frame["config"]}),
        "selector": {"before": sent.before, "in_service": sent.after},
        "provenance": provenance(table, evaluation),
        "files": {name: str(getattr(places, name)) for name in ("log", "selector", "report", "summary")},
    }


def provenance(table: pa.Table, evaluation: Evaluation) -> dict[str, dict[str, int]]:
    """Counts of measured, estimated and emulated values: the pairs' times and energies, the stream's times."""
    import pyarrow.compute as pc

    from profiling.report.figure_data import provenance as counts

    stream = table.filter(pc.field("source") == "production")
    return {
        "pairs_times": counts(evaluation.frame["time_provenance"]),
        "pairs_energies": counts(evaluation.frame["energy_provenance"]),
        "stream_times": counts(stream["time_provenance"].to_pylist()),
        "stream_energies": counts(stream["energy_provenance"].to_pylist()),
    }


def show(places: Places, stages: Stages, sent: Sent, table: pa.Table, evaluation: Evaluation) -> None:
    """Prints the placements with their reasons, Table 5, the accuracies and the paths of the files."""
    from profiling.report import evaluation_tables, figure_data

    console = stages.console
    console.print(evaluation_tables.placed(figure_data.placed(table), emulated=True))
    for name, what in sent.streamed.failures[:MOST_FAILURES]:
        console.print(f"[red]{name}[/] {what}", highlight=False)
    if not sent.recorded:
        console.print("[yellow]not all of the tasks' rows had come to the log in time[/]")
    for device, share in sent.devices.items():
        if share < LEAST_SHARE:
            console.print(f"[yellow]only {share:.0%} of the placeable tasks were sent to a {device.upper()}[/]")
    console.print(evaluation_tables.policies(evaluation))
    console.print(evaluation_tables.accuracy(evaluation))
    for note in evaluation.notes:
        console.print(f"[dim]{note}[/]")
    for name in ("log", "selector", "report", "summary"):
        console.print(f"{name:>9}: {getattr(places, name)}", highlight=False)
    console.print(f"[bold]{sent.streamed.done.total()} tasks placed in {stages.wall_seconds:.0f} s.[/]")
