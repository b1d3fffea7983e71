"""The budget of exploration: what trials cost beyond the runs in whose place they are, in device seconds. Pure."""

from __future__ import annotations

from typing import NamedTuple

DEFAULT_SHARE = 0.01
"""Share of all device seconds that trials may cost."""


class TrialSeconds(NamedTuple):
    """Seconds of trials, as expected. expected_s: of their runs.  excess_s: of CPU, beyond the runs that they replace.

    A trial that is expected to cost no more than the run in its place has no excess.
    """

    expected_s: float = 0.0
    excess_s: float = 0.0

    def plus(self, other: TrialSeconds) -> TrialSeconds:
        """The seconds of both."""
        return TrialSeconds(self.expected_s + other.expected_s, self.excess_s + other.excess_s)

    def minus(self, other: TrialSeconds) -> TrialSeconds:
        """These seconds without some of them."""
        return TrialSeconds(self.expected_s - other.expected_s, self.excess_s - other.excess_s)


NO_SECONDS = TrialSeconds()


class TrialBudget:
    """The device seconds that trials may still cost, as far as this driver knows.

    explores_known: tasks that the estimates know are explored too; else cold starts alone.  granted_s: of the placement
    actor's last report.  spent: on all trials that this driver has sent.
    """

    __slots__ = ("_counted", "_told", "_told_before", "explores_known", "granted_s", "spent")

    def __init__(self, granted_s: float = 0.0, *, explores_known: bool = False) -> None:
        self.granted_s, self.explores_known = granted_s, explores_known
        self.spent = self._told = self._told_before = self._counted = NO_SECONDS

    @property
    def left_s(self) -> float:
        """Seconds left: those granted, less the excess of trials that the grant does not count yet."""
        return self.granted_s - (self.spent.excess_s - self._counted.excess_s)

    def spend(self, seconds: TrialSeconds) -> None:
        """Counts a trial that is sent now."""
        self.spent = self.spent.plus(seconds)

    def untold(self) -> TrialSeconds:
        """Seconds of the trials sent since the last call, to be told to the placement actor."""
        told, self._told = self._told, self.spent
        return self._told.minus(told)

    def renew(self, granted_s: float) -> None:
        """Takes over a report. Trials told since the report before may not be counted in it: they stay subtracted."""
        self.granted_s, self._counted, self._told_before = granted_s, self._told_before, self._told
