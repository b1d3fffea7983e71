"""WorkerPool: the workers of one device. It grows while batches wait and the cluster has room, and gives back."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from placement.ray_internals.options import make_remote
from placement.spec.task import Device
from placement.stages.device_use import DeviceUse
from placement.stages.device_worker import DeviceWorker
from placement.stages.stage import Stage

SHORTEST_IDLE_S = 2.0
IDLE_FOR_SETUPS = 3.0
"""A worker is kept without work for so many times as long as its constructor took."""
DEPTH_BELOW_S = 1.0
"""A worker on a CPU whose batches take less has a second one on its way, as every worker on a GPU has, so that it does
not wait for its data."""
COMING_S = 20.0
"""A worker that has not begun after so long has lost its room to somebody else."""
CLOSED_S = 60.0
MOST_FAILURES = 3


@dataclass
class Worker:
    """A worker as the broker sees it. running: its batches, by ticket.  setup_s: None until it is ready.

    coming: there was room for it when it was started, so that it is ready soon.  node: None until it is ready.
    """

    number: int
    device: Device
    handle: Any
    coming: bool = False
    started: float = field(default_factory=time.monotonic)
    setup_s: float | None = None
    node: str | None = None
    running: dict[int, float] = field(default_factory=dict)
    idle_since: float = 0.0
    leaves: bool = False


class WorkerPool:
    """The workers of one device, and what becomes of them."""

    def __init__(self, stage: Stage, device: Device, broker: Callable[[], Any], end: Callable[[Worker], None]) -> None:
        self.stage, self.device = stage, device
        self._broker, self._end = broker, end
        self.workers: dict[int, Worker] = {}
        self.most = float(stage.most.get(device, math.inf))
        self.could_run = 0.0  # workers, by what is free now
        self.least = stage.least.get(device, 0)
        self.largest = stage.rows.get(device)
        self.error: Exception | None = None
        self.failures = 0
        self.closed_until = 0.0
        self.startup_s = 0.0
        self.use = DeviceUse()

    @property
    def ready(self) -> list[Worker]:
        """The workers that take batches."""
        return [w for w in self.workers.values() if w.setup_s is not None and not w.leaves]

    @property
    def pending(self) -> int:
        """Workers that were asked for and have not begun."""
        return sum(w.setup_s is None for w in self.workers.values())

    @property
    def coming(self) -> int:
        """Workers that had room when they were asked for, a moment ago, and have not begun."""
        since = time.monotonic() - max(COMING_S, IDLE_FOR_SETUPS * self.startup_s)
        return sum(w.setup_s is None and w.coming and w.started > since for w in self.workers.values())

    @property
    def usable(self) -> bool:
        """Its workers can be made, and their device has not failed of late."""
        return self.error is None and time.monotonic() >= self.closed_until

    def start(self, number: int, *, coming: bool, oversubscribes: bool = False) -> Worker:
        """One more worker. coming: there is room for it.  oversubscribes: it takes no CPU of Ray's, for others hold
        them and wait for this stage.
        """
        options = self.stage.worker_options(self.device)
        cpus = float(options["num_cpus"] or 1)
        if oversubscribes:
            options["num_cpus"] = 0
        actor = make_remote(DeviceWorker, {"concurrency_groups": {"watch": 1}}).options(**options, max_restarts=0)
        handle = actor.remote(self.stage, self.device, cpus, self._broker(), number)
        worker = self.workers[number] = Worker(number, self.device, handle, coming)
        return worker

    def is_ready(self, worker: Worker, setup_s: float, node: str | None = None) -> None:
        """A worker takes batches from now on. setup_s: of the user's constructor."""
        now, worker.node = time.monotonic(), node
        worker.setup_s, worker.idle_since, self.startup_s = setup_s, now, now - worker.started
        self.use.open(worker.number, now)

    def free(self, seconds: float | None, waiting: int) -> Worker | None:
        """The worker with the fewest batches that has room for one. seconds: expected of a batch.

        waiting: batches; the last ones of a stage wait for the worker that is free first.
        """
        short = seconds is not None and (self.device == "gpu" or seconds < DEPTH_BELOW_S)
        deep = short and waiting > len(self.ready)
        able = [w for w in self.ready if len(w.running) < (2 if deep else 1)]
        return min(able, key=lambda w: len(w.running), default=None)

    def stop(self, worker: Worker) -> None:
        """Ends a worker, which gets no batch any more."""
        self.workers.pop(worker.number, None)
        self.use.close(worker.number, time.monotonic())
        self._end(worker)

    def shrink(self, surplus: int) -> None:
        """Ends workers that have long had no work, and so many that others wait for, each once it has no batch."""
        now = time.monotonic()
        for worker in list(self.ready):
            patience = max(SHORTEST_IDLE_S, IDLE_FOR_SETUPS * (worker.setup_s or 0.0))
            idle = not worker.running and now - worker.idle_since > patience
            if idle and len(self.workers) > self.least:
                self.stop(worker)
        leaving = sum(worker.leaves for worker in self.workers.values())
        spare = min(surplus - leaving, len(self.ready) - self.least)
        for worker in sorted(self.ready, key=lambda w: len(w.running))[: max(0, spare)]:
            worker.leaves = True
        for worker in [w for w in self.workers.values() if w.leaves and not w.running]:
            self.stop(worker)

    def failed(self, worker: Worker | None, rows: int, *, of_memory: bool) -> None:
        """A GPU failed on a part of so many rows: smaller batches from now on, or a new worker, or none for a while."""
        if of_memory and rows > 1:
            self.largest = max(1, rows // 2) if self.largest is None else max(1, min(self.largest, rows // 2))
            return
        self.failures += 1
        if worker is not None:
            worker.leaves = True
        if self.failures >= MOST_FAILURES:
            self.closed_until, self.failures = time.monotonic() + CLOSED_S, 0
