"""GPU memory that programs other than Ray's hold: the NodeAgent measures it and reports changes to the placement actor.

The memory of Ray's own workers does not count: it is free again when their tasks end.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable, Sequence
from pathlib import Path

from placement.hardware.meters import Gpu, free_gb

LOOK_EVERY_S = 2.0
SMALLEST_CHANGE = 0.05
"""Of the memory; a smaller change is not reported, since every report makes a new snapshot."""


def most_free_gb(gpus: Sequence[Gpu], ours: Callable[[int], bool | None]) -> float | None:
    """The memory of the emptiest GPU beside that of other programs, 1e9 bytes; None where one GPU does not tell.

    ours: whether a process is one of Ray's; None where that cannot be found out.
    """
    free = [free_gb(gpu, ours) for gpu in gpus]
    return None if not free or None in free else max(gb for gb in free if gb is not None)


def descends_from(pid: int, ancestor: int, proc: Path = Path("/proc")) -> bool | None:
    """Whether a process is another one or its descendant; None of a process that cannot be looked up.

    Inside a container NVML names processes by their pids on the host, of which /proc knows nothing there.
    """
    while pid > 1 and pid != ancestor:
        try:
            status = (proc / str(pid) / "status").read_text()
            pid = int(status.partition("PPid:")[2].split(maxsplit=1)[0])
        except (OSError, ValueError, IndexError):
            return None
    return pid == ancestor


async def report_changes(gpus: Sequence[Gpu], report: Callable[[float], object]) -> None:
    """Calls `report` with `most_free_gb` once it is less than all, and whenever it has changed enough, for ever.

    Returns at once where no GPU has a known memory.
    """
    raylet = os.getppid()  # the parent of every worker of this node, agents too
    reported = whole = max((gpu.memory_gb or 0.0 for gpu in gpus), default=0.0)
    while whole:
        free = await asyncio.to_thread(most_free_gb, gpus, lambda pid: descends_from(pid, raylet))
        if free is not None and abs(free - reported) >= SMALLEST_CHANGE * whole:
            report(free)
            reported = free
        await asyncio.sleep(LOOK_EVERY_S)
