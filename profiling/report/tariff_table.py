"""The table of a simulated day under a price of a joule that changes."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path

from rich.table import Table

from placement.scheduling.energy_price import PriceSchedule
from profiling.report.console_tables import show
from profiling.simulation.tariff import PricedRun, TariffDay


def show_tariff(day: TariffDay, schedule: PriceSchedule, json_file: Path | None) -> None:
    """Prints a day, and writes it as JSON where a file is named."""
    show(tariff_table(day, schedule), json_file, {**asdict(day), "schedule": schedule.to_dict(), "times": "emulated"})


def tariff_table(day: TariffDay, schedule: PriceSchedule) -> Table:
    """A row for each price, then totals; for each policy a column at the mean price and one by the schedule."""
    table = Table(
        title=f"{day.trace}: {day.tasks:,} tasks arriving over {day.hours:.1f} h, times emulated; "
        f"flat: the mean price, {day.mean_price:.3g} s a joule",
        title_justify="left",
    )
    table.add_column("task MJ by price, s a joule", no_wrap=True)
    for name in day.runs:
        for how in ("flat", "schedule"):
            table.add_column(f"{name}, {how}", justify="right")
    runs = [run for pair in day.runs.values() for run in pair]
    for label, at in rows_by_price(schedule):
        table.add_row(label, *(f"{sum(run.joules[i] for i in at) / 1e6:.3f}" for run in runs))
    table.add_section()
    for name, cells in totals(runs).items():
        table.add_row(name, *cells)
    return table


def rows_by_price(schedule: PriceSchedule) -> list[tuple[str, list[int]]]:
    """(label, rows of the schedule) for each price and cap, in the order in which they first hold."""
    found: dict[tuple[float, float], list[int]] = {}
    for i, (price, cap) in enumerate(zip(schedule.prices, schedule.caps, strict=True)):
        found.setdefault((price, cap), []).append(i)
    return [
        (f"at {price:.3g}" + (f", cap {cap:,.0f} W" if cap < float("inf") else ""), rows)
        for (price, cap), rows in found.items()
    ]


def totals(runs: list[PricedRun]) -> dict[str, list[str]]:
    """Name of a figure -> its cell for each run."""
    return {
        "all, MJ": [f"{sum(run.joules) / 1e6:.3f}" for run in runs],
        "bill, thousand s": [f"{run.bill / 1e3:.2f}" for run in runs],
        "highest hour, W": [f"{run.peak_watts:,.0f}" for run in runs],
        "mean wait, s": [f"{run.mean_wait_seconds:,.1f}" for run in runs],
        "mean completion, s": [f"{run.mean_completion_seconds:,.1f}" for run in runs],
        "p99 completion, s": [f"{run.p99_completion_seconds:,.1f}" for run in runs],
    }
