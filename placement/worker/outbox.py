"""The worker's outbox: finished runs become rows and leave in numbered batches, kept until the actor has them.

One daemon thread for each worker process; a task's own time pays for an append to a deque.
"""

from __future__ import annotations

import contextlib
import logging
import os
import threading
import time
import uuid
from collections import deque
from itertools import islice
from typing import TYPE_CHECKING, NamedTuple

from placement.control_plane.actor_lookup import report_lost_records
from placement.log.lost_records import LOOK_EVERY_S, Counts, report_dead_writers
from placement.messages.envelope import TaskRun
from placement.messages.node_context import NodeContext
from placement.messages.reports import Observation, Unfit
from placement.spec.task_record import Rows
from placement.worker.actor_link import ActorLink
from placement.worker.run_records import recorded

if TYPE_CHECKING:
    from placement.hardware.meters import Energy

BATCH_ROWS = 2_000
LARGEST_OUTBOX = 200_000  # rows kept while the actor cannot be reached; what is more is counted as lost
FLUSH_EVERY_S = 0.25
FLUSH_BUSY_S = 0.5
PATIENCE_S = 30.0
SHORTEST_WINDOW_S = 0.05  # the meters are read at 20 Hz: nothing shorter has a known energy
LAST_PATIENCE_S = 2.0

logger = logging.getLogger("placement")


class ReportBatch(NamedTuple):
    """The content of one call. It is made once, and sent again unchanged until the actor has it."""

    number: int
    runs: int
    rows: list[Rows]
    observations: list[Observation]
    unfit: list[Unfit]
    lost: int

    @property
    def empty(self) -> bool:
        """It tells the actor nothing."""
        return not (self.rows or self.observations or self.unfit or self.lost)


class Outbox:
    """The runs of this process on their way to the actor. `start` begins to send them; before it only `send` does."""

    def __init__(self, link: ActorLink, *, batch_rows: int = BATCH_ROWS, largest: int = LARGEST_OUTBOX) -> None:
        self._link = link
        self._batch_rows, self._largest = batch_rows, largest
        self.writer = f"{os.getpid()}-{uuid.uuid4().hex[:12]}"
        self.runs: deque[TaskRun] = deque()
        self.lost = 0
        self._number = 0
        self._batch: ReportBatch | None = None
        self._sending = threading.Lock()
        self._folder = link.folder()
        self._counts = Counts(self._folder, self.writer)
        self._look_at = time.monotonic()
        self._ending = threading.Event()
        self._thread = threading.Thread(target=self._send_for_ever, name="placement-outbox", daemon=True)

    def start(self) -> Outbox:
        """Sends from now on what is added, in a thread."""
        self._thread.start()
        return self

    def add(self, run: TaskRun) -> None:
        """Called in the task's own time: an append. With the actor long gone the newest runs are lost, and counted."""
        self._counts.added()
        if len(self.runs) < self._largest:
            self.runs.append(run)
        else:
            self.lost += 1

    def _send_for_ever(self) -> None:
        pause = FLUSH_EVERY_S
        while not self._ending.wait(pause):
            # A call costs both sides some milliseconds: while tasks keep coming, they are made fewer.
            pause = min(2 * pause, FLUSH_BUSY_S) if self.runs else FLUSH_EVERY_S
            try:
                if self.runs:
                    self.send(PATIENCE_S)
                if time.monotonic() >= self._look_at:
                    self._report_dead_writers()
            except Exception as error:  # the actor restarts: what is unsent stays here and is sent again
                logger.debug("records wait in the outbox: %s", error)

    def _report_dead_writers(self) -> None:
        """Reports the lost records of killed workers. The more workers a machine has, the more seldom each looks."""
        writers = report_dead_writers(self._folder.parent, self.writer, report_lost_records)
        self._look_at = time.monotonic() + LOOK_EVERY_S * max(1, writers)

    def send_last(self) -> None:
        """A worker that retires sends the runs it still has; where the cluster is gone there is nobody to send them to.

        The thread ends first: one that is inside Ray as Ray shuts the process down would abort it.
        """
        self._ending.set()
        if self._thread.is_alive():
            self._thread.join(LAST_PATIENCE_S)
        with contextlib.suppress(Exception):
            self.send(LAST_PATIENCE_S)

    def send(self, timeout_s: float) -> None:
        """Sends what is there, in batches; one is dropped here only once the actor has it in a durable file."""
        with self._sending:
            if all(run.packed is None for run in self.runs) and not self._link.exists():
                self._batch = None
                self._drop(len(self.runs))  # ordinary tasks of a program without a control plane: nobody keeps a log
                return
            waiting = len(self.runs)  # what comes meanwhile goes with the next: a call for every few tasks costs more
            while waiting > 0:
                batch = self._batch or self._next()
                self._batch = batch
                if not batch.empty:
                    self._counts.sending(batch.number, batch.runs + batch.lost)
                    report = (self.writer, batch.number, *batch[2:])
                    generation, known = self._link.call("report", *report, timeout_s=timeout_s), self._link.context()
                    if generation != known.generation or known.spec is None:  # or its node is being probed
                        self._link.forget_context()
                self._drop(batch.runs, batch.lost)
                waiting -= batch.runs
                self._batch = None

    def _drop(self, runs: int, lost: int = 0) -> None:
        """The oldest runs are no longer this outbox's."""
        for _ in range(runs):
            self.runs.popleft()
        self._counts.acknowledged(runs + lost)

    def _next(self) -> ReportBatch:
        runs = list(islice(self.runs, self._batch_rows))
        lost, self.lost = self.lost, 0
        self._number += 1
        context = self._link.fresh_context()
        name = f"{self.writer}:{self._number}"
        return ReportBatch(self._number, len(runs), *recorded(runs, context, energies(runs, context), name), lost)


def energies(runs: list[TaskRun], context: NodeContext) -> dict[int, Energy]:
    """The energies of the runs that are long enough for the node's meters, by the position of the run."""
    if context.emulated or context.node_id is None:
        return {}
    long = [i for i, run in enumerate(runs) if run.seconds >= SHORTEST_WINDOW_S]
    if not long:
        return {}
    from placement.control_plane.node_agent import energies_of
    from placement.messages.reports import Window

    windows = [Window(r.began, r.began + r.seconds, r.cpu_seconds, r.visible) for r in (runs[i] for i in long)]
    measured = energies_of(context.node_id, windows, PATIENCE_S)
    return {i: energy for i, energy in zip(long, measured, strict=True) if energy is not None}


_link = ActorLink()
_outbox: Outbox | None = None
_making = threading.Lock()


def report(run: TaskRun, *, last: bool = False) -> None:
    """Hands a finished run to the outbox. last: the process ends after this one, so the outbox is emptied at once."""
    global _outbox
    if _outbox is None:
        with _making:
            _outbox = _outbox or Outbox(_link).start()
    _outbox.add(run)
    if last:
        _outbox.send_last()


def send_last() -> None:
    """Sends what this process still has, for the process may be ended next."""
    if _outbox is not None:
        _outbox.send_last()


def node_context() -> NodeContext:
    """The context of this worker's node; see ActorLink.context."""
    return _link.context()
