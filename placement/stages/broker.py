"""Broker: the actor to which the routers of a stage come for workers. One for each stage.

Routers ask for a worker for each batch and send the batch to it; only numbers pass through here. The broker ends, and
its workers with it, once no router of the stage has been heard of for some time.
"""

from __future__ import annotations

import asyncio
import logging
import time
from typing import Any

import ray

from placement.control_plane.load_monitor import poll
from placement.stages import stage_stats
from placement.stages.batch_queue import Request
from placement.stages.device_worker import RunEnd
from placement.stages.dispatcher import Assignment, Dispatcher, NoWorker
from placement.stages.stage import Stage
from placement.stages.worker_pools import WorkerPools

TICK_S = 0.25
ROUTER_LOST_S = 30.0
"""Routers say goodbye; only killed ones do not. Their workers have no batch then, and end long before the broker."""

logger = logging.getLogger("placement")


class Broker:
    """The dispatcher and the pools of one stage, as an actor."""

    def __init__(self, stage: Stage) -> None:
        self._stage = stage
        self._pools = WorkerPools(
            stage, self._own_handle, self._spawn,
            changed=lambda: self._dispatcher.match(), unfit=lambda: self._dispatcher.place_anew(),
            gone=lambda worker: self._dispatcher.forget_worker(worker),
        )  # fmt: skip
        self._dispatcher = Dispatcher(stage, self._pools)
        self._routers: dict[str, float] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._running = False
        self._began, self._ended, self._kept = 0.0, 0.0, 0.0

    async def hello(self, router: str) -> None:
        """A router lives. The pools have their least workers once the first router is there."""
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
            self._pools.lose(lost)
        self._pools.begin()
        self._began = self._began or time.monotonic()
        return await self._dispatcher.add(router, request)

    async def backup(self, number: int) -> Assignment | None:
        """A second worker for a batch that takes long, once a GPU has nothing better to do; None once it has ended."""
        found = self._dispatcher.backup(number)
        return None if found is None else await found

    async def ended(self, end: RunEnd) -> None:
        """A worker's report of the end of a run."""
        self._ended = time.monotonic()
        pool = self._pools[end.device]
        worker = pool.workers.get(end.worker)
        if worker is not None:
            worker.running.pop(end.ticket, None)
            worker.idle_since = self._ended
        if end.failure is not None:
            pool.failed(worker, end.failure.rows, of_memory=end.failure.of_memory)
            self._dispatcher.place_anew()
        elif end.ran:
            pool.failures = 0
            first = self._dispatcher.measured(end.ticket, end.device, end.rows, end.seconds)
            pool.use.add(end.rows if first else 0, end.seconds, end.joules)
        self._dispatcher.forget(end.ticket, ran=end.ran)
        self._dispatcher.match()

    def _own_handle(self) -> Any:
        return ray.get_runtime_context().current_actor

    async def _run(self) -> None:
        while True:
            try:
                self._forget_routers()
                if not self._routers:
                    break
                self._pools.resize(await asyncio.to_thread(poll), self._dispatcher.queue)
                self._dispatcher.match()
                await asyncio.to_thread(self._keep_stats)
            except Exception:
                logger.exception("the broker of stage %s failed; it goes on", self._stage.name)
            await asyncio.sleep(TICK_S)
        await asyncio.to_thread(self._keep_stats)
        await self._pools.end_all()
        ray.kill(self._own_handle())  # exit_actor() ends an actor from its methods alone

    def _forget_routers(self) -> None:
        now = time.monotonic()
        self._routers = {router: at for router, at in self._routers.items() if now - at <= ROUTER_LOST_S}
        self._dispatcher.forget_routers(self._routers)

    def _keep_stats(self) -> None:
        """Writes the figures where there are new ones."""
        if self._ended <= self._kept:
            return
        self._kept = now = time.monotonic()
        use = {device: pool.use.figures(now) for device, pool in self._pools.by_device.items()}
        stage_stats.keep(self._stage, max(0.0, self._ended - self._began), use)

    def _spawn(self, coroutine: Any) -> None:
        task = asyncio.get_running_loop().create_task(coroutine)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
