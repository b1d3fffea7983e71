"""Gate: the start of a run's clock. Rows are prepared once the first workers of the model's stage are there.

The start of processes is not emulated, and on two cores it takes longer than many a pipeline. So every arm has its GPU
workers, or its first CPU worker, before its clock starts.
"""

from __future__ import annotations

import asyncio
import time
import uuid
from typing import Any, NamedTuple


class Gate(NamedTuple):
    """The way to a gate, for the stages. The gate ends with the last of these."""

    name: str
    actor: Any

    @classmethod
    def closed(cls, workers: int) -> Gate:
        """A new gate, which opens once so many workers have arrived."""
        import ray

        return cls(uuid.uuid4().hex, ray.remote(num_cpus=0, max_concurrency=1_000)(_Gate).remote(workers))

    def arrive(self) -> None:
        """One more worker is there."""
        self.actor.arrive.remote()

    def opened_at(self, timeout_s: float | None = None) -> float:
        """When it opened (time.time()), once it has. Raises GetTimeoutError where it does not in time."""
        import ray

        opened: float = ray.get(self.actor.opened_at.remote(), timeout=timeout_s)
        return opened

    def passed(self) -> None:
        """Returns once the gate is open. Each process asks once."""
        if self.name not in _passed:
            self.opened_at()
            _passed.add(self.name)


_passed: set[str] = set()


class _Gate:
    def __init__(self, workers: int) -> None:
        self._missing = workers
        self._open = asyncio.Event()
        self._opened_at = 0.0

    async def arrive(self) -> None:
        self._missing -= 1
        if self._missing == 0:
            self._opened_at = time.time()
            self._open.set()

    async def opened_at(self) -> float:
        await self._open.wait()
        return self._opened_at
