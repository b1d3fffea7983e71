"""Dispatcher: the batches of a stage that wait or run; it gives them to the workers that are free."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Container
from dataclasses import dataclass, field
from itertools import count
from typing import Any, NamedTuple

from placement.spec.task import DEVICES, Device
from placement.stages.batch_queue import BatchQueue, Request
from placement.stages.pool import Worker
from placement.stages.stage import Stage
from placement.stages.worker_pools import WorkerPools


class Assignment(NamedTuple):
    """A worker for a batch. ticket: of this run.  backup_after_s: of this run, until a second one may follow, for which
    `Broker.backup` waits; None: none follows.
    """

    number: int
    ticket: int
    worker: int
    handle: Any
    device: Device
    cpus: float
    gpus: float
    largest: int | None
    backup_after_s: float | None


class NoWorker(NamedTuple):
    """No worker of the stage can be made: what its constructor raised."""

    error: Exception


Answer = asyncio.Future[Assignment | NoWorker]


@dataclass
class _Batch:
    request: Request
    router: str
    answer: Answer
    runs: dict[int, Worker] = field(default_factory=dict)
    began: float = 0.0
    backup: asyncio.Future[Assignment | None] | None = None


class Dispatcher:
    """The queue of one stage and the runs of its batches. It lives in the broker's event loop."""

    def __init__(self, stage: Stage, pools: WorkerPools) -> None:
        self.queue = BatchQueue()
        self._stage, self._pools = stage, pools
        self._batches: dict[int, _Batch] = {}
        self._tickets: dict[int, int] = {}  # ticket -> number of its batch
        self._numbers = count(1)

    def add(self, router: str, request: Request) -> Answer:
        """One more batch; the answer has a worker for it once there is one."""
        number = next(self._numbers)
        batch = self._batches[number] = _Batch(request, router, asyncio.get_running_loop().create_future())
        self._enqueue(number, batch)
        self.match()
        return batch.answer

    def backup(self, number: int) -> asyncio.Future[Assignment | None] | None:
        """A second worker for a batch that takes long, once a GPU has nothing better to do. None: it has ended."""
        batch = self._batches.get(number)
        if batch is None:
            return None
        batch.backup = asyncio.get_running_loop().create_future()
        self.match()
        return batch.backup

    def measured(self, ticket: int, device: Device, rows: int, seconds: float) -> bool:
        """A run has ended well after so many seconds. False: another run of the batch ended before it."""
        batch = self._batches.get(self._tickets.get(ticket, -1))
        self.queue.measured(device, batch.request if batch else Request(rows), seconds)
        return batch is not None

    def forget(self, ticket: int, *, ran: bool = False) -> None:
        """A run has ended. ran: well, so that its router has the result; else the router waits for the batch's other
        run, or asks anew where there is none.
        """
        number = self._tickets.pop(ticket, -1)
        batch = self._batches.get(number)
        if batch is None:
            return
        batch.runs.pop(ticket, None)
        if ran or not batch.runs:
            self._drop(number)

    def forget_worker(self, worker: Worker) -> None:
        """A worker has gone; whoever waits for its results learns that from Ray, and asks for another."""
        for ticket in list(worker.running):
            self.forget(ticket)

    def forget_routers(self, alive: Container[str]) -> None:
        """Nobody waits for the batches of other routers than these."""
        for number in [n for n, batch in self._batches.items() if batch.router not in alive]:
            for ticket, worker in self._batches[number].runs.items():
                worker.running.pop(ticket, None)
                self._tickets.pop(ticket, None)
            self._drop(number)

    def place_anew(self) -> None:
        """Sorts the batches that wait by the devices that can be used now."""
        for number, batch in list(self._batches.items()):
            if not batch.answer.done():
                self.queue.remove(number)
                self._enqueue(number, batch)

    def match(self) -> None:
        """Gives batches to free workers, while there are both."""
        capacity = self._pools.capacity()
        for device in ("gpu", "cpu"):
            pool = self._pools[device]
            while (worker := pool.free(self._typical(device), len(self.queue.waiting))) is not None:
                number = self.queue.take(device, capacity, worker.node)
                if number is None:
                    break
                self._batches[number].answer.set_result(self._begin(number, worker))
        self._give_backups()

    def _enqueue(self, number: int, batch: _Batch) -> None:
        """Adds a batch to the queue, for the devices that can be used now."""
        usable = [d for d in DEVICES if self._pools[d].usable]
        devices = tuple(d for d in batch.request.devices if d in usable)
        devices = devices or tuple(d for d in batch.request.possible if d in usable)
        if devices:
            self.queue.add(number, batch.request._replace(devices=devices))
            return
        errors = [self._pools[d].error for d in batch.request.possible]
        if all(errors) and not batch.answer.done():
            batch.answer.set_result(NoWorker(errors[0]))  # type: ignore[arg-type]
            self._drop(number)

    def _drop(self, number: int) -> None:
        batch = self._batches.pop(number, None)
        if batch is not None:
            self.queue.remove(number)
            if batch.backup is not None and not batch.backup.done():
                batch.backup.set_result(None)

    def _typical(self, device: Device) -> float | None:
        """Expected seconds of a batch."""
        request = next(iter(self.queue.waiting.values()), None)
        return None if request is None else self.queue.expected(device, request)

    def _begin(self, number: int, worker: Worker) -> Assignment:
        batch, ticket, now = self._batches[number], next(self._numbers), time.monotonic()
        batch.runs[ticket] = worker
        batch.began = now
        self._tickets[ticket] = number
        worker.running[ticket] = now
        options = self._stage.worker_options(worker.device)
        once = self._stage.options.side_effects
        backup_after_s = None if once else self.queue.backup_after_s(worker.device, batch.request)
        return Assignment(
            number, ticket, worker.number, worker.handle, worker.device, float(options["num_cpus"] or 1),
            float(options.get("num_gpus", 0)), self._pools[worker.device].largest, backup_after_s,
        )  # fmt: skip

    def _give_backups(self) -> None:
        """Has GPUs without work run the batches again for which another worker will still need long."""
        now = time.monotonic()
        slow = [
            (batch.began, number)
            for number, batch in self._batches.items()
            if batch.backup is not None and not batch.backup.done()
            and self.queue.needs_backup(next(iter(batch.runs.values())).device, batch.request, now - batch.began)
        ]  # fmt: skip
        for _, number in sorted(slow, reverse=True):
            worker = next((w for w in self._pools["gpu"].ready if not w.running), None)
            if worker is None or not self._pools["gpu"].usable:
                return
            began, batch = self._batches[number].began, self._batches[number]
            batch.backup.set_result(self._begin(number, worker))  # type: ignore[union-attr]
            batch.began = began
