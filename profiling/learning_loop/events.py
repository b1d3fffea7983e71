"""Events of the loop: what it did or found, as plain data for the log."""

from __future__ import annotations

import math
from typing import Any, Literal, NamedTuple

from profiling.learning_loop.drift_watch import Alarm, reason_of
from profiling.learning_loop.trial import SelectorComparison, Verdict

EventKind = Literal["drift", "refit", "refit failed", "challenger", "verdict", "swap", "rollback"]


class Event(NamedTuple):
    """Something that the loop did or found. what: plain data for the log."""

    kind: EventKind
    what: dict[str, Any]


def drift_event(alarm: Alarm) -> Event:
    """A drift that was found."""
    stream, factor = alarm.stream, math.exp(alarm.log_factor)
    what = {**stream._asdict(), "of": reason_of([stream]), "factor": factor, "runs": alarm.runs}
    return Event("drift", {**what, "shifted": alarm.shifted, "corrects": stream.whole_device})


def verdict_event(verdict: Verdict, trial: SelectorComparison, challenger: str, champion: str) -> Event:
    """The verdict of a trial. challenger, champion: versions."""
    return Event("verdict", {"verdict": verdict, "version": challenger, "champion": champion, **trial.state()})
