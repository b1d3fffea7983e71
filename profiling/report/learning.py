"""What was learned: the events of the learner, as words and as a section of the report."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from typing import Any

from profiling.report.html_parts import Section, TableCell


def event_text(event: Mapping[str, Any]) -> str:
    """An event of learning in words; what its kind needs and the event lacks is left out."""
    kind = event["kind"]
    if kind == "drift":
        return f"{event.get('of')}: {_number(event, 'factor', '.3g')} times as long, after {event.get('runs')} runs"
    if kind == "verdict":
        return f"{event.get('version')} against {event.get('champion')}: {event.get('verdict')}, {_trial(event)}"
    if kind in ("swap", "rollback"):
        return f"{event.get('version')} serves, before it {event.get('before')}" + _by(event)
    if kind == "refit":
        return f"{event.get('version')}, because of {event.get('reason')}, after {event.get('rows')} runs"
    if kind == "refit failed":
        return f"because of {event.get('reason')}: {event.get('why')}"
    return f"{event.get('version')} is tried against {event.get('champion')}"


def learning_section(events: Sequence[Mapping[str, Any]]) -> Section | None:
    """The section on what was learned; None without events."""
    if not events:
        return None
    head = [TableCell("time"), TableCell("event"), TableCell("what"), TableCell("regret saved", number=True)]
    body = [
        [
            TableCell(time.strftime("%Y-%m-%d %H:%M:%S", time.gmtime(event["time_utc"]))),
            TableCell(event["kind"]),
            TableCell(event_text(event)),
            TableCell(_number(event, "gain", "+.1%"), number=True),
        ]
        for event in events
    ]
    return Section(
        "What was learned",
        "The timeline of the learner: drifts that it found, refits, trials of challengers against the champion in "
        "service, swaps and rollbacks. Regret saved: what the other selector would have saved of the cost of the runs "
        "on which the two decide otherwise, estimated from the propensities of the log; below zero where the one in "
        "service was better.",
        "",
        [],
        [head, *body],
    )


def _trial(event: Mapping[str, Any]) -> str:
    saved = _number(event, "gain", "+.1%")
    return f"saves {saved} of the cost, by {event.get('covered')} of {event.get('differing')} runs decided otherwise"


def _number(event: Mapping[str, Any], name: str, form: str) -> str:
    """A figure of an event; a dash where it has none."""
    value = event.get(name)
    return format(value, form) if isinstance(value, int | float) and not isinstance(value, bool) else "–"


def _by(event: Mapping[str, Any]) -> str:
    return f" (by {event['by']})" if event.get("by") else ""
