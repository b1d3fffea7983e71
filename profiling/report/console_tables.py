"""Tables of the command line, and their data as JSON."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from rich.console import Group, RenderableType
from rich.table import Table

from placement.scheduling.considered_candidate import ConsideredCandidate
from placement.scheduling.decision import Decision
from placement.scheduling.explanation import Explanation
from placement.scheduling.explanation_text import NOTE, cells
from placement.spec.node import Inventory, NodeSpec
from profiling.terminal import TerminalConsole


def show(table: RenderableType, path: Path | None, data: Mapping[str, Any]) -> None:
    """Prints a table, or several in a group, and writes `data` to a JSON file where one is asked for."""
    TerminalConsole().print(table)
    if path is not None:
        write_json(path, data)


def say(text: str) -> None:
    """Prints a line."""
    TerminalConsole(soft_wrap=True).print(text, highlight=False)


def write_json(path: Path, data: Mapping[str, Any]) -> None:
    """Writes plain data as JSON; NaN and infinity, which JSON lacks, become null. Raises OSError where that fails."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(_plain(data), indent=1, allow_nan=False) + "\n", "utf-8")


def nodes(inventory: Inventory) -> Table:
    """The kinds of node of a cluster."""
    table = Table(title="Nodes", title_justify="left", header_style="bold")
    names = (
        "config", "nodes", "CPUs", "CPU", "CPU GFLOP/s", "CPU TDP W",
        "GPUs", "GPU", "GPU GFLOP/s", "GPU GB", "GPU TDP W", "figures",
    )  # fmt: skip
    for name in names:
        table.add_column(name, justify="left" if name in ("config", "CPU", "GPU", "figures") else "right")
    for kind in inventory.kinds:
        s = kind.spec
        table.add_row(
            s.config, str(kind.count), str(s.cpus), s.cpu_name or "–", _number(s.cpu_gflops), _number(s.cpu_tdp_w),
            str(s.gpus), s.gpu_name or "–", _number(s.gpu_gflops), _number(s.gpu_memory_gb), _number(s.gpu_tdp_w),
            origin(s),
        )  # fmt: skip
    return table


def origin(spec: NodeSpec) -> str:
    """The origin of a NodeSpec's figures: probed, emulated or none."""
    if spec.emulated:
        return "emulated"
    if spec.not_measured:
        return f"not measured: {'; '.join(spec.not_measured)}"
    return f"measured, but {', '.join(spec.estimated)} estimated" if spec.estimated else "measured"


def explanation(found: Explanation) -> RenderableType:
    """Every candidate of a task, with the reason why it was or was not taken, the tests and what would turn it."""
    d = found.decision
    table = Table(
        title=f"{d.device.upper()}: {d.reason}",
        caption=f"policy {d.policy}, selector {d.selector_version}, snapshot {d.snapshot_version}; {NOTE}",
        title_justify="left", caption_justify="left", header_style="bold",
    )  # fmt: skip
    for name in (
        "config",
        "device",
        "CPUs",
        "P(GPU)",
        "seconds",
        "joules",
        "from",
        "wait",
        "memory",
        "taken",
        "reason",
    ):
        numbers = name in ("CPUs", "P(GPU)", "seconds", "joules", "wait", "memory")
        table.add_column(name, justify="right" if numbers else "left")
    for c in found.considered:
        table.add_row(*(("–" if cell == "-" else cell) for cell in cells(c)))
    lines = [*(f"test: {tests}" for tests in found.tests), *(f"turns: {turn}" for turn in found.turns)]
    return Group(table, *lines)


def explanation_data(found: Explanation) -> dict[str, Any]:
    """An explanation as plain data."""
    return {
        "task": {name: value for name, value in asdict(found.task).items() if name != "operations"},
        "decision": _decision_data(found.decision),
        "candidates": [_candidate_data(considered) for considered in found.considered],
        "tests": [{**asdict(tests), "speed": tests.speed, "energy": tests.energy} for tests in found.tests],
        "turns": list(found.turns),
    }


def _decision_data(decision: Decision) -> dict[str, Any]:
    """The comparison is named as in the log's column of it."""
    return {"weighed" if name == "comparison" else name: value for name, value in asdict(decision).items()}


def _candidate_data(considered: ConsideredCandidate) -> dict[str, Any]:
    found = {**asdict(considered), "basis": considered.basis._asdict(), "provenance": considered.provenance}
    if considered.estimate is not None:
        bases = {name: getattr(considered.estimate, name)._asdict() for name in ("cpu_basis", "gpu_basis")}
        found["estimate"] |= bases
    return found


def facts(title: str, values: Mapping[str, Any]) -> Table:
    """A two-column table of names and values."""
    table = Table(title=title, title_justify="left", show_header=False)
    table.add_column(style="bold")
    table.add_column(overflow="fold")
    for name, value in values.items():
        table.add_row(name.replace("_", " "), _text(value))
    return table


def _text(value: Any) -> str:
    if isinstance(value, Mapping):
        return ", ".join(f"{name} {_text(entry)}" for name, entry in value.items())
    return f"{value:.4g}" if isinstance(value, float) else "–" if value is None else str(value)


def _number(value: float | None) -> str:
    return "–" if value is None else f"{value:,.0f}"


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {str(name): _plain(entry) for name, entry in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(entry) for entry in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
