"""Broker: the actor that holds the queue of a stage's batches and its two pools of workers. One for each stage.

Routers ask for a worker for each batch and send the batch to it; only numbers pass through here. The broker ends, and
its workers with it, once no router of the stage has been heard of for some seconds.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import ray
from ray.exceptions import RayTaskError

from placement.control_plane.cluster_load import Poll
from placement.control_plane.load_monitor import poll
from placement.spec.task import DEVICES, Device
from placement.stages.batch_queue import BatchQueue, Request
from placement.stages.device_worker import GpuFailure
from placement.stages.pool import MOST_FAILURES, Worker, WorkerPool
from placement.stages.room import others_wait, room
from placement.stages.stage import Stage

TICK_S = 0.25
ROUTER_LOST_S = 5.0
LAST_S = 3.0
STARVED_S = 10.0
"""Without any worker for so long a stage computes on a CPU that others hold: they may be waiting for this stage."""

logger = logging.getLogger("placement")


class Assignment(NamedTuple):
    """A worker for a batch. ticket: of this run.  backups: a second run may follow, for which `Broker.backup` waits."""

    number: int
    ticket: int
    worker: int
    handle: Any
    device: Device
    cpus: float
    gpus: float
    largest: int | None
    backups: bool


class NoWorker(NamedTuple):
    """No worker of the stage can be made: what its constructor raised."""

    error: Exception


@dataclass
class _Batch:
    request: Request
    router: str
    answer: asyncio.Future[Any]
    runs: dict[int, Worker] = field(default_factory=dict)
    began: float = 0.0
    backup: asyncio.Future[Any] | None = None


class Broker:
    """The queue and the pools of one stage."""

    def __init__(self, stage: Stage) -> None:
        self._stage = stage
        self._queue = BatchQueue()
        self._pools: dict[Device, WorkerPool] = {d: WorkerPool(stage, d, self._own_handle, self._end) for d in DEVICES}
        self._batches: dict[int, _Batch] = {}
        self._tickets: dict[int, int] = {}  # ticket -> number of its batch
        self._routers: dict[str, float] = {}
        self._numbers = 0
        self._starved_since: float | None = None
        self._crowded = 0
        self._tasks: set[asyncio.Task[Any]] = set()
        self._running = False

    def _own_handle(self) -> Any:
        return ray.get_runtime_context().current_actor

    async def hello(self, router: str) -> None:
        """A router lives."""
        self._routers[router] = time.monotonic()
        if not self._running:
            self._running = True
            self._spawn(self._run())

    async def goodbye(self, router: str) -> None:
        """A router has ended."""
        self._routers.pop(router, None)

    async def assign(self, router: str, request: Request, lost: int | None = None) -> Assignment | NoWorker:
        """A worker for a batch, once there is one. lost: a worker that the router found dead."""
        await self.hello(router)
        if lost is not None:
            self._gone(lost)
        number = self._next()
        batch = self._batches[number] = _Batch(request, router, asyncio.get_running_loop().create_future())
        self._enqueue(number, batch)
        self._match()
        answer: Assignment | NoWorker = await batch.answer
        return answer

    async def backup(self, number: int) -> Assignment | None:
        """A second worker for a batch that a CPU runs, once a GPU has nothing better to do; None once it has ended."""
        batch = self._batches.get(number)
        if batch is None:
            return None
        batch.backup = asyncio.get_running_loop().create_future()
        self._match()
        found: Assignment | None = await batch.backup
        return found

    async def ended(
        self, worker: int, ticket: int, rows: int, seconds: float, failure: GpuFailure | None, well: bool
    ) -> None:
        """A worker's report of the end of a run. well: it raised nothing."""
        device: Device = next((d for d in DEVICES if worker in self._pools[d].workers), "cpu")
        pool = self._pools[device]
        found = pool.workers.get(worker)
        if found is not None:
            found.running.pop(ticket, None)
            found.idle_since = time.monotonic()
        if failure is not None:
            pool.failed(found, failure.rows, of_memory=failure.of_memory)
            self._place_anew()
        elif well:
            pool.failures = 0
            pool.batches, pool.rows, pool.busy_s = pool.batches + 1, pool.rows + rows, pool.busy_s + seconds
            batch = self._batches.get(self._tickets.get(ticket, -1))
            self._queue.measured(device, batch.request if batch else Request(rows), seconds)
        self._drop(self._tickets.pop(ticket, -1))
        self._match()

    async def counts(self) -> dict[str, dict[str, float]]:
        """Batches, rows, seconds of work and workers of each device, so far."""
        return {
            d: {"batches": p.batches, "rows": p.rows, "busy_s": p.busy_s, "workers": len(p.workers)}
            for d, p in self._pools.items()
        }

    # --- the queue ----------------------------------------------------------------------------------------------

    def _next(self) -> int:
        self._numbers += 1
        return self._numbers

    def _enqueue(self, number: int, batch: _Batch) -> None:
        """Adds a batch to the queue, for the devices that can be used now."""
        usable = [d for d in DEVICES if self._pools[d].usable]
        devices = tuple(d for d in batch.request.devices if d in usable)
        devices = devices or tuple(d for d in batch.request.possible if d in usable)
        if devices:
            self._queue.add(number, batch.request._replace(devices=devices))
            return
        errors = [self._pools[d].error for d in batch.request.possible]
        if all(errors) and not batch.answer.done():
            batch.answer.set_result(NoWorker(errors[0]))  # type: ignore[arg-type]
            self._drop(number)

    def _place_anew(self) -> None:
        """Sorts the batches that wait by the devices that can be used now."""
        for number, batch in list(self._batches.items()):
            if not batch.answer.done():
                self._queue.remove(number)
                self._enqueue(number, batch)

    def _drop(self, number: int) -> None:
        batch = self._batches.pop(number, None)
        if batch is not None:
            self._queue.remove(number)
            if batch.backup is not None and not batch.backup.done():
                batch.backup.set_result(None)

    def _match(self) -> None:
        """Gives batches to free workers, while there are both."""
        ready = {d: len(self._pools[d].ready) for d in DEVICES}
        most = {d: self._pools[d].most for d in DEVICES}
        for device in ("gpu", "cpu"):
            while (worker := self._pools[device].free(self._typical(device))) is not None:
                number = self._queue.take(device, ready, most)
                if number is None:
                    break
                self._batches[number].answer.set_result(self._begin(number, worker))
        self._give_backups()

    def _typical(self, device: Device) -> float | None:
        """Expected seconds of a batch."""
        request = next(iter(self._queue.waiting.values()), None)
        return None if request is None else self._queue.expected(device, request)

    def _begin(self, number: int, worker: Worker) -> Assignment:
        batch, ticket, now = self._batches[number], self._next(), time.monotonic()
        batch.runs[ticket] = worker
        batch.began = now
        self._tickets[ticket] = number
        worker.running[ticket] = now
        options = self._stage.worker_options(worker.device)
        backups = worker.device == "cpu" and "gpu" in batch.request.devices and not self._stage.options.side_effects
        return Assignment(
            number, ticket, worker.number, worker.handle, worker.device, float(options["num_cpus"] or 1),
            float(options.get("num_gpus", 0)), self._pools[worker.device].largest, backups,
        )  # fmt: skip

    def _give_backups(self) -> None:
        """Has GPUs without work run the batches again for which a CPU will still need long."""
        now = time.monotonic()
        slow = [
            (batch.began, number)
            for number, batch in self._batches.items()
            if batch.backup is not None and not batch.backup.done()
            and self._queue.needs_backup(batch.request, now - batch.began)
        ]  # fmt: skip
        for _, number in sorted(slow, reverse=True):
            worker = next((w for w in self._pools["gpu"].ready if not w.running), None)
            if worker is None or not self._pools["gpu"].usable:
                return
            began, batch = self._batches[number].began, self._batches[number]
            batch.backup.set_result(self._begin(number, worker))  # type: ignore[union-attr]
            batch.began = began

    # --- the pools ----------------------------------------------------------------------------------------------

    async def _run(self) -> None:
        while True:
            try:
                self._forget_routers()
                if not self._routers:
                    break
                self._resize(await asyncio.to_thread(poll))
                self._match()
            except Exception:
                logger.exception("the broker of stage %s failed; it goes on", self._stage.name)
            await asyncio.sleep(TICK_S)
        ends = [self._last_of(worker) for pool in self._pools.values() for worker in pool.workers.values()]
        for pool in self._pools.values():
            pool.workers.clear()
        await asyncio.gather(*ends)
        ray.kill(self._own_handle())  # exit_actor() ends an actor from its methods alone

    def _end(self, worker: Worker) -> None:
        self._spawn(self._last_of(worker))

    async def _last_of(self, worker: Worker) -> None:
        """Ends a worker once its rows are in the log, or after a moment."""
        with contextlib.suppress(Exception):
            if worker.setup_s is not None:
                await asyncio.wait_for(worker.handle.leave.remote(), LAST_S)
        ray.kill(worker.handle)

    def _forget_routers(self) -> None:
        now = time.monotonic()
        lost = {router for router, at in self._routers.items() if now - at > ROUTER_LOST_S}
        for router in lost:
            del self._routers[router]
        for number in [n for n, batch in self._batches.items() if batch.router not in self._routers]:
            for ticket, worker in self._batches[number].runs.items():
                worker.running.pop(ticket, None)
                self._tickets.pop(ticket, None)
            self._drop(number)

    def _resize(self, polled: Poll) -> None:
        """Grows the pools into what the cluster has free, and gives back what others wait for."""
        waiting = others_wait(polled, self._pools["cpu"].pending)
        self._crowded = self._crowded + 1 if waiting else 0
        for device, pool in self._pools.items():
            need = self._stage.need(device)
            total = room(need, (node.total for node in polled.nodes.values()))
            pool.most = min(float(self._stage.most.get(device, 10**6)), total)
            pool.shrink(crowded=device == "cpu" and self._crowded > 2)
            self._grow(pool, room(need, (node.free for node in polled.nodes.values())), crowded=bool(waiting))
        self._rescue()

    def _grow(self, pool: WorkerPool, free: float, *, crowded: bool) -> None:
        if not pool.usable or pool.most < 1:
            return
        ready = {d: len(self._pools[d].ready) for d in DEVICES}
        wanted = self._queue.wants(pool.device, ready, {d: self._pools[d].most for d in DEVICES})
        wanted = max(wanted, pool.least - len(pool.workers))
        more = min(wanted, free, pool.most - len(pool.workers)) - pool.pending
        if crowded and pool.device == "cpu":
            more = 0
        if wanted and not pool.workers:
            more = max(more, 1)
        for _ in range(int(more)):
            self._start(pool)

    def _rescue(self) -> None:
        """The stage always goes on, even where every CPU is held by tasks that wait for it."""
        workers = any(pool.ready for pool in self._pools.values())
        if workers or not self._queue.waiting:
            self._starved_since = None
            return
        now = time.monotonic()
        self._starved_since = self._starved_since or now
        able = any("cpu" in request.devices for request in self._queue.waiting.values())
        if now - self._starved_since > STARVED_S and able and self._pools["cpu"].usable:
            self._starved_since = now
            self._start(self._pools["cpu"], oversubscribes=True)

    def _start(self, pool: WorkerPool, *, oversubscribes: bool = False) -> None:
        worker = pool.start(self._next(), oversubscribes=oversubscribes)
        self._spawn(self._watch(pool, worker))

    async def _watch(self, pool: WorkerPool, worker: Worker) -> None:
        """Follows a worker from its constructor to its end."""
        try:
            worker.setup_s = await worker.handle.setup.remote()
            worker.idle_since = time.monotonic()
            self._match()
            await worker.handle.wait.remote()
        except RayTaskError as error:
            pool.stop(worker)
            self._unfit(pool, error.cause if isinstance(error.cause, Exception) else error)
        except Exception as error:  # the worker, or its node, has gone; or it was stopped here
            if worker.number in pool.workers and worker.setup_s is None:
                pool.failures += 1
                if pool.failures >= MOST_FAILURES:
                    self._unfit(pool, error)
        self._gone(worker.number)
        self._match()

    def _unfit(self, pool: WorkerPool, error: Exception) -> None:
        pool.error = error
        logger.warning(
            "stage %s cannot run on the %s: its constructor failed there: %s: %s",
            self._stage.name, pool.device, type(error).__name__, error,
        )  # fmt: skip
        self._place_anew()

    def _gone(self, number: int) -> None:
        """A worker has ended; whoever waits for its results learns that from Ray, and asks for another."""
        for pool in self._pools.values():
            worker = pool.workers.pop(number, None)
            for ticket in list(worker.running) if worker is not None else ():
                self._drop(self._tickets.pop(ticket, -1))

    def _spawn(self, coroutine: Any) -> None:
        task = asyncio.get_running_loop().create_task(coroutine)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
