"""LearningLoop: runs in, events out. It watches for drift, asks for refits, and tries challengers in shadow.

It knows no clock, no Ray and no files: the simulation and the learner on a cluster drive the same loop. A challenger is
swapped in only where its trial says "better". Where the runs of a whole device drift, the champion corrected by the
factor found serves at once: the drift's test is its verdict. After either swap the selector before is tried against the
new one in the same way, until another swap, and is put back where that trial says "better".
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Any, Literal, NamedTuple

from placement.prediction.drift_correction import corrected_by
from placement.prediction.selector import Selector
from placement.prediction.selector_trial import SelectorTrial, trial_of
from placement.prediction.timings import Timings
from placement.spec.task import DEVICES, Device
from profiling.learning_loop.beliefs import Belief, CellHistory, SelectorView, cost
from profiling.learning_loop.drift import TOLERANCE, Drift, DriftDetector
from profiling.learning_loop.trial import MARGIN, Trial, Verdict

EventKind = Literal["drift", "refit", "refit failed", "challenger", "verdict", "swap", "rollback"]

REFERENCE_RUNS = 8  # whose mean is the prediction of later runs at a place
SPREADS = 2.0  # standard deviations of a selector's estimate by which a run may be off
FIRST_REFIT_ROWS = 5_000
ROWS_AFTER_DRIFT = 200  # runs after an alarm, or of new work, before their refit, so that it sees the new times
ROWS_GROWTH = 3  # each further refit waits for so many times the rows of the one before
LONGEST_SECONDS = 1e9
NEW_ROWS, NEW_WORK = "new rows", "new work"


class Event(NamedTuple):
    """Something that the loop did or found. what: plain data for the log."""

    kind: EventKind
    what: dict[str, Any]


class Stream(NamedTuple):
    """A stream of prediction errors. function: None for all.

    by_runs: predicted by earlier runs, else by the champion.
    """

    function: str | None
    config: str
    device: Device
    by_runs: bool


class Shift(NamedTuple):
    """Runs of a cell on a device from before a drift: their times are now so many times as long, in logarithms."""

    cell: int
    device: Device
    log_factor: float


@dataclass(slots=True)
class LearningLoop:
    """See the module. rows: runs taken.  refused: rows that taught nothing, because they were no runs.

    refit_due: why a refit is due; empty where none is. Whoever drives the loop refits, then calls `challenge` or
    `refit_failed`.  shifts: of the histories by drifts, for whoever drives the loop to take.
    """

    champion: SelectorView
    history: CellHistory
    margin: float = MARGIN
    rows: int = 0
    refused: int = 0
    refit_due: str = ""
    shifts: list[Shift] = field(default_factory=list)
    challenger: SelectorView | None = None
    trial: Trial | None = None
    former: SelectorView | None = None
    watch: Trial | None = None
    _drift: DriftDetector = field(default_factory=DriftDetector)
    _reference: dict[tuple[int, bool], tuple[int, float]] = field(default_factory=dict)
    _gap: int = FIRST_REFIT_ROWS
    _next_refit: int = FIRST_REFIT_ROWS
    _reason: str = NEW_ROWS
    _doubted: set[Stream] = field(default_factory=set)
    _served: tuple[tuple[str, str | None], SelectorView] | None = None
    _known: set[int] = field(default_factory=set)
    _new_work: int = 0

    @classmethod
    def of(cls, champion: Selector, margin: float = MARGIN) -> LearningLoop:
        """A loop without rows, with a champion in service."""
        history = CellHistory()
        return cls(history.view(champion), history, margin)

    def add(self, at: int, device: Device, seconds: float, joules: float | None, propensity: float) -> list[Event]:
        """Takes one warm run of a cell; the events that it brings about.

        propensity: with which the device was taken. A row that is no run (no time, no chance) teaches nothing.
        """
        if not is_run(device, seconds, propensity):
            self.refused += 1
            return []
        joules = known_joules(joules)
        self.rows += 1
        events: list[Event] = []
        before = self.champion.belief(at)
        if before.cpu_cost and before.gpu_cost and (self.trial or self.watch):
            watts = self.history.cpu_watts[at]
            observed = cost(self.champion.selector.thresholds, device, seconds, joules, watts)
            self._judge(at, before, device, observed, propensity, events)
        self._look_for_drift(at, device, math.log(seconds), events)
        self.history.add(at, device, seconds, joules)
        self._ask_for_refit(at)
        return events

    def remember(self, at: int, device: Device, seconds: float, joules: float | None) -> None:
        """Takes a run of before the loop began into the history; what it told was acted upon then."""
        if is_run(device, seconds, 1.0):
            self.history.add(at, device, seconds, known_joules(joules))

    # --- refits -------------------------------------------------------------------------------------------------

    def _ask_for_refit(self, at: int) -> None:
        self._new_work += at not in self._known
        if self._new_work == ROWS_AFTER_DRIFT and self._known:
            self._refit_soon(NEW_WORK)
        if self.rows >= self._next_refit and not self.refit_due:
            self.refit_due = self._reason

    def _refit_soon(self, reason: str, rows: int = 0) -> None:
        self._gap = ROWS_AFTER_DRIFT
        self._next_refit = min(self._next_refit, self.rows + rows)
        self._reason = reason

    def challenge(self, selector: Selector) -> list[Event]:
        """Begins the trial of a refitted selector; one that is not decided yet ends without a verdict."""
        events = [Event("refit", {"reason": self.refit_due, "rows": self.rows, "version": selector.version})]
        self._refit_over()
        self._end_trial("undecided", events)
        self.challenger, self.trial = self.history.view(selector), Trial(self.margin)
        return [*events, Event("challenger", {"version": selector.version, "champion": self.version})]

    def refit_failed(self, why: str) -> list[Event]:
        """Goes on without a challenger; the next refit waits for as many rows as after any other."""
        event = Event("refit failed", {"reason": self.refit_due, "rows": self.rows, "why": why})
        self._refit_over()
        return [event]

    def replace_champion(self, selector: Selector) -> None:
        """Goes on with another champion, which somebody else has put in service; trials of the one before end."""
        self.history.forget(self.champion)
        for view in (self.challenger, self.former):
            if view is not None:
                self.history.forget(view)
        self.challenger = self.trial = self.former = self.watch = None
        self.champion = self.history.view(selector)
        self._doubted.clear()

    def state(self) -> dict[str, Any]:
        """The loop in a few figures, for those who look at it."""
        return {
            "champion": self.version, "rows": self.rows, "refused": self.refused, "cells": len(self.history.cells),
            "challenger": self.challenger and self.challenger.selector.version,
            "former": self.former and self.former.selector.version,
            "trial": self.trial and self.trial.state(), "watch": self.watch and self.watch.state(),
        }  # fmt: skip

    @property
    def served(self) -> SelectorView:
        """The view of the selector to serve: the champion, doubted where the selector that it is compared with differs.

        Exploration then tries what tells the two apart.
        """
        rival = self.challenger or self.former
        key = (self.version, rival and rival.selector.version)
        if self._served is None or self._served[0] != key:
            if self._served is not None and isinstance(self._served[1].selector, SelectorTrial):
                self.history.forget(self._served[1])
            trial = rival and trial_of(self.champion.selector, rival.selector)
            self._served = key, (self.history.view(trial) if trial else self.champion)
        return self._served[1]

    @property
    def version(self) -> str:
        """The version of the champion."""
        return self.champion.selector.version

    def _refit_over(self) -> None:
        self._gap *= ROWS_GROWTH
        self._next_refit = self.rows + self._gap
        self.refit_due, self._reason = "", NEW_ROWS
        self._known = {at for at, both in enumerate(self.history.timings) if both[0].cold or both[1].cold}
        self._new_work = 0

    # --- trials -------------------------------------------------------------------------------------------------

    def _judge(
        self, at: int, before: Belief, device: Device, observed: float, propensity: float, events: list[Event]
    ) -> None:
        if self.trial is not None and self.challenger is not None:
            verdict = self.trial.add(before, self.challenger.belief(at), device, observed, propensity)
            if verdict is not None:
                self._end_trial(verdict, events)
                return
        if self.watch is not None and self.former is not None:
            verdict = self.watch.add(before, self.former.belief(at), device, observed, propensity)
            if verdict is not None:
                self._end_watch(verdict, events)

    def _end_trial(self, verdict: Verdict, events: list[Event]) -> None:
        challenger, trial = self.challenger, self.trial
        if challenger is None or trial is None:
            return
        events.append(Event("verdict", told(verdict, trial, challenger.selector.version, self.version)))
        self.challenger = self.trial = None
        if verdict != "better":
            self.history.forget(challenger)
            return
        self._serve(challenger, "verdict", events)

    def _serve(self, view: SelectorView, reason: str, events: list[Event]) -> None:
        """Swaps a selector in, and watches it against the one before."""
        if self.former is not None:
            self.history.forget(self.former)
        self.former, self.watch = self.champion, Trial(self.margin)
        self.champion = view
        self._doubted.clear()
        events.append(Event("swap", {"version": self.version, "before": self.former.selector.version, "by": reason}))

    def _end_watch(self, verdict: Verdict, events: list[Event]) -> None:
        assert self.watch is not None
        assert self.former is not None
        former, left = self.former, self.champion
        events.append(Event("verdict", told(verdict, self.watch, former.selector.version, self.version)))
        self.former = self.watch = None
        if verdict != "better":
            self.history.forget(former)
            return
        self._end_trial("undecided", events)  # it was against a champion that leaves service
        self.champion = former
        self.history.forget(left)
        self._doubted.clear()
        events.append(Event("rollback", {"version": self.version, "before": left.selector.version}))

    # --- drift --------------------------------------------------------------------------------------------------

    def _look_for_drift(self, at: int, device: Device, log_seconds: float, events: list[Event]) -> None:
        predicted = self._predicted(at, device, log_seconds)
        if predicted is None:
            return
        mean, tolerance, by_runs = predicted
        cell = self.history.cells[at]
        for function in (None, cell.function):
            stream = Stream(function, cell.node.config, device, by_runs)
            if stream in self._doubted:
                continue
            found = self._drift.add(stream, log_seconds - mean, tolerance)
            if found is not None:
                self._on_drift(found, stream, events)
                return

    def _predicted(self, at: int, device: Device, log_seconds: float) -> tuple[float, float, bool] | None:
        """(log seconds, tolerance, whether by runs): by the first runs at the place since the last drift; until there
        are enough, by the champion.
        """
        key = (at, device == "gpu")
        runs, mean = self._reference.get(key, (0, 0.0))
        if runs >= REFERENCE_RUNS:
            return mean, TOLERANCE, True
        if self.history.timings[at][key[1]].cold:  # the first run is set aside
            self._reference[key] = (runs + 1, mean + (log_seconds - mean) / (runs + 1))
        prior = self.champion.prior(at)
        seconds = None if prior is None else prior.seconds_on(device)
        std = None if prior is None else prior.basis_on(device).seconds_std
        return (math.log(seconds), SPREADS * std, False) if seconds and std is not None else None

    def _on_drift(self, found: Drift, stream: Stream, events: list[Event]) -> None:
        shifted = 0
        reason = f"{'drift' if stream.by_runs else 'wrong estimates'} of {stream.config} {stream.device}"
        if stream.by_runs:
            shifted = self._shift(stream, found.log_factor)
            self._drift.clear()
        else:
            self._doubted.add(stream)  # until another champion serves: this one stays as wrong as it is
        self._refit_soon(reason, ROWS_AFTER_DRIFT)
        corrects = stream.by_runs and stream.function is None
        events.append(
            Event("drift", {**stream._asdict(), "of": reason, "factor": math.exp(found.log_factor),
                            "runs": found.runs, "shifted": shifted, "corrects": corrects})
        )  # fmt: skip
        if corrects:
            self._end_trial("undecided", events)  # it was against a champion that leaves service
            better = corrected_by(self.champion.selector, stream.config, stream.device, found.log_factor)
            self._serve(self.history.view(better), reason, events)

    def _shift(self, stream: Stream, log_factor: float) -> int:
        """Takes the runs of before a drift for what they would be now; the number of cells."""
        device, on = stream.device, stream.device == "gpu"
        before = len(self.shifts)
        for at, cell in enumerate(self.history.cells):
            if cell.node.config == stream.config and stream.function in (None, cell.function):
                reference = self._reference.pop((at, on), (0, 0.0))
                if still_old(self.history.timings[at][on], reference, log_factor):
                    self.history.shift(at, device, log_factor)
                    self.shifts.append(Shift(at, device, log_factor))
        return len(self.shifts) - before


def is_run(device: str, seconds: float, propensity: float) -> bool:
    """Whether a row's figures can be those of a run. NaN, infinities and what is no chance are not."""
    return device in DEVICES and 0.0 < seconds < LONGEST_SECONDS and 0.0 < propensity <= 1.0


def known_joules(joules: float | None) -> float | None:
    """The joules of a run; None where they are no energy."""
    return joules if joules is not None and 0.0 < joules < math.inf else None


def still_old(timings: Timings, reference: tuple[int, float], log_factor: float) -> bool:
    """Whether timings are those of before a drift: nearer to the reference of before than to what it has become.

    Those of too few runs for a reference are taken for old: work that runs so rarely has hardly run since.
    """
    runs, before = reference
    if not timings.runs or runs < REFERENCE_RUNS:
        return timings.runs > 0
    return abs(timings.mean - before) < abs(timings.mean - before - log_factor)


def told(verdict: Verdict, trial: Trial, challenger: str, champion: str) -> dict[str, Any]:
    """A verdict as plain data."""
    return {"verdict": verdict, "version": challenger, "champion": champion, **trial.state()}
