"""`placement sweep`: measures every cell (preset x config x device x cpus) of the cluster, alone on its node.

    sites      the kinds of node there are, and the cells each is to run
    measured   cells of real nodes, as Ray tasks that take all CPUs of their node
    emulated   cells of A-D, computed (see `profiling.sweep.sweep_rows`) from one measured run on this machine and the
    emulator

Every cell's rows are in the log before the next begins, so a killed sweep goes on where it stopped.
"""

from __future__ import annotations

import contextlib
import os
import time
import uuid
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Any

from placement.errors import OptionError
from placement.log import LogWriter, TaskRecord, done_cells
from placement.spec.node import NodeSpec, paper_configs
from profiling.emulation.emulated_cluster import LOCAL
from profiling.sweep.sweep_rows import Anchor, Measured, SweepCell, Work, anchor_of, emulated_row, measured_row

if TYPE_CHECKING:
    from rich.console import Console

    from profiling.sweep.measure_cell import Protocol
    from profiling.sweep.measurement_nodes import Site
    from workloads import Preset

WRITE_EVERY_S = 5.0
SETUP_S = 180.0
"""Beside its budget, what a cell may take to import its framework and make its input, before it is given up."""


@dataclass(frozen=True, slots=True)
class Sweep:
    """What a sweep did. Cells: measured or computed now, found done, given up with an error, left for want of time.

    rows: written now.  log: where.  seconds: in all.
    """

    log: str
    done: int = 0
    found: int = 0
    failed: int = 0
    left: int = 0
    rows: int = 0
    seconds: float = 0.0

    def to_dict(self) -> dict[str, Any]:
        """What `--json` writes."""
        return asdict(self)


def cpus_of(node: NodeSpec) -> tuple[float, ...]:
    """The CPUs a cell is run with: one, a few between and all. Ray gives a task one, the paper's CPU is all of it."""
    return tuple(sorted({1.0, float(min(4, node.cpus)), float(node.cpus)}))


def cells_of(preset: str, has_gpu: bool, node: NodeSpec, cpus: Sequence[float] | None = None) -> list[SweepCell]:
    """A preset's cells on a kind of node: a CPU's and, where both have one, a GPU's, for each number of CPUs."""
    devices = ("cpu", "gpu") if has_gpu and node.gpus else ("cpu",)
    return [
        SweepCell(preset, node.config, device, granted)
        for granted in (cpus or cpus_of(node))
        for device in devices  # type: ignore[misc]
    ]


def emulate_sweep(
    log: str | os.PathLike[str],
    presets: Sequence[Preset],
    *,
    nodes: Sequence[NodeSpec] | None = None,
    console: Console | None = None,
    write_every_s: float = WRITE_EVERY_S,
) -> Sweep:
    """The grid of `presets` on emulated configs (None: A-D) from traces alone: nothing is measured, no Ray is needed.

    All times and energies are the emulator's and marked so. Cells that the log has already are left out.
    write_every_s: rows are kept so long before they go to the log, so that it does not get a file for each preset.
    """
    began, run_id = time.monotonic(), new_run_id()
    nodes = list(paper_configs().values()) if nodes is None else list(nodes)
    done, writer = done_cells(log), LogWriter(log)
    computed = found = written = 0
    kept: list[TaskRecord] = []
    latest = began
    with progress(console, "cells", len(presets)) as advance:
        for preset in presets:
            wanted = [(cell, node) for node in nodes for cell in cells_of(preset.name, preset.has_gpu, node)]
            missing = [(cell, node) for cell, node in wanted if cell.key not in done]
            kept += computed_rows(Work.of(preset), missing, Anchor(), run_id) if missing else []
            computed, found = computed + len(missing), found + len(wanted) - len(missing)
            if preset is presets[-1] or time.monotonic() - latest >= write_every_s:
                writer.append(kept)
                written, kept, latest = written + len(kept), [], time.monotonic()
            advance(preset.name)
    return Sweep(os.fspath(log), computed, found, rows=written, seconds=time.monotonic() - began)


def computed_rows(
    work: Work, cells: Sequence[tuple[SweepCell, NodeSpec]], anchor: Anchor, run_id: str
) -> list[TaskRecord]:
    """The rows of emulated configs; cells that would not fit their memory have none."""
    rows = [emulated_row(cell, work, node, anchor, run_id) for cell, node in cells]
    return [row for row in rows if row is not None]


def sweep(
    log: str | os.PathLike[str],
    presets: Sequence[Preset],
    data_root: str | os.PathLike[str],
    *,
    protocol: Protocol | None = None,
    budget_s: float | None = None,
    console: Console | None = None,
) -> Sweep:
    """Measures the presets on every kind of node of the cluster this process is connected to, or of a new local one.

    log: a path or URI.  data_root: a folder on every node where data sets lie or are generated.  protocol: warm-up,
    window and time budget of a cell.  budget_s: of the whole sweep; cells that it leaves are done by the next one.
    Emulated nodes are not measured: the machine itself is (config `local`), and their rows computed from that.

    Raises OptionError where no preset is given, OSError where the log cannot be written.
    """
    from profiling.sweep.measure_cell import Protocol
    from profiling.sweep.measurement_nodes import find_sites

    if not presets:
        raise OptionError("nothing to sweep: no preset was given. workloads.presets('demo') has some.")
    began = time.monotonic()
    sites = find_sites()
    run = _Run(LogWriter(log), new_run_id(), os.fspath(data_root), protocol or Protocol())
    todo, found = _todo(sites, presets, done_cells(log))
    deadline = None if budget_s is None else began + budget_s
    outcome = _execute(run, todo, deadline, console)
    return Sweep(
        os.fspath(log), outcome.done, found, outcome.failed, outcome.left, outcome.rows, time.monotonic() - began
    )


@dataclass(frozen=True, slots=True)
class _Job:
    """One Ray task: a cell on its site, and the cells of emulated configs that are computed from it."""

    preset: Preset
    site: Site
    cell: SweepCell
    computed: tuple[tuple[SweepCell, NodeSpec], ...] = ()


def _todo(sites: Sequence[Site], presets: Sequence[Preset], done: set[Any]) -> tuple[list[_Job], int]:
    """The jobs that are left, in the presets' order, and how many cells were found done."""
    jobs, found = [], 0
    for preset in presets:
        for site in sites:
            computed = [(cell, node) for node in site.emulates for cell in cells_of(preset.name, preset.has_gpu, node)]
            missing = tuple((cell, node) for cell, node in computed if cell.key not in done)
            found += len(computed) - len(missing)
            own = cells_of(preset.name, preset.has_gpu, site.spec, site.cpus)
            for cell in own:
                anchors = cell.device == "cpu" and cell.cpus == max(c.cpus for c in own)
                if cell.key in done and not (anchors and missing):
                    found += 1
                    continue
                jobs.append(_Job(preset, site, cell, missing if anchors else ()))
    return jobs, found


@dataclass(frozen=True, slots=True)
class _Run:
    """What is the same for all cells of a sweep."""

    writer: LogWriter
    run_id: str
    data_root: str
    protocol: Protocol

    def rows_of(self, job: _Job, measured: Measured) -> list[TaskRecord]:
        """The rows of a cell that came back, with those computed from it: appended as one file, so all or none."""
        work = Work.of(job.preset)
        rows = [measured_row(job.cell, work, job.site.spec, measured, self.run_id)]
        anchor = anchor_of(work, measured, job.site.spec, job.cell.cpus) if job.computed else None
        if anchor is not None:
            rows += computed_rows(work, job.computed, anchor, self.run_id)
        return rows


@dataclass(slots=True)
class _Outcome:
    done: int = 0
    failed: int = 0
    left: int = 0
    rows: int = 0


def _execute(run: _Run, jobs: Sequence[_Job], deadline: float | None, console: Console | None) -> _Outcome:
    """Keeps one cell on each site until all are done or the time is up; each is logged as it comes back."""
    import ray

    waiting, flying, outcome = list(jobs), {}, _Outcome()
    with progress(console, "cells", len(jobs)) as advance:
        while waiting or flying:
            waiting = _without_the_dead(waiting, flying, outcome)
            if deadline is not None and time.monotonic() >= deadline:
                outcome.left, waiting = outcome.left + len(waiting), []
            busy = {job.site.node_id for job, _ in flying.values()}
            for job in [job for job in waiting if job.site.node_id not in busy]:
                if job.site.node_id not in busy:
                    busy.add(job.site.node_id)
                    waiting.remove(job)
                    flying[_submit(run, job)] = (job, time.monotonic() + SETUP_S + 2 * run.protocol.budget_s)
            if not flying:
                continue
            ready, _ = ray.wait(list(flying), timeout=1.0)
            late = [ref for ref, (_, limit) in flying.items() if ref not in ready and time.monotonic() > limit]
            for ref in [*ready, *late]:
                job, _ = flying.pop(ref)
                measured = _collect(ref, ref in late)
                if measured.error is not None and job.site.node_id not in _alive():
                    waiting.insert(0, job)
                    continue
                rows = run.rows_of(job, measured)
                run.writer.append(rows)
                outcome.rows += len(rows)
                outcome.done += measured.error is None
                outcome.failed += measured.error is not None
                advance(job.preset.name)
    return outcome


def _without_the_dead(waiting: list[_Job], flying: dict[Any, Any], outcome: _Outcome) -> list[_Job]:
    """What waits once nodes have died: their cells move to others of the kind, or are left to the next sweep.

    Ray would let a task that asks for a dead node wait for ever.
    """
    import ray

    alive = _alive()
    for ref, (job, _) in list(flying.items()):
        if job.site.node_id not in alive:
            del flying[ref]
            ray.cancel(ref, force=True)
            waiting = [job, *waiting]
    moved = [(job, job.site.on(alive)) for job in waiting]
    outcome.left += sum(site is None for _, site in moved)
    return [replace(job, site=site) for job, site in moved if site is not None]


def _alive() -> set[str]:
    """The nodes that Ray takes for alive."""
    import ray

    return {node["NodeID"] for node in ray.nodes() if node["Alive"]}


def _submit(run: _Run, job: _Job) -> Any:
    """The cell as a Ray task on its node that takes all its CPUs, so that no other task runs beside it."""
    import ray

    from profiling.sweep.measure_cell import measure

    # GPU workers are kept warm: .options() of an undecorated function sets no max_calls, so torch is imported once.
    return (
        ray.remote(measure)
        .options(
            num_cpus=job.site.ray_cpus,
            num_gpus=1 if job.cell.device == "gpu" else 0,
            label_selector={"ray.io/node-id": job.site.node_id},
            max_retries=0,
            name=f"sweep {job.cell.preset}",
        )
        .remote(job.preset.name, run.data_root, job.cell.device, job.cell.cpus, run.protocol, job.site.spec.cpu_tdp_w)
    )


def _collect(ref: Any, late: bool) -> Measured:
    """What came back; a task that did not in time is killed. A row with `error` is tried again by the next sweep."""
    import ray

    if late:
        with contextlib.suppress(Exception):
            ray.cancel(ref, force=True)
        return Measured(0.0, 0, time.time(), error="gave no answer in time and was stopped")
    try:
        return ray.get(ref)
    except Exception as error:
        return Measured(0.0, 0, time.time(), error=f"{type(error).__name__}: {error}"[:500])


def new_run_id() -> str:
    """Names this sweep in the log."""
    return f"sweep-{uuid.uuid4().hex[:12]}"


@contextlib.contextmanager
def progress(console: Console | None, what: str, total: int) -> Iterator[Callable[[str], None]]:
    """A progress bar on a console; yields a function that tells it which one is done. No console: no bar."""
    if console is None:
        yield lambda name: None  # noqa: ARG005
        return
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        Progress,
        TextColumn,
        TimeElapsedColumn,
        TimeRemainingColumn,
    )

    columns = (
        TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn(), TimeRemainingColumn(),
    )  # fmt: skip
    with Progress(*columns, console=console) as bar:
        task = bar.add_task(what, total=total)
        yield lambda name: bar.update(task, advance=1, description=name[:40].ljust(40))


__all__ = ["LOCAL", "Sweep", "SweepCell", "cells_of", "cpus_of", "emulate_sweep", "sweep"]
