"""GPU memory that programs other than Ray's hold: the NodeAgent looks, and tells the placement actor of what changes.

What Ray's own workers hold does not count: it is free again when their tasks end.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable, Sequence
from pathlib import Path

from placement.hardware.meters import Gpu, free_gb

LOOK_EVERY_S = 2.0
WORTH_TELLING = 0.05
"""Of the memory; a smaller change would only make snapshots anew."""


def most_free_gb(gpus: Sequence[Gpu], ours: Callable[[int], bool]) -> float | None:
    """What the emptiest of a node's GPUs has free of other programs, 1e9 bytes; None where one does not tell."""
    free = [free_gb(gpu, ours) for gpu in gpus]
    return None if not free or None in free else max(gb for gb in free if gb is not None)


def descends_from(pid: int, ancestor: int, proc: Path = Path("/proc")) -> bool:
    """A process is another, or one of its descendants; False for one that has gone."""
    while pid > 1 and pid != ancestor:
        try:
            status = (proc / str(pid) / "status").read_text()
        except OSError:
            return False
        pid = int(status.partition("PPid:")[2].split(maxsplit=1)[0])
    return pid == ancestor


async def tell_changes(gpus: Sequence[Gpu], tell: Callable[[float], object]) -> None:
    """Calls `tell` with `most_free_gb`, once there is less than all, and whenever it has changed enough. For ever."""
    raylet = os.getppid()  # the parent of every worker of this node, agents too
    told = whole = max((gpu.memory_gb or 0.0 for gpu in gpus), default=0.0)
    while whole:
        free = await asyncio.to_thread(most_free_gb, gpus, lambda pid: descends_from(pid, raylet))
        if free is not None and abs(free - told) >= WORTH_TELLING * whole:
            tell(free)
            told = free
        await asyncio.sleep(LOOK_EVERY_S)
