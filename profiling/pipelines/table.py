"""The benchmark's report as the rows of a table."""

from __future__ import annotations

from typing import Any

HEADER = ("pipeline", "arm", "makespan s", "/ bound", "pinned /", "rows/s", "J/row", "busy CPU / GPU", "store MB",
          "longest gap s", "lost / twice")  # fmt: skip


def rows_of(report: dict[str, Any]) -> list[list[str]]:
    """The rows: one for each pipeline, or disturbance, and arm."""
    return [
        [name, arm, *_figures(found, arms.get("pinned", {}).get("makespan_seconds"))]
        for name, arms in {**report["shapes"], **report["disturbances"]}.items()
        for arm, found in arms.items()
    ]


def _figures(found: dict[str, Any], pinned: float | None) -> list[str]:
    if "error" in found:
        return ["failed", *[""] * (len(HEADER) - 3)]
    makespan = found["makespan_seconds"]
    return [
        f"{makespan:.3g}", f"{found['bound_ratio']:.2f}", f"{pinned / makespan:.2f}" if pinned else "-",
        f"{found['rows_per_s']:.4g}", f"{found['joules_per_row']:.3g}",
        f"{found['busy']['cpu']:.0%} / {found['busy']['gpu']:.0%}", f"{found['peak_store_bytes'] / 1e6:.0f}",
        f"{found['recovery_seconds']:.2g}", f"{found['rows_lost']} / {found['rows_twice']}",
    ]  # fmt: skip
