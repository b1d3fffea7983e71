"""The dispatcher of a stage: which runs a batch has, and when nobody waits for it any more."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any

from placement.stages.batch_queue import Capacity, Request
from placement.stages.dispatcher import Dispatcher
from placement.stages.pool import Worker


@dataclass
class Pool:
    workers: list[Worker]
    usable: bool = True
    largest: int | None = None
    error: Exception | None = None

    @property
    def ready(self) -> list[Worker]:
        return self.workers

    def free(self, seconds: float | None, waiting: int) -> Worker | None:
        return next((worker for worker in self.workers if not worker.running), None)


@dataclass
class Pools:
    by_device: dict[str, Pool] = field(default_factory=dict)

    def __getitem__(self, device: str) -> Pool:
        return self.by_device[device]

    def capacity(self) -> Capacity:
        counts = {device: float(len(pool.workers)) for device, pool in self.by_device.items()}
        return Capacity(counts, counts)


STAGE: Any = SimpleNamespace(
    options=SimpleNamespace(side_effects=False), worker_options=lambda device: {"num_cpus": 1, "num_gpus": 1}
)


def test_a_batch_whose_second_run_fails_is_still_waited_for() -> None:
    async def play() -> None:
        cpu, gpu = Worker(1, "cpu", None, setup_s=0.0), Worker(2, "gpu", None, setup_s=0.0)
        pools = Pools({"cpu": Pool([cpu]), "gpu": Pool([])})
        dispatcher = Dispatcher(STAGE, pools)  # type: ignore[arg-type]
        request = Request(20, cpu_s=10.0, gpu_s=0.1)
        first = await dispatcher.add("router", request)
        pools["gpu"].workers.append(gpu)
        backup = dispatcher.backup(first.number)
        assert backup is not None
        second = await asyncio.wait_for(backup, 5)
        assert second is not None
        assert second.device == "gpu"
        gpu.running.pop(second.ticket)
        dispatcher.forget(second.ticket)  # it failed; the first run goes on
        assert dispatcher.measured(first.ticket, "cpu", 20, 10.0)
        dispatcher.forget(first.ticket, ran=True)
        assert not dispatcher.measured(first.ticket, "cpu", 20, 10.0)

    asyncio.run(play())
