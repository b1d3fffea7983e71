"""The figures of `placement bench-learning` as tables for the terminal."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rich.console import RenderableType

TITLES = {
    "a": "nothing changes",
    "b": "one config's GPU becomes 2 times slower",
    "c": "a kind of node joins that nobody measured",
    "d": "the mix shifts to a family never seen",
    "e": "all CPUs become 1.5 times faster",
}
BLOCKS = " ▁▂▃▄▅▆▇█"


def tables_of(found: Mapping[str, Any]) -> RenderableType:
    """Tables of `benchmark`'s figures: regrets are shares of the oracle's cost, and over time after the change."""
    from rich.console import Group

    changed = {name: one for name, one in found.items() if name in TITLES and name != "a"}
    parts: list[RenderableType] = [_unchanged(found["a"])] if "a" in found else []
    parts += [_queues(found["queues"])] if "queues" in found else []
    parts += [_costs(found["costs"])] if "costs" in found else []
    parts += [_changed(changed), _over_time(changed)] if changed else []
    return Group(*parts, *([_curve(found["curve"])] if "curve" in found else []))


def _unchanged(one: Mapping[str, Any]) -> RenderableType:
    title = f"(a) {TITLES['a']}: {one['seeds']} runs of {one['tasks']:,} tasks"
    heads = ("drifts", "swaps", "harmful swaps", "rollbacks", "regret", "by trials", "by swaps", "history alone",
             "without learning")  # fmt: skip
    row = [str(one[name]) for name in ("drifts", "swaps", "harmful_swaps", "rollbacks")]
    names = ("regret", "by_trials", "by_swaps", "history_alone", "without_learning")
    return _table(title, heads, [[*row, *(_percent(one[name]) for name in names)]])


def _changed(changed: Mapping[str, Any]) -> RenderableType:
    heads = ("scenario", "tasks to recover", "regret before", "first 500", "after", "history alone", "without learning",
             "swaps", "harmful", "rollbacks")  # fmt: skip
    names = ("regret_before", "regret_of_first", "regret_after", "history_alone", "without_learning")
    rows = [
        [f"({name}) {TITLES[name]}", "-" if one["tasks_to_recover"] is None else str(one["tasks_to_recover"]),
         *(_percent(one[n]) for n in names), *(str(one[n]) for n in ("swaps", "harmful_swaps", "rollbacks"))]
        for name, one in changed.items()
    ]  # fmt: skip
    return _table("Regret of the kind's tasks, as a share of the oracle's cost", heads, rows)


def _over_time(changed: Mapping[str, Any]) -> RenderableType:
    highest = max(max(curve) for one in changed.values() for curve in one["over_time"].values())
    rows = [
        [name if way == "learning" else "", way, _bars(curve, highest)]
        for name, one in changed.items()
        for way, curve in one["over_time"].items()
    ]
    return _table(f"Regret over time after the change; a full block is {_percent(highest)}; the oracle's is 0",
                  ("", "way", "regret"), rows)  # fmt: skip


def _queues(queues: Sequence[Mapping[str, Any]]) -> RenderableType:
    names = ("waited", "own_gain", "completion_gain")
    rows = [[f"{one['load']:g}", one["wrong"], *(_percent(one[name]) for name in names)] for one in queues]
    title = "Gain of the shipped selector over one with a wrong belief, by the runs' own seconds and until tasks end"
    return _table(title, ("load", "wrong belief", "tasks that waited", "own seconds", "completion"), rows)


def _costs(one: Mapping[str, Any]) -> RenderableType:
    heads = ("cells", "state, MB", "a cell, bytes", "shadow decision, us", "belief worked out anew, us")
    row = [f"{one['cells']:,}", f"{one['state_bytes'] / 1e6:.1f}", f"{one['cell_bytes']:,.0f}",
           f"{one['decision_us']:.2f}", f"{one['new_belief_us']:.0f}"]  # fmt: skip
    return _table("A full learner", heads, [row])


def _curve(curve: Sequence[Mapping[str, Any]]) -> RenderableType:
    names = ("unpaired", "pairs", "history", "shipped")
    rows = [[f"{one['rows']:,}", *(f"{one[name]:.1%}" for name in names)] for one in curve]
    return _table("Accuracy by what was learned from so many rows of production", ("rows", *names), rows)


def _bars(curve: list[float], highest: float) -> str:
    last = len(BLOCKS) - 1
    return "".join(BLOCKS[min(last, round(last * max(0.0, one) / max(highest, 1e-12)))] for one in curve)


def _percent(value: float) -> str:
    return f"{value:.2%}"


def _table(title: str, heads: tuple[str, ...], rows: list[list[str]]) -> RenderableType:
    from rich.table import Table

    from profiling.terminal import ResponsiveTable

    table = Table(title=title, title_justify="left")
    for head in heads:
        table.add_column(head)
    for row in rows:
        table.add_row(*row)
    return ResponsiveTable(table)
