"""The work of each function and stage by device, from a log: batches, rows a second, devices at work, joules a row."""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING, Any, NamedTuple

from profiling.report.html_parts import Section, TableCell, badges, number

if TYPE_CHECKING:
    import pyarrow as pa


class BatchRate(NamedTuple):
    """One function or stage on one device. None: not known.

    rows_per_s: over the time from the function's first begin to its last end, on either device.  busy: the devices at
    work on it, in the mean over that time; None on emulated nodes, whose seconds are not those of the clock.
    """

    function: str
    device: str
    batches: int
    rows: int
    rows_per_s: float | None
    busy: float | None
    joules_per_row: float | None


def batch_rates(table: pa.Table) -> list[BatchRate]:
    """The production rows that say how many samples they had, by function and device. Failed runs are left out."""
    import pyarrow.compute as pc

    known = (pc.field("source") == "production") & pc.field("batch_size").is_valid() & pc.field("error").is_null()
    functions: dict[str, dict[str, list[dict[str, Any]]]] = defaultdict(lambda: defaultdict(list))
    for row in table.filter(known).to_pylist():
        functions[row["function"]][row["device"]].append(row)
    return [
        _rate(function, device, devices[device], _span([row for rows in devices.values() for row in rows]))
        for function, devices in sorted(functions.items())
        for device in sorted(devices)
    ]


def section(table: pa.Table) -> Section | None:
    """The rates as a section of the report."""
    found = batch_rates(table)
    if not found:
        return None
    titles = ("batches", "rows", "rows/s", "devices at work", "J/row")
    head = [TableCell("function or stage"), TableCell("device"), *(TableCell(title, number=True) for title in titles)]
    body = [
        [TableCell(one.function), TableCell(one.device), number(one.batches, ",d"), number(one.rows, ",d"),
         number(one.rows_per_s, ",.1f"), number(one.busy), number(one.joules_per_row, ".3g")]
        for one in found
    ]  # fmt: skip
    return Section(
        "Batches by device",
        "The stages of placement.map_batches, and other functions whose specs tell the number of samples. Rows a "
        "second and devices at work are over the time from a function's first run to its last.",
        badges(),
        rows=[head, *body],
    )


def _rate(function: str, device: str, runs: list[dict[str, Any]], span: float | None) -> BatchRate:
    rows = sum(run["batch_size"] * (run["steps"] or 1) for run in runs)
    joules = [_joules(run) for run in runs]
    emulated = any(run["emulated"] for run in runs)
    return BatchRate(
        function, device, len(runs), rows, rows / span if span else None,
        sum(_seconds(run) for run in runs) / span if span and not emulated else None,
        sum(j or 0.0 for j in joules) / rows if rows and None not in joules else None,
    )  # fmt: skip


def _span(runs: list[dict[str, Any]]) -> float | None:
    """Seconds from the first begin to the last end; None where begins are not known."""
    if any(run["time_utc"] is None for run in runs):
        return None
    begins = [run["time_utc"].timestamp() for run in runs]
    ends = [at + (0.0 if run["emulated"] else _seconds(run)) for at, run in zip(begins, runs, strict=True)]
    return max(ends) - min(begins)


def _joules(run: dict[str, Any]) -> float | None:
    """Joules of a run; None where those of a device at work in it are not known."""
    known = run["cpu_joules"] is not None and (run["device"] == "cpu" or run["gpu_joules"] is not None)
    return run["cpu_joules"] + (run["gpu_joules"] or 0.0) if known else None


def _seconds(run: dict[str, Any]) -> float:
    return float((run["compute_s"] or 0.0) + (run["transfer_s"] or 0.0))
