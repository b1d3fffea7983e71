"""Rows of a production log as runs for the loop. What cannot be a run, or is hostile or torn, gives none.

The kind of node is that of the control plane's inventory, not what a row says of it.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

from placement.errors import SpecError
from placement.spec.joint_threshold import run_joules
from placement.spec.node import NodeSpec
from placement.spec.task import DEVICES, Device, TaskSpec
from profiling.learning_loop.beliefs import Cell

if TYPE_CHECKING:
    import pyarrow as pa

SPEC = ("flops", "input_bytes", "batch_size", "parameters", "steps", "memory_bytes", "kernels", "framework", "kind",
        "inputs_on_device")  # fmt: skip
COLUMNS = (*SPEC, "source", "function", "function_key", "config", "device", "cpus", "emulated", "cold", "transfer_s",
           "compute_s", "cpu_joules", "gpu_joules", "propensity", "policy", "fallback", "error",
           "time_provenance")  # fmt: skip
LONGEST_NAME = 1_000


class LoggedRun(NamedTuple):
    """One warm run of a cell, as `LearningLoop.add` takes it."""

    cell: Cell
    device: Device
    seconds: float
    joules: float | None
    propensity: float


def runs_of(table: pa.Table, nodes: Mapping[str, NodeSpec]) -> Iterator[LoggedRun]:
    """The runs of a table of the log that has COLUMNS, in its order. nodes: by config."""
    for row in table.select(list(COLUMNS)).to_pylist():
        run = _run(row, nodes)
        if run is not None:
            yield run


def _run(row: Mapping[str, Any], nodes: Mapping[str, NodeSpec]) -> LoggedRun | None:
    node = nodes.get(row["config"] or "")
    placed = row["source"] == "production" and row["policy"] and not row["error"] and not row["fallback"]
    if node is None or not placed or row["device"] not in DEVICES or row["emulated"] is not node.emulated:
        return None
    warm = node.emulated if row["cold"] is None else not row["cold"]
    emulated_times = row["time_provenance"] == "emulated"
    name = row["function_key"] or row["function"]
    if not warm or emulated_times is not node.emulated or len(name) > LONGEST_NAME:
        return None
    seconds = _sum(row["compute_s"], row["transfer_s"])
    cpus = row["cpus"]
    if seconds is None or cpus is None or not 0 <= cpus <= max(node.cpus, 1):
        return None
    try:
        task = TaskSpec(**{name: row[name] for name in SPEC if row[name] is not None})
    except SpecError:
        return None
    joules = run_joules(row["device"], row["cpu_joules"], row["gpu_joules"])
    propensity = 1.0 if row["propensity"] is None else row["propensity"]
    return LoggedRun(Cell(name, task, node, cpus), row["device"], seconds, joules, propensity)


def _sum(compute: float | None, transfer: float | None) -> float | None:
    """Warm seconds; None where they are no time."""
    if compute is None:
        return None
    seconds = compute + (transfer or 0.0)
    return seconds if math.isfinite(seconds) and seconds > 0 and compute >= 0 and (transfer or 0.0) >= 0 else None
