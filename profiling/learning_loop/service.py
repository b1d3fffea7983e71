"""Service: the champion, the challenger that is tried against it, and the former champion, tried against its successor.

A challenger is swapped in only where its trial says "better". Where a whole device drifts, the champion corrected by
the factor found serves at once: the drift's test is its verdict. After either swap the selector before is tried against
the new one in the same way, until another swap, and is put back where that trial says "better".
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from placement.prediction.selector import Selector
from placement.prediction.selector_trial import SelectorTrial, trial_of
from placement.spec.task import Device
from profiling.learning_loop.beliefs import Belief, CellHistory, SelectorView
from profiling.learning_loop.events import Event, verdict_event
from profiling.learning_loop.trial import MARGIN, SelectorComparison, Verdict


@dataclass(slots=True)
class Rival:
    """A selector that is tried against the champion."""

    view: SelectorView
    trial: SelectorComparison

    @property
    def version(self) -> str:
        """The selector's version."""
        return self.view.selector.version


class Service:
    """The selector in service, and the trials against it. margin: of its trials."""

    def __init__(self, champion: Selector, history: CellHistory, margin: float = MARGIN) -> None:
        self.history, self.margin = history, margin
        self.champion = history.view(champion)
        self.challenger: Rival | None = None
        self.former: Rival | None = None
        self._served: tuple[tuple[str, str | None], SelectorView] = (self.version, None), self.champion

    @property
    def version(self) -> str:
        """The version of the champion."""
        return self.champion.selector.version

    @property
    def rivals(self) -> bool:
        """Whether a trial is under way."""
        return self.challenger is not None or self.former is not None

    @property
    def served(self) -> SelectorView:
        """The view of the selector to serve: the champion, doubted where the selector that it is compared with differs.

        Exploration then tries what tells the two apart.
        """
        rival = self.challenger or self.former
        key = (self.version, rival and rival.version)
        if self._served[0] != key:
            if isinstance(self._served[1].selector, SelectorTrial):
                self.history.forget(self._served[1])
            trial = rival and trial_of(self.champion.selector, rival.view.selector)
            self._served = key, (self.history.view(trial) if trial else self.champion)
        return self._served[1]

    def challenge(self, selector: Selector) -> list[Event]:
        """Begins the trial of a challenger; one that is not decided yet ends without a verdict."""
        events = self.end_trial("undecided")
        self.challenger = Rival(self.history.view(selector), SelectorComparison(self.margin))
        return [*events, Event("challenger", {"version": selector.version, "champion": self.version})]

    def judge(self, at: int, before: Belief, device: Device, cost: float, propensity: float) -> list[Event]:
        """Takes a run, not yet in the history, into the trials; the events of their verdicts.

        before: the champion's belief.  cost: as observed, at the rule's prices.
        """
        if self.challenger is not None:
            verdict = self.challenger.trial.add(before, self.challenger.view.belief(at), device, cost, propensity)
            if verdict is not None:
                return self.end_trial(verdict)
        if self.former is not None:
            verdict = self.former.trial.add(before, self.former.view.belief(at), device, cost, propensity)
            if verdict is not None:
                return self._end_watch(self.former, verdict)
        return []

    def end_trial(self, verdict: Verdict) -> list[Event]:
        """Ends the challenger's trial, where there is one; a better one is swapped in."""
        rival, self.challenger = self.challenger, None
        if rival is None:
            return []
        events = [verdict_event(verdict, rival.trial, rival.version, self.version)]
        if verdict != "better":
            self.history.forget(rival.view)
            return events
        return [*events, self._swap(rival.view, "verdict")]

    def correct(self, selector: Selector, reason: str) -> list[Event]:
        """Puts the champion in service as corrected by a drift, whose test is the verdict; it is watched like any."""
        events = self.end_trial("undecided")  # it was against a champion that leaves service
        return [*events, self._swap(self.history.view(selector), reason)]

    def replace_champion(self, selector: Selector) -> None:
        """Goes on with another champion, which somebody else has put in service; trials of the one before end."""
        self.history.forget(self.champion)
        for rival in (self.challenger, self.former):
            if rival is not None:
                self.history.forget(rival.view)
        self.challenger = self.former = None
        self.champion = self.history.view(selector)

    def state(self) -> dict[str, Any]:
        """The selectors and trials in a few figures."""
        return {
            "champion": self.version,
            "challenger": self.challenger and self.challenger.version,
            "former": self.former and self.former.version,
            "trial": self.challenger and self.challenger.trial.state(),
            "watch": self.former and self.former.trial.state(),
        }

    def _swap(self, view: SelectorView, reason: str) -> Event:
        if self.former is not None:
            self.history.forget(self.former.view)
        self.former, self.champion = Rival(self.champion, SelectorComparison(self.margin)), view
        return Event("swap", {"version": self.version, "before": self.former.version, "by": reason})

    def _end_watch(self, former: Rival, verdict: Verdict) -> list[Event]:
        events = [verdict_event(verdict, former.trial, former.version, self.version)]
        self.former = None
        if verdict != "better":
            self.history.forget(former.view)
            return events
        events += self.end_trial("undecided")  # it was against a champion that leaves service
        left, self.champion = self.champion, former.view
        self.history.forget(left)
        return [*events, Event("rollback", {"version": self.version, "before": left.selector.version})]
