"""WorkerPools: the two pools of a stage's workers, which grow and shrink with the queue and the cluster's free room."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import math
import time
from collections.abc import Callable, Coroutine
from itertools import count
from typing import Any

import ray
from ray.exceptions import RayTaskError

from placement.control_plane.cluster_load import Poll
from placement.spec.task import DEVICES, Device
from placement.stages.batch_queue import BatchQueue, Capacity
from placement.stages.pool import MOST_FAILURES, Worker, WorkerPool
from placement.stages.room import FairLimit, others_wait, room
from placement.stages.stage import Stage

LAST_S = 3.0
STARVED_S = 10.0
"""Without any worker for so long a stage computes on a CPU that others hold: they may be waiting for this stage."""
CROWDED_POLLS = 2
"""Tasks that wait in more polls than this in a row wait for CPUs, not for Ray to hand them out."""
SHORTEST_STEP_S, LONGEST_STEP_S = 0.5, 5.0
"""Between two changes of the CPUs' limit: a batch's seconds, within these, or what a worker needs to start."""

logger = logging.getLogger("placement")


class WorkerPools:
    """The pools by device.

    spawn: runs a coroutine in the broker's event loop.  changed: is called when a worker is ready or has gone.
    unfit: is called when a device cannot be used any more.  gone: is called with a worker that has ended.
    """

    def __init__(
        self, stage: Stage, broker: Callable[[], Any], spawn: Callable[[Coroutine[Any, Any, None]], None],
        changed: Callable[[], None], unfit: Callable[[], None], gone: Callable[[Worker], None],
    ) -> None:  # fmt: skip
        self._stage, self._spawn = stage, spawn
        self._changed, self._unfit, self._gone = changed, unfit, gone
        self._pools: dict[Device, WorkerPool] = {d: WorkerPool(stage, d, broker, self._end) for d in DEVICES}
        self._numbers = count(1)
        self._limit = FairLimit()
        self._crowded = 0
        self._starved_since: float | None = None
        self._rescuer: int | None = None
        self._began: float | None = None

    def __getitem__(self, device: Device) -> WorkerPool:
        return self._pools[device]

    @property
    def by_device(self) -> dict[Device, WorkerPool]:
        """Both of them."""
        return self._pools

    def begin(self) -> None:
        """The stage has its first batch."""
        self._began = self._began or time.monotonic()

    def capacity(self, *, startup_s: float = 0.0) -> Capacity:
        """The workers as the queue is to know them."""
        return Capacity(
            {d: len(pool.ready) + (pool.coming if d == "gpu" else 0) for d, pool in self._pools.items()},
            {d: pool.could_run for d, pool in self._pools.items()},
            0.0 if self._began is None else time.monotonic() - self._began,
            startup_s,
        )

    def find(self, number: int) -> Worker | None:
        """The worker of this number; None where it has gone."""
        return next((p.workers[number] for p in self._pools.values() if number in p.workers), None)

    def lose(self, number: int) -> None:
        """A worker was found dead."""
        for pool in self._pools.values():
            worker = pool.workers.pop(number, None)
            if worker is not None:
                self._gone(worker)

    async def end_all(self) -> None:
        """Ends every worker."""
        ends = [self._last_of(worker) for pool in self._pools.values() for worker in pool.workers.values()]
        for pool in self._pools.values():
            pool.workers.clear()
        await asyncio.gather(*ends)

    # --- their sizes --------------------------------------------------------------------------------------------

    def resize(self, polled: Poll, queue: BatchQueue) -> None:
        """Grows the pools into what the cluster has free, and gives back what others wait for."""
        waiting = others_wait(polled, self._pools["cpu"].pending)
        self._crowded = self._crowded + 1 if waiting else 0
        for device in ("gpu", "cpu"):  # whether CPUs are wanted depends on the GPUs that come
            pool, need = self._pools[device], self._stage.need(device)
            free = room(need, (node.free for node in polled.nodes.values()))
            total = room(need, (node.total for node in polled.nodes.values()))
            pool.most = min(float(self._stage.most.get(device, math.inf)), total)
            pool.could_run = min(pool.most, len(pool.workers) - pool.pending + free)
            pool.shrink(self._surplus(queue) if device == "cpu" else 0)
            self._grow(pool, queue, free, crowded=waiting)
        self._rescue(queue)

    def _surplus(self, queue: BatchQueue) -> int:
        """CPU workers that are more than a fair share, where GPUs compute and CPUs only help."""
        cpus, crowded = self._pools["cpu"], self._crowded > CROWDED_POLLS
        request = next(iter(queue.waiting.values()), None)
        batch_s = (queue.expected("cpu", request) if request else None) or 0.0
        step_s = max(SHORTEST_STEP_S, min(batch_s, LONGEST_STEP_S), cpus.startup_s)
        self._limit.update(time.monotonic(), len(cpus.workers), crowded=crowded, step_s=step_s)
        if not crowded and not self._pools["gpu"].ready:
            return 0
        return max(0, len(cpus.workers) - int(self._limit.workers))

    def _grow(self, pool: WorkerPool, queue: BatchQueue, free: float, *, crowded: bool) -> None:
        if not pool.usable or pool.most < 1:
            return
        startup_s = max(one.startup_s for one in self._pools.values())  # the other device's stands for one not tried
        wanted = queue.wants(pool.device, self.capacity(startup_s=startup_s))
        wanted = max(wanted, pool.least - len(pool.workers))
        more = min(wanted, free, pool.most - len(pool.workers)) - pool.pending
        if pool.device == "cpu":
            more = self._shared(pool, more, crowded=crowded)
        if wanted and not pool.workers:
            more = max(more, 1)
        for number in range(int(more)):
            self._start(pool, coming=number < free)

    def _shared(self, pool: WorkerPool, more: float, *, crowded: bool) -> float:
        """The part of `more` CPU workers that leaves the other stages theirs; without GPUs all CPUs are needed here."""
        if crowded:
            return 0.0
        if not self._pools["gpu"].ready and not self._pools["gpu"].coming:
            return more
        return min(more, max(self._limit.workers, pool.least) - len(pool.workers))

    def _rescue(self, queue: BatchQueue) -> None:
        """The stage always goes on, even where every CPU is held by tasks that wait for it."""
        if any(pool.ready for pool in self._pools.values()) or not queue.waiting:
            self._starved_since = None
            return
        now = time.monotonic()
        self._starved_since = self._starved_since or now
        cpus, able = self._pools["cpu"], any("cpu" in request.devices for request in queue.waiting.values())
        if self._rescuer in cpus.workers:
            return  # it makes the user's instance, which may take minutes
        if now - self._starved_since > STARVED_S and able and cpus.usable:
            self._rescuer = self._start(cpus, oversubscribes=True)

    # --- a worker's life ----------------------------------------------------------------------------------------

    def _start(self, pool: WorkerPool, *, coming: bool = False, oversubscribes: bool = False) -> int:
        """Starts a worker; its number."""
        worker = pool.start(next(self._numbers), coming=coming, oversubscribes=oversubscribes)
        self._spawn(self._watch(pool, worker))
        return worker.number

    async def _watch(self, pool: WorkerPool, worker: Worker) -> None:
        """Follows a worker from its constructor to its end."""
        try:
            pool.is_ready(worker, *await worker.handle.setup.remote())
            self._changed()
            await worker.handle.wait.remote()
        except RayTaskError as error:
            pool.stop(worker)
            self._cannot_run(pool, error.cause if isinstance(error.cause, Exception) else error)
        except Exception as error:  # the worker, or its node, has gone; or it was stopped here
            if worker.number in pool.workers and worker.setup_s is None:
                pool.failures += 1
                if pool.failures >= MOST_FAILURES:
                    self._cannot_run(pool, error)
        self.lose(worker.number)
        self._changed()

    def _cannot_run(self, pool: WorkerPool, error: Exception) -> None:
        pool.error = error
        logger.warning(
            "stage %s cannot run on the %s: its constructor failed there: %s: %s",
            self._stage.name, pool.device, type(error).__name__, error,
        )  # fmt: skip
        self._unfit()

    def _end(self, worker: Worker) -> None:
        self._spawn(self._last_of(worker))

    async def _last_of(self, worker: Worker) -> None:
        """Ends a worker once its rows are in the log, or after a moment."""
        with contextlib.suppress(Exception):
            if worker.setup_s is not None:
                await asyncio.wait_for(worker.handle.leave.remote(), LAST_S)
        ray.kill(worker.handle)
