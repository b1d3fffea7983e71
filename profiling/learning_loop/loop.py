"""LearningLoop: runs in, events out. It watches for drift, asks for refits, and tries challengers in shadow.

It knows no clock, no Ray and no files: the simulation and the learner on a cluster drive the same loop. Where the runs
of a whole device drift, the history is moved by the factor found, and the champion is corrected by it, at once.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from placement.prediction.drift_correction import corrected_by
from placement.prediction.selector import Selector
from placement.spec.task import DEVICES, Device
from profiling.learning_loop.beliefs import CellHistory, SelectorView, cost
from profiling.learning_loop.drift_watch import Alarm, CellShift, DriftWatch, reason_of
from profiling.learning_loop.events import Event, drift_event
from profiling.learning_loop.refit_schedule import ROWS_AFTER_DRIFT, RefitSchedule
from profiling.learning_loop.service import Service
from profiling.learning_loop.trial import MARGIN

LONGEST_SECONDS = 1e9


class LearningLoop:
    """The state of learning: refits, trials and drifts. refused: rows that taught nothing, because they were no runs.

    Whoever drives the loop refits where `refit_due` says so, then calls `challenge` or `refit_failed`.
    """

    def __init__(self, champion: Selector, margin: float = MARGIN) -> None:
        self.history = CellHistory()
        self.service = Service(champion, self.history, margin)
        self.refused = 0
        self._refits = RefitSchedule()
        self._drifts = DriftWatch(self.history)

    @property
    def champion(self) -> SelectorView:
        """The view of the champion."""
        return self.service.champion

    @property
    def served(self) -> SelectorView:
        """The view of the selector to serve; see `Service.served`."""
        return self.service.served

    @property
    def version(self) -> str:
        """The version of the champion."""
        return self.service.version

    @property
    def rows(self) -> int:
        """Runs taken."""
        return self._refits.rows

    @property
    def refit_due(self) -> str:
        """The reason for which a refit is due; empty where none is."""
        return self._refits.due

    def add(self, at: int, device: Device, seconds: float, joules: float | None, propensity: float) -> list[Event]:
        """Takes one warm run of a cell; the events that it brings about.

        propensity: with which the device was taken. A row that is no run (no time, no chance) teaches nothing.
        """
        if not is_run(device, seconds, propensity):
            self.refused += 1
            return []
        joules = known_joules(joules)
        events = self._judge(at, device, seconds, joules, propensity) if self.service.rivals else []
        alarms = self._drifts.add(self.champion, at, device, math.log(seconds))
        if alarms:
            events += self._on_drifts(alarms)
        self.history.add(at, device, seconds, joules)
        self._refits.add(at)
        return events

    def remember(self, at: int, device: Device, seconds: float, joules: float | None) -> None:
        """Takes a run of before the loop began into the history; it was acted upon then."""
        if is_run(device, seconds, 1.0):
            self.history.add(at, device, seconds, known_joules(joules))

    def challenge(self, selector: Selector) -> list[Event]:
        """Begins the trial of a refitted selector."""
        refit = Event("refit", {"reason": self.refit_due, "rows": self.rows, "version": selector.version})
        self._refit_over()
        return [refit, *self.service.challenge(selector)]

    def refit_failed(self, why: str) -> list[Event]:
        """Goes on without a challenger; the next refit waits for as many rows as after any other."""
        event = Event("refit failed", {"reason": self.refit_due, "rows": self.rows, "why": why})
        self._refit_over()
        return [event]

    def replace_champion(self, selector: Selector) -> None:
        """Goes on with another champion, which somebody else has put in service."""
        self.service.replace_champion(selector)
        self._drifts.trust_again()

    def take_shifts(self) -> list[CellShift]:
        """Shifts of the history by drifts since the last call."""
        taken, self._drifts.shifts = self._drifts.shifts, []
        return taken

    def state(self) -> dict[str, Any]:
        """The loop in a few figures, for those who look at it."""
        counts = {"rows": self.rows, "refused": self.refused, "cells": len(self.history.cells)}
        return {**self.service.state(), **counts}

    def _judge(self, at: int, device: Device, seconds: float, joules: float | None, propensity: float) -> list[Event]:
        before, version = self.champion.belief(at), self.version
        if not (before.cpu_cost and before.gpu_cost):
            return []
        watts = self.history.cpu_watts[at]
        observed = cost(self.champion.selector.thresholds, device, seconds, joules, watts)
        events = self.service.judge(at, before, device, observed, propensity)
        if self.version != version:
            self._drifts.trust_again()
        return events

    def _on_drifts(self, alarms: Sequence[Alarm]) -> list[Event]:
        """Corrects the champion by the drifts of whole devices that were found together."""
        streams = [alarm.stream for alarm in alarms]
        reason = reason_of(streams)
        self._refits.soon(reason, ROWS_AFTER_DRIFT)
        events = [drift_event(alarm) for alarm in alarms]
        if not streams[0].whole_device:
            return events
        better = self.champion.selector
        for alarm in alarms:
            better = corrected_by(better, alarm.stream.config, alarm.stream.device, alarm.log_factor)
        events += self.service.correct(better, reason)
        self._drifts.trust_again()
        return events

    def _refit_over(self) -> None:
        self._refits.over(at for at, both in enumerate(self.history.timings) if both[0].cold or both[1].cold)


def is_run(device: str, seconds: float, propensity: float) -> bool:
    """Whether a row's figures can be those of a run. NaN, infinities and what is no chance are not."""
    return device in DEVICES and 0.0 < seconds < LONGEST_SECONDS and 0.0 < propensity <= 1.0


def known_joules(joules: float | None) -> float | None:
    """The joules of a run; None where they are no energy."""
    return joules if joules is not None and 0.0 < joules < math.inf else None
