"""A line of the benchmark, and the timing of a call."""

from __future__ import annotations

import gc
import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from rich.markup import escape
from rich.table import Table

MICROSECONDS = 1e6


@dataclass(frozen=True, slots=True)
class Figure:
    """One line of the benchmark: the median over the rounds, its quartiles, and the target it is held against.

    value is None where it cannot be measured here; `note` then has the reason, else a description of the measurement.
    """

    name: str
    value: float | None
    low: float | None = None
    high: float | None = None
    target: str = ""
    note: str = ""

    @classmethod
    def of(cls, name: str, values: Sequence[float], target: str, note: str = "") -> Figure:
        """The figure of the rounds' values."""
        low, middle, high = statistics.quantiles(values, n=4) if len(values) > 1 else [values[0]] * 3
        return cls(name, middle, low, high, target, note)


def microseconds(action: Callable[[int], Any], times: int, rounds: int = 9) -> list[float]:
    """Microseconds of one call, for each round; the garbage collector rests meanwhile, as in timeit."""
    values = []
    gc.disable()
    try:
        for turn in range(rounds):
            start = time.perf_counter()
            for i in range(times):
                action(turn * times + i)
            values.append((time.perf_counter() - start) / times * MICROSECONDS)
    finally:
        gc.enable()
    return values


def table(figures: Sequence[Figure]) -> Table:
    """The figures as a table."""
    shown = Table(title="What placing costs", title_justify="left", header_style="bold")
    for name in ("figure", "median", "quartiles", "target", "note"):
        shown.add_column(name, justify="right" if name in ("median", "quartiles") else "left")
    for f in figures:
        between = "" if f.low is None else f"{f.low:.3g} .. {f.high:.3g}"
        shown.add_row(escape(f.name), "–" if f.value is None else f"{f.value:,.3f}", between, f.target, f.note)
    return shown


def as_json(figures: Sequence[Figure]) -> dict[str, Any]:
    """name -> value, and all of each figure under `figures`."""
    return {
        **{f.name: f.value for f in figures if "[" not in f.name},
        "figures": {f.name: {"low": f.low, "high": f.high, "target": f.target, "note": f.note} for f in figures},
    }
