"""The caller's side of the load: one request to the actor is always under way, and submissions are reported to it.

A daemon thread for each process whose policy looks at queues; a call's own time pays for a few dictionary operations.
With the actor gone the last load serves on, ages, and is not used once it is older than
`placement.scheduling.queue_model.STALE_S`.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from typing import Any

from placement.control_plane import client
from placement.control_plane.cluster_load import HEARTBEAT_S
from placement.messages.control import LoadReport
from placement.scheduling.queue_model import Backlog
from placement.scheduling.trial_budget import TrialBudget

TELL_EVERY_S = 0.25
RETRY_S = 1.0
FIRST_S = 2.0  # the first decision waits for the load at most so long; it takes some 10 ms

logger = logging.getLogger("placement")


class LoadClient:
    """Keeps a Backlog, and the budget of trials, up with the cluster.

    connected: false once this process has left the cluster it is of.  wait: for the first load, a moment at most; not
    on an event loop.
    """

    def __init__(
        self, backlog: Backlog, trials: TrialBudget, connected: Callable[[], bool], *, wait: bool = True
    ) -> None:
        self.backlog, self.trials = backlog, trials
        self._connected = connected
        self._known = -1
        self._asked: Any = None
        self._told_until = time.monotonic()
        if wait:
            self._first()
        threading.Thread(target=self._follow, name="placement-load", daemon=True).start()

    def _first(self) -> None:
        try:
            self._take(client.call("loads", self._known, FIRST_S, timeout_s=2 * FIRST_S))
        except Exception as error:  # decisions go on without it
            logger.debug("the cluster's load is not known: %s", error)

    def _follow(self) -> None:
        while self._connected():
            try:
                answer = self._ask()
                if isinstance(answer, LoadReport):
                    self._take(answer)
                    continue
            except Exception as error:  # the actor restarts, or this process is about to leave the cluster
                answer = error
            logger.debug("the cluster's load is not known: %s", answer)
            time.sleep(RETRY_S)

    def _take(self, report: LoadReport) -> None:
        self._known = report.number
        self.backlog.typical = report.typical
        self.trials.renew(report.trials_s)
        if report.age_s < float("inf"):
            self.backlog.merge(report.loads, time.monotonic() - report.age_s)

    def _ask(self) -> Any:
        """One request; submissions are reported meanwhile. None where the process left the cluster."""
        done, answers = threading.Event(), []

        def answered(answer: Any) -> None:  # in Ray's own thread, which must not be kept
            answers.append(answer)
            done.set()

        actor = client.actor()
        # Held until the next one, as in the snapshot client; and a ref that goes while Ray shuts down ends the process.
        self._asked = actor.loads.remote(self._known, HEARTBEAT_S)
        self._asked._on_completed(answered)
        while True:
            answered_now = done.wait(TELL_EVERY_S)
            if not self._connected():  # ray.shutdown() answers too: a call after it would end this process
                return None
            self._tell(actor)
            if answered_now:
                return answers[0]

    def _tell(self, actor: Any) -> None:
        self._told_until, told = self.backlog.enqueued_since(self._told_until)
        trials = self.trials.untold()
        if told or any(trials):
            actor.sent.remote(told, trials)
