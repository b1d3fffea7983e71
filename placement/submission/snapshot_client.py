"""The caller's side: the snapshot this process decides from, kept fresh in the background.

No thread and no polling: one request to the actor is always under way, which the actor answers when there is news.
With the actor gone the last snapshot serves on, and that is said once.
"""

from __future__ import annotations

import logging
import threading
import time
import weakref
from typing import Any

import ray

from placement.control_plane import client, ray_context
from placement.errors import ControlPlaneError
from placement.messages.control import NODES_WAIT_S
from placement.prediction.runtime_history import History
from placement.ray_internals.connection import connection
from placement.scheduling.queue_model import LAG_S, Backlog
from placement.scheduling.snapshot import Snapshot
from placement.scheduling.trial_budget import TrialBudget
from placement.submission.event_loop import on_event_loop
from placement.submission.load_client import LoadClient

NEWS_WAIT_S = 30.0
RETRY_S = 1.0
FIRST_SNAPSHOT_S = 60.0
MOST_RENEWALS = 5

logger = logging.getLogger("placement")


class Caller:
    """The snapshot, the history and the queues from which this process decides.

    There is one for each connection to a cluster.
    """

    def __init__(self, session: Any) -> None:
        self.session = session
        self.node = weakref.ref(connection.node)  # of this connection: a check that costs a caller little
        self.history = History()
        self.snapshot: Snapshot | None = None
        self.backlog = Backlog(lag_s=LAG_S)
        self.trials = TrialBudget()
        self._load_client: LoadClient | None = None
        self._asked: Any = None
        self._told = False
        self._lock = threading.Lock()

    def current(self) -> Snapshot:
        """The snapshot to decide from; waits for the first one alone, and NODES_WAIT_S at most for probes of nodes."""
        snapshot = self.snapshot
        return snapshot if snapshot is not None else self._first()

    def _first(self) -> Snapshot:
        with self._lock:
            if self.snapshot is not None:
                return self.snapshot
            deadline = time.monotonic() + NODES_WAIT_S
            while True:
                update = client.call("update", None, 0.0, timeout_s=FIRST_SNAPSHOT_S)
                if not update.pending_nodes or time.monotonic() > deadline:
                    break
                time.sleep(0.05)
            try:
                return self.apply(update)
            except ControlPlaneError:  # its selector has gone out of service since
                return self.renew()

    def renew(self) -> Snapshot:
        """Takes over how things are now; asks the actor again where the selector it named has just been replaced."""
        left = MOST_RENEWALS
        while True:
            update = client.call("update", None, 0.0)
            try:
                return self.apply(update)
            except ControlPlaneError:
                left -= 1
                if not left:
                    raise

    def apply(self, update: Any) -> Snapshot:
        """Takes over what is new; after the first time it asks for more by itself."""
        known = self.snapshot
        selector = known.selector if known and known.selector.version == update.selector else None
        selector = selector or client.served_selector(update.selector)
        self.history.update(update.history)
        self.history.changes()
        self.backlog.speed = update.compression or 1.0
        self.trials.explores_known = update.explores_known
        self.snapshot = Snapshot(
            update.version,
            update.inventory,
            selector,
            update.policy,
            selector.thresholds,
            self.history,
            update.unix_time,
            self.backlog,
            self.trials,
        ).after(known)
        self._told = False
        if known is None:
            threading.Thread(target=self._ask, daemon=True).start()
        return self.snapshot

    def follow_load(self) -> None:
        """From now on the cluster's queues are known, as far as they can be; asked by policies that look at them."""
        if self._load_client is None:
            with self._lock:
                self._load_client = self._load_client or LoadClient(
                    self.backlog, self.trials, self._connected, wait=not on_event_loop()
                )

    def _ask(self) -> None:
        """Sends the one request that is always under way; its answer comes to `_answered`."""
        if not self._connected():
            return
        known = self.snapshot
        try:
            # Held until the next one, and over ray.shutdown(): Ray's core ends the process where the ref of an answer
            # too large to come inline is gone before it, and where a ref is dropped while the core shuts down.
            self._asked = client.actor().update.remote(known and known.version, NEWS_WAIT_S)
            self._asked._on_completed(self._answered)
        except Exception as error:  # no actor to be had now
            self._unreachable(error)

    def _answered(self, answer: Any) -> None:
        """Runs in Ray's own callback thread, which holds Ray's locks: what follows must not run there."""
        if isinstance(answer, BaseException):
            self._unreachable(answer)
            return
        threading.Thread(target=self._take, args=(answer,), daemon=True).start()

    def _take(self, answer: Any) -> None:
        """Takes over the answer and asks again."""
        try:
            self.apply(answer)
        except Exception as error:
            self._unreachable(error)
            return
        self._ask()

    def _unreachable(self, error: BaseException) -> None:
        if not self._connected():
            return
        if not self._told:
            self._told = True
            logger.warning(
                "the placement actor cannot be reached (%s); tasks are placed by the last snapshot until it is back",
                str(error).split("\n", 1)[0],
            )
        client.forget_actor()
        timer = threading.Timer(RETRY_S, self._ask)
        timer.daemon = True
        timer.start()

    def _connected(self) -> bool:
        """Still on the cluster this caller was made for; nothing of ours may start another after ray.shutdown()."""
        return ray.is_initialized() and _caller is self and ray_context.session_id() == self.session


_caller: Caller | None = None
_making = threading.Lock()


def caller() -> Caller:
    """This process's caller, made anew after ray.shutdown() and ray.init()."""
    global _caller
    found = _caller
    if found is None or found.node() is not connection.node:
        with _making:
            if _caller is None or _caller.node() is not connection.node:
                _caller = Caller(ray_context.session_id())
            found = _caller
    return found
