"""The energy of tasks on one node: its meters, opened once in a thread, and their trace shared among the tasks."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence

from placement.hardware.meters import Energy, Gpu, Sampler, TaskWindow, find_gpus, node_meters, share, visible_gpus
from placement.hardware.probe import machine_tdp_w
from placement.messages.reports import Window

OPEN_WAIT_S = 2.0


class Meters:
    """The node's GPUs and the sampler of its meters."""

    def __init__(self) -> None:
        self.gpus: Sequence[Gpu] = find_gpus(None)
        self.sampler = Sampler(*node_meters(machine_tdp_w()[0])).start()


class TaskEnergy:
    """The meters of a node. A driver that does not answer while they are opened costs a caller OPEN_WAIT_S once.

    open_meters: opens them; it may block for ever.
    """

    def __init__(self, open_meters: Callable[[], Meters] = Meters, wait_s: float = OPEN_WAIT_S) -> None:
        self._open_meters = open_meters
        self._wait_s = wait_s
        self._opening: asyncio.Task[Meters] | None = None

    async def open(self) -> bool:
        """Opens the meters, once; False where they are not open yet, or cannot be opened."""
        first = self._opening is None
        if self._opening is None:
            self._opening = asyncio.create_task(asyncio.to_thread(self._open_meters))
        if first:
            await asyncio.wait([self._opening], timeout=self._wait_s)
        return self._opening.done() and self._opening.exception() is None

    def granted(self, visible_devices: str | None) -> list[Gpu]:
        """The GPUs that a CUDA_VISIBLE_DEVICES names; None: all of the node."""
        gpus = self._meters().gpus
        names, _ = visible_gpus(visible_devices, gpus)
        return [gpu for gpu in gpus if gpu.uuid in names]

    async def energies(self, windows: list[Window]) -> list[Energy | None]:
        """The energy of each window, in their order; concurrent tasks share a socket's joules by their CPU time."""
        if not windows or not await self.open():
            return [None] * len(windows)
        meters = self._meters()
        trace = await asyncio.to_thread(meters.sampler.trace, max(w.end for w in windows))
        tasks = [TaskWindow(w.start, w.end, w.cpu_seconds, _uuids(w, meters.gpus)) for w in windows]
        return list(share(trace, tasks, count_others=True))

    def _meters(self) -> Meters:
        assert self._opening is not None
        return self._opening.result()


def _uuids(window: Window, gpus: Sequence[Gpu]) -> tuple[str, ...]:
    return visible_gpus(window.visible, gpus)[0] if window.visible is not None else ()
