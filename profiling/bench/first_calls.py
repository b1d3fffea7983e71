"""The seconds of a process's first `.remote()` on an event loop, where it must not wait."""

from __future__ import annotations

import statistics
import time
from typing import Any

from profiling.bench.figure import Figure

MILLISECONDS = 1e3


def body(x: int) -> int:
    """The work of a task that is submitted."""
    return x


class OnALoop:
    """An async actor, whose methods run on an event loop; its process has submitted nothing yet."""

    async def first_call_s(self, function: Any) -> float:
        """Seconds of the first `.remote()`."""
        start = time.perf_counter()
        ref = function.remote(1)
        seconds = time.perf_counter() - start
        await ref
        return seconds


def first_call_on_loop_ms(rounds: int = 20) -> Figure:
    """Milliseconds that the first placed call adds to ray.remote's own; a new process for each, in turns."""
    import ray

    from placement import TaskSpec, placed_remote

    actors: Any = ray.remote(num_cpus=0)(OnALoop)
    spec = TaskSpec(flops=1e6, input_bytes=1e3, batch_size=1, parameters=1_000)
    functions = (ray.remote(body), placed_remote(spec=spec)(body))
    times: list[list[float]] = [[], []]
    for _ in range(rounds):
        for values, function in zip(times, functions, strict=True):
            actor = actors.remote()
            values.append(MILLISECONDS * ray.get(actor.first_call_s.remote(function)))
            ray.kill(actor)
    plain = statistics.median(times[0])
    return Figure.of("first_call_on_loop_ms", [value - plain for value in times[1]], "<= 50", "beyond ray.remote's own")
