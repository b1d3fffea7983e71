"""`placement sweep`: measures every cell (preset x config x device x cpus) of the cluster, alone on its node.

    sites      the kinds of node there are, and the cells each is to run
    measured   cells of real nodes, as Ray tasks that take all CPUs of their node
    emulated   cells of A-D, computed (see `profiling.sweep.sweep_rows`) from one measured run on this machine and the
    emulator

Every cell's rows are in the log before the next begins, so a killed sweep goes on where it stopped.
"""

from __future__ import annotations

import os
import time
import uuid
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from placement.errors import OptionError
from placement.log import LogWriter, TaskRecord, done_cells
from placement.spec.node import NodeSpec, paper_configs
from profiling.sweep.cell_jobs import SweepRun, execute, jobs_of, progress
from profiling.sweep.sweep_rows import (
    Anchor,
    PresetDescription,
    cells_of,
    computed_rows,
    cpus_of,
)

if TYPE_CHECKING:
    from rich.console import Console

    from profiling.sweep.cell_jobs import Choose
    from profiling.sweep.measurable import Measurable
    from profiling.sweep.measure_cell import Protocol
    from workloads import Preset

WRITE_EVERY_S = 5.0


@dataclass(frozen=True, slots=True)
class Sweep:
    """Counts of a finished sweep. Cells: measured or computed now, found done, given up with an error, left for want of
    time.

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
        """Plain data for `--json`."""
        return asdict(self)


def emulate_sweep(
    log: str | os.PathLike[str],
    presets: Sequence[Preset],
    *,
    nodes: Sequence[NodeSpec] | None = None,
    cpus: Sequence[float] | None = None,
    console: Console | None = None,
    write_every_s: float = WRITE_EVERY_S,
) -> Sweep:
    """The grid of `presets` on emulated configs (None: A-D) from traces alone: nothing is measured, no Ray is needed.

    All times and energies are the emulator's and marked so. Cells that the log has already are left out.
    cpus: see `profiling.sweep.sweep_rows.cpus_of`.  write_every_s: rows are kept so long before they go to the log, so
    that it does not get a file for each preset.
    """
    began, run_id = time.monotonic(), new_run_id()
    nodes = list(paper_configs().values()) if nodes is None else list(nodes)
    done, writer = done_cells(log), LogWriter(log)
    computed = found = written = 0
    kept: list[TaskRecord] = []
    latest = began
    with progress(console, "cells", len(presets)) as advance:
        for preset in presets:
            wanted = [
                (cell, node)
                for node in nodes
                for cell in cells_of(preset.name, preset.has_gpu, node, cpus_of(node, cpus))
            ]
            missing = [(cell, node) for cell, node in wanted if cell.key not in done]
            kept += computed_rows(PresetDescription.of(preset), missing, Anchor(), run_id) if missing else []
            computed, found = computed + len(missing), found + len(wanted) - len(missing)
            if preset is presets[-1] or time.monotonic() - latest >= write_every_s:
                writer.append(kept)
                written, kept, latest = written + len(kept), [], time.monotonic()
            advance(preset.name)
    return Sweep(os.fspath(log), computed, found, rows=written, seconds=time.monotonic() - began)


def sweep(
    log: str | os.PathLike[str],
    presets: Sequence[Measurable],
    data_root: str | os.PathLike[str],
    *,
    protocol: Protocol | None = None,
    budget_s: float | None = None,
    console: Console | None = None,
    configs: Sequence[str] | None = None,
    cpus: Sequence[float] | None = None,
    choose: Choose | None = None,
) -> Sweep:
    """Measures the presets on every kind of node of the cluster this process is connected to, or of a new local one.

    log: a path or URI.  data_root: a folder on every node where data sets lie or are generated.  protocol: warm-up,
    window and time budget of a cell.  budget_s: of the whole sweep; cells that it leaves are done by the next one.
    configs: names of kinds of node; None: all.  cpus: see `profiling.sweep.sweep_rows.cpus_of`.  choose: what is
    measured next; None: the grid's order.
    Emulated nodes are not measured: the machine itself is (config `local`), and their rows computed from that.

    Raises OptionError where no preset is given or no node is of a config, OSError where the log cannot be written.
    """
    from profiling.sweep.measure_cell import Protocol
    from profiling.sweep.measurement_nodes import find_sites, sites_of

    if not presets:
        raise OptionError("nothing to sweep: no preset was given. workloads.presets('demo') has some.")
    began = time.monotonic()
    sites = sites_of(find_sites(), configs)
    run = SweepRun(LogWriter(log), new_run_id(), os.fspath(data_root), protocol or Protocol())
    todo, found = jobs_of(sites, presets, done_cells(log), cpus)
    deadline = None if budget_s is None else began + budget_s
    outcome = execute(run, todo, deadline, console, choose)
    return Sweep(
        os.fspath(log), outcome.done, found, outcome.failed, outcome.left, outcome.rows, time.monotonic() - began
    )


def new_run_id() -> str:
    """Names this sweep in the log."""
    return f"sweep-{uuid.uuid4().hex[:12]}"
