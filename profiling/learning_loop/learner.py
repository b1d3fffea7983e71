"""LogLearner: the loop on a cluster's log. It reads new rows, drives the loop, and carries out what that decides.

It holds nothing that must outlive it: a learner that died begins with the log's newest rows and the selector in
service, which stays whatever happens here.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from typing import Any, Protocol

from placement.control_plane.learning import HistoryShift
from placement.errors import PlacementError
from placement.prediction.runtime_history import Place
from placement.prediction.selector import Selector
from placement.prediction.selector_trial import SelectorTrial
from placement.scheduling.decision import key_of
from placement.spec.node import NodeSpec
from profiling.learning_loop.events import Event
from profiling.learning_loop.log_follower import LogFollower
from profiling.learning_loop.log_runs import COLUMNS, runs_of
from profiling.learning_loop.loop import LearningLoop

logger = logging.getLogger("placement")


class Control(Protocol):
    """The control plane as a learner sees it."""

    def version(self) -> str:
        """The version of the selector in service."""
        ...

    def selector(self, version: str) -> Selector:
        """The selector of a version in service."""
        ...

    def nodes(self) -> Mapping[str, NodeSpec]:
        """The kinds of node by config."""
        ...

    def swap(self, selector: Selector) -> None:
        """Puts a selector in service."""
        ...

    def record(self, state: Mapping[str, Any], events: list[dict[str, Any]], shifts: list[HistoryShift]) -> None:
        """Records the learner's state and what it did."""
        ...


class LogLearner:
    """refit: fits a selector to the log; raises where there is nothing to learn from."""

    def __init__(self, log: str, control: Control, refit: Callable[[], Selector]) -> None:
        self._control, self._refit = control, refit
        self._follower = LogFollower(log)
        self._caught_up = False
        self._version = control.version()
        served = control.selector(self._version)
        self.loop = LearningLoop(tried_champion(served))
        if isinstance(served, SelectorTrial):  # a learner that died left it in service: its trial begins anew
            self.loop.service.challenge(served.challenger)

    def step(self) -> int:
        """One look at the log; the rows that taught something. Those of the first look were acted upon by a learner
        before this one, or are of before there was any: they are remembered alone.
        """
        version = self._control.version()
        if version != self._version:  # somebody else has swapped
            self.loop.replace_champion(tried_champion(self._control.selector(version)))
        events: list[Event] = []
        nodes = self._control.nodes()
        before = self.loop.rows
        for table in self._follower.new_rows(COLUMNS):
            for run in runs_of(table, nodes):
                at = self.loop.history.index(run.cell)
                if at is None:
                    continue
                if self._caught_up:
                    events += self.loop.add(at, run.device, run.seconds, run.joules, run.propensity)
                else:
                    self.loop.remember(at, run.device, run.seconds, run.joules)
        self._caught_up = True
        if self.loop.refit_due:
            events += self._refitted()
        served = self.loop.served.selector
        if served.version != version:
            self._control.swap(served)
        self._version = served.version
        self._record(events)
        return self.loop.rows - before

    def _refitted(self) -> list[Event]:
        try:
            selector = self._refit()
        except PlacementError as error:
            return self.loop.refit_failed(str(error)[:500])
        except Exception as error:  # a job of Ray Train may fail in any way; the champion stays
            logger.exception("a refit of the learner failed")
            return self.loop.refit_failed(f"{type(error).__name__}: {str(error)[:500]}")
        return self.loop.challenge(selector)

    def _record(self, events: list[Event]) -> None:
        shifts: list[HistoryShift] = []
        for at, device, log_factor in self.loop.take_shifts():
            cell = self.loop.history.cells[at]
            place = Place(cell.node.config, device, cell.cpus)
            shifts.append((key_of(cell.function, cell.task), place, log_factor))
        told = [{"kind": event.kind, **event.what} for event in events]
        self._control.record({**self.loop.state(), "files_skipped": self._follower.skipped}, told, shifts)


def tried_champion(selector: Selector) -> Selector:
    """The champion of a trial that a learner left in service when it died; any other selector as it is."""
    return selector.champion if isinstance(selector, SelectorTrial) else selector
