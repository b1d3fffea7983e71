"""Events of the loop: what it did or found, as plain data for the log."""

from __future__ import annotations

from typing import Any, Literal, NamedTuple

from profiling.learning_loop.trial import Trial, Verdict

EventKind = Literal["drift", "refit", "refit failed", "challenger", "verdict", "swap", "rollback"]


class Event(NamedTuple):
    """Something that the loop did or found. what: plain data for the log."""

    kind: EventKind
    what: dict[str, Any]


def verdict_event(verdict: Verdict, trial: Trial, challenger: str, champion: str) -> Event:
    """The verdict of a trial. challenger, champion: versions."""
    return Event("verdict", {"verdict": verdict, "version": challenger, "champion": champion, **trial.state()})
