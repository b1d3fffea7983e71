"""`placement status`: nodes, queues and the last decisions of the running cluster, live in the terminal."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Annotated, Any

import typer

from profiling.cli.options import Address, Json

if TYPE_CHECKING:
    from rich.console import RenderableType

SHOWN = 10


def status_command(
    once: Annotated[bool, typer.Option("--once", help="Print it once instead of keeping it up to date.")] = False,
    every_s: Annotated[float, typer.Option(min=0.2, help="Seconds between two looks.")] = 1.0,
    address: Address = None,
    json: Json = None,
) -> None:
    """Nodes, queues and the last decisions of the running cluster; live until interrupted."""
    from placement.control_plane.client import call
    from placement.errors import OptionError
    from profiling.cli.session import connect, console
    from profiling.report import console_tables

    if json is not None and not once:
        raise OptionError("--json writes one look; give --once too.")
    connect(address)
    if once:
        console_tables.show(rendered(found := call("view")), json, found)
        return
    from rich.live import Live

    with Live(rendered(call("view")), console=console(), auto_refresh=False, screen=False) as live:
        try:
            while True:
                time.sleep(every_s)
                live.update(rendered(call("view")), refresh=True)
        except KeyboardInterrupt:
            return


def rendered(view: dict[str, Any]) -> RenderableType:
    """The actor's view as tables, with the last SHOWN decisions."""
    from rich.console import Group
    from rich.text import Text

    log, trials = view["log"] or "none", view["exploration"]
    head = (
        f"policy {view['policy']}, selector {view['selector']}, snapshot {view['snapshot']}\n"
        f"log {log}: {view['rows_written']} rows written, {view['rows_lost']} lost\n"
        f"exploration: {trials['trials']} trials took {trials['trial_s']:.3g} s of {trials['device_s']:.3g} device "
        f"seconds and cost {trials['cost_s']:.3g} s; at most {trials['share']:.3g} of them"
    )
    age = view["queues_age_s"]
    polled = "never polled" if age is None else f"polled {age:.1f} s ago"
    now = time.time()
    return Group(
        Text(head),
        _table("Nodes", ["config", "count", "CPUs", "GPUs", "CPU", "GPU"], [
            [n["config"], n["count"], f"{n['cpus']:g}", f"{n['gpus']:g}", n["cpu_name"], n["gpu_name"]]
            for n in view["nodes"]
        ]),
        _table(f"Queues, {polled}", ["config", "device", "slots", "running, waiting", "expected wait"], [
            [q["config"], q["device"], f"{q['slots']:g}", f"{q['tasks']:.4g}", seconds(q["wait_s"])]
            for q in view["queues"]
        ]),
        *_learning(view["learning"]),
        _table("Last decisions", ["ago", "function", "ran on", "reason", "seconds"], [
            [seconds(now - d["time_utc"]), d["function"].rsplit(".", 1)[-1], f"{d['config']} {d['device']}",
             d["reason"] + (" (fell back)" if d["fallback"] else ""), seconds(d["compute_s"])]
            for d in view["decisions"][:SHOWN]
        ]),
    )  # fmt: skip


def _learning(learning: dict[str, Any]) -> list[RenderableType]:
    """The learner and its last events; nothing where there is none, and never was."""
    from rich.text import Text

    from profiling.report.learning import event_text

    if not learning["on"] and not learning["events"]:
        return []
    age, trial = learning["seen_s"], learning.get("trial")
    head = "learner: " + ("off" if not learning["on"] else "starts" if age is None else f"seen {age:.1f} s ago")
    if age is not None:
        head += f", {learning['rows']} runs learned from, champion {learning['champion']}"
    if trial:
        head += (
            f"\ntrial of {learning['challenger']}: {trial['differing']} of {trial['runs']} runs decided otherwise, "
            f"{trial['covered']} of them with overlap"
        )
    now = time.time()
    events = [[seconds(now - event["time_utc"]), event["kind"], event_text(event)] for event in learning["events"]]
    return [Text(head), _table("Last events of learning", ["ago", "event", "what"], events[:SHOWN])]


def seconds(value: float | None) -> str:
    """Seconds as text; a dash for None."""
    return "-" if value is None else f"{value:.3g} s"


def _table(title: str, columns: list[str], rows: list[list[Any]]) -> RenderableType:
    from rich.markup import escape
    from rich.table import Table

    from profiling.terminal import ResponsiveTable

    table = Table(title=title, title_justify="left")
    for column in columns:
        table.add_column(column)
    for row in rows or [["-", *[""] * (len(columns) - 1)]]:
        table.add_row(*(escape("-" if cell is None else str(cell)) for cell in row))
    return ResponsiveTable(table)
