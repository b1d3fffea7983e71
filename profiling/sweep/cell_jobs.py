"""The cells of a sweep as Ray tasks: one cell at a time on each node, its rows in the log before the next begins."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from placement.log import LogWriter, TaskRecord
from placement.spec.node import NodeSpec
from profiling.sweep.sweep_rows import (
    CellMeasurement,
    PresetDescription,
    SweepCell,
    anchor_of,
    cells_of,
    computed_rows,
    cpus_of,
    measured_row,
)

if TYPE_CHECKING:
    from rich.console import Console

    from profiling.sweep.measurable import Measurable
    from profiling.sweep.measure_cell import Protocol
    from profiling.sweep.measurement_nodes import Site

SETUP_S = 180.0
"""Seconds beside its budget that a cell may take to import its framework and make its input."""


@dataclass(frozen=True, slots=True)
class Job:
    """One Ray task: a cell on its site, and the cells of emulated configs that are computed from it."""

    preset: Measurable
    site: Site
    cell: SweepCell
    computed: tuple[tuple[SweepCell, NodeSpec], ...] = ()


def jobs_of(
    sites: Sequence[Site], presets: Sequence[Measurable], done: set[Any], cpus: Sequence[float] | None = None
) -> tuple[list[Job], int]:
    """The jobs that are left, in the presets' order, and how many cells were found done. cpus: see `cpus_of`."""
    jobs, found = [], 0
    for preset in presets:
        for site in sites:
            computed = [
                (cell, node)
                for node in site.emulates
                for cell in cells_of(preset.name, preset.has_gpu, node, cpus_of(node, cpus))
            ]
            missing = tuple((cell, node) for cell, node in computed if cell.key not in done)
            found += len(computed) - len(missing)
            own = cells_of(preset.name, preset.has_gpu, site.spec, site.cpus or cpus_of(site.spec, cpus))
            for cell in own:
                anchors = cell.device == "cpu" and cell.cpus == max(c.cpus for c in own)
                if cell.key in done and not (anchors and missing):
                    found += 1
                    continue
                jobs.append(Job(preset, site, cell, missing if anchors else ()))
    return jobs, found


@dataclass(frozen=True, slots=True)
class SweepRun:
    """The settings that all cells of a sweep share."""

    writer: LogWriter
    run_id: str
    data_root: str
    protocol: Protocol

    def rows_of(self, job: Job, measured: CellMeasurement) -> list[TaskRecord]:
        """The rows of a cell that came back, with those computed from it: appended as one file, so all or none."""
        work = PresetDescription.of(job.preset)
        rows = [measured_row(job.cell, work, job.site.spec, measured, self.run_id)]
        anchor = anchor_of(work, measured, job.site.spec, job.cell.cpus) if job.computed else None
        if anchor is not None:
            rows += computed_rows(work, job.computed, anchor, self.run_id)
        return rows


@dataclass(slots=True)
class Outcome:
    """Counts of a sweep under way: cells done, failed and left, and rows written."""

    done: int = 0
    failed: int = 0
    left: int = 0
    rows: int = 0


Choose = Callable[[Sequence[Job]], tuple[list[Job], list[Job]]]
"""Jobs that are left -> (those of the next round, the others). It is called while no cell runs."""


def execute(
    run: SweepRun, jobs: Sequence[Job], deadline: float | None, console: Console | None, choose: Choose | None = None
) -> Outcome:
    """Keeps one cell on each site until all are done or the time is up; each is logged as it comes back.

    choose: what is measured next; None: the jobs in their order.
    """
    import ray

    choose = choose or (lambda left: (list(left), []))
    waiting, later, flying, outcome = [], list(jobs), {}, Outcome()
    with progress(console, "cells", len(jobs)) as advance:
        while waiting or later or flying:
            waiting = _without_the_dead(waiting, flying, outcome)
            if deadline is not None and time.monotonic() >= deadline:
                outcome.left, waiting, later = outcome.left + len(waiting) + len(later), [], []
            if later and not waiting and not flying:
                waiting, later = choose(later)
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


def _without_the_dead(waiting: list[Job], flying: dict[Any, Any], outcome: Outcome) -> list[Job]:
    """The waiting jobs once nodes have died: their cells move to others of the kind, or are left to the next sweep.

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
    """Ids of the nodes that are alive."""
    import ray

    return {node["NodeID"] for node in ray.nodes() if node["Alive"]}


def _submit(run: SweepRun, job: Job) -> Any:
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
            runtime_env=job.preset.runtime_env,
        )
        .remote(job.preset, run.data_root, job.cell.device, job.cell.cpus, run.protocol, job.site.spec.cpu_tdp_w)
    )


def _collect(ref: Any, late: bool) -> CellMeasurement:
    """The result of a cell; a task that is late is killed. The next sweep measures a row with `error` again."""
    import ray

    if late:
        with contextlib.suppress(Exception):
            ray.cancel(ref, force=True)
        return CellMeasurement(0.0, 0, time.time(), error="gave no answer in time and was stopped")
    try:
        return ray.get(ref)
    except Exception as error:
        return CellMeasurement(0.0, 0, time.time(), error=f"{type(error).__name__}: {error}"[:500])


@contextlib.contextmanager
def progress(console: Console | None, what: str, total: int) -> Iterator[Callable[[str], None]]:
    """A progress bar on a console; yields a function that takes the name of the item that is done. No console: no
    bar.
    """
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
