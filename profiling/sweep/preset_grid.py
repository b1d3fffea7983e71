"""The full grid of presets on the paper's configs A-D, emulated in seconds: the pairs of `placement paper` without
a log.

    work_of_presets()      the TaskSpec of each preset, from data/presets.json
    table2_tasks()         likewise the runs of the paper's Table 2, as `profiling.emulation.table2_check` assumes them
    emulated_table()       the rows that `placement sweep --emulate-only --subset full` writes, in memory

Tracing the networks of all presets takes minutes, and their specs change only when a preset or `placement.describe`
does: so they are committed, and a test holds some of them against a fresh trace. To make them anew:

    python -m profiling.sweep.preset_grid
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from placement.spec.node import NodeSpec, paper_configs
from placement.spec.task import TaskSpec
from profiling.emulation.preset_specs import committed, entry_of, spec_of
from profiling.sweep.sweep_rows import Anchor, PresetDescription

if TYPE_CHECKING:
    import pyarrow as pa

RUN_ID = "emulated-grid"
NOTE = "What each preset is, one step of it, and the runs of Table 2. operations: [kind, flops, bytes, launches]."


@cache
def work_of_presets() -> tuple[PresetDescription, ...]:
    """Every preset of the full grid, one step of it."""
    return tuple(
        PresetDescription(
            name,
            one["workload"],
            one["family"],
            one["framework"],
            one["has_gpu"],
            spec_of(one),
            f"workloads.{one['workload']}",
        )
        for name, one in committed()["presets"].items()
    )


@cache
def table2_tasks() -> dict[str, TaskSpec]:
    """Name of a run of Table 2 -> its task; `profiling.emulation.table2_check` has the assumptions."""
    return {name: spec_of(one) for name, one in committed()["table2"].items()}


def emulated_table(
    works: Sequence[PresetDescription] | None = None, nodes: Sequence[NodeSpec] | None = None
) -> pa.Table:
    """The log's rows of `works` (None: the full grid) on `nodes` (None: A-D), all by the emulator, and marked so."""
    from placement.log.schema import table_of
    from profiling.sweep.sweep_rows import cells_of, computed_rows

    nodes = list(paper_configs().values()) if nodes is None else list(nodes)
    rows = []
    for work in work_of_presets() if works is None else works:
        cells = [(cell, node) for node in nodes for cell in cells_of(work.preset, work.has_gpu, node)]
        rows += computed_rows(work, cells, Anchor(), RUN_ID)
    return table_of(rows)


def work_entry(work: PresetDescription) -> dict[str, Any]:
    """A preset's entry in the file."""
    own = {"workload": work.workload, "family": work.family, "has_gpu": work.has_gpu}
    return {**own, **entry_of(work.spec), "framework": work.framework}


def main() -> None:
    """Traces every preset and writes the file; some ten minutes."""
    import workloads
    from profiling.emulation.table2_check import tasks

    presets = {one.name: work_entry(PresetDescription.of(one)) for one in workloads.presets("full")}
    write(presets, {name: entry_of(task) for name, task in tasks().items()})


def write(presets: Mapping[str, Any], table2: Mapping[str, Any]) -> None:
    """Writes the file, a line for each entry."""
    parts = [
        f'"{title}": {{\n'
        + ",\n".join(f"{json.dumps(name)}: {json.dumps(one)}" for name, one in entries.items())
        + "\n}"
        for title, entries in (("table2", table2), ("presets", presets))
    ]
    text = "{\n" + f'"note": {json.dumps(NOTE)},\n' + ",\n".join(parts) + "\n}\n"
    (Path(__file__).parents[1] / "data" / "presets.json").write_text(text, "utf-8")


if __name__ == "__main__":
    main()
