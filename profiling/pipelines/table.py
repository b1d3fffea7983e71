"""The benchmark's report as the rows of a table."""

from __future__ import annotations

from typing import Any

HEADER = ("pipeline", "arm", "makespan s", "/ bound", "pinned /", "rows/s", "J/row", "busy CPU / GPU", "store MB",
          "longest gap s", "lost / twice")  # fmt: skip


def rows_of(report: dict[str, Any]) -> list[list[str]]:
    """The rows: one for each pipeline, or disturbance, and arm."""
    return _rows({**report["shapes"], **report["disturbances"]})


def title_of_real(real: dict[str, Any]) -> str:
    """The title of its table, which says what is emulated."""
    times = real["times"]
    return (
        f"{real['images']} JPEG files, ResNet-18, on this machine "
        f"(seconds on CPUs {times['cpu']}, on the GPU {times['gpu']}; joules {real['joules']})"
    )


def rows_of_real(real: dict[str, Any]) -> list[list[str]]:
    """The rows of the pictures that were classified on this machine: one for each arm."""
    return _rows({f"real, GPU {real['times']['gpu']}": real["arms"]})


def _rows(pipelines: dict[str, Any]) -> list[list[str]]:
    return [
        [name, arm, *_figures(found, arms.get("pinned", {}).get("makespan_seconds"))]
        for name, arms in pipelines.items()
        for arm, found in arms.items()
    ]


def _figures(found: dict[str, Any], pinned: float | None) -> list[str]:
    if "error" in found:
        return ["failed", *[""] * (len(HEADER) - 3)]
    makespan = found["makespan_seconds"]
    return [
        f"{makespan:.3g}", _or_dash(found["bound_ratio"], ".2f"), f"{pinned / makespan:.2f}" if pinned else "-",
        f"{found['rows_per_s']:.4g}", _or_dash(found["joules_per_row"], ".3g"),
        f"{found['busy']['cpu']:.0%} / {found['busy']['gpu']:.0%}", f"{found['peak_store_bytes'] / 1e6:.0f}",
        f"{found['recovery_seconds']:.2g}", f"{found['rows_lost']} / {found['rows_twice']}",
    ]  # fmt: skip


def _or_dash(value: float | None, form: str) -> str:
    return "-" if value is None else format(value, form)
