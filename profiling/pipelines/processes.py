"""Worker processes that are there before the clock of a run starts.

Ray starts a process where a task or an actor finds none idle, and for tasks that wait as many as a node has free CPUs.
On two cores that takes longer than many a pipeline. An actor's process ends with it, so some are started anew before
each run.
"""

from __future__ import annotations

from collections.abc import Sequence
from importlib import import_module

from profiling.pipelines.gate import Gate
from profiling.pipelines.measure import START_S, RunFailed

LOADED = ("placement.stages.map_batches",)
"""Modules that every run loads; Ray Data comes with them."""


def ready(configs: Sequence[str], each: int, cpus: float, modules: Sequence[str] = LOADED) -> None:
    """Returns once each configuration's node, of so many CPUs, has `each` worker processes that have loaded `modules`.

    Raises RunFailed.
    """
    import ray
    from ray.exceptions import GetTimeoutError

    gate = Gate.closed(each * len(configs))

    @ray.remote(num_cpus=cpus // each)
    def meet() -> None:
        for module in modules:
            import_module(module)
        gate.arrive()
        gate.passed()

    at_once = [meet.options(label_selector={"config": config}).remote() for config in configs for _ in range(each)]
    try:
        ray.get(at_once, timeout=START_S)
    except GetTimeoutError:
        raise RunFailed(f"its {len(at_once)} processes were not there in {START_S:.0f} s") from None
