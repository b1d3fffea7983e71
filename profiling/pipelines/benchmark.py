"""The benchmark of pipelines: every shape in every arm, and the disturbances, as plain data."""

from __future__ import annotations

import functools
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import asdict
from typing import Any

from placement.errors import OptionError
from profiling.pipelines import processes
from profiling.pipelines.arms import ARMS, Setting, first_workers, share_of
from profiling.pipelines.disturbances import Act, held_gpus, kill_node
from profiling.pipelines.gate import Gate
from profiling.pipelines.makespan_bound import best_fixed_share, bound_seconds
from profiling.pipelines.measure import Measured, RunFailed, run
from profiling.pipelines.shapes import SHAPES, Shape
from profiling.pipelines.timed_work import CORES

CONFIGS = ("A", "B", "C", "D")
SLOTS = 2
"""Tasks that each emulated node runs on its CPUs at once."""
PROCESSES = 2 * SLOTS + 3
"""Worker processes of a run on each node: both stages' on its CPUs, one on its GPU, a router, an actor of the run."""
EMULATOR = "profiling.emulation.emulator:emulated"
DISTURBED = "multimodal"
COMPARED = ("pinned", "placed")
DISTURBANCES = ("growth", "node_killed", "gpus_taken")
SLOW = 1.5
"""An arm whose own bound is larger than the shape's by this factor is compressed as much more."""
QUIET_S = 20.0
"""Patience with the workers of the last run, which give their devices back."""

Advance = Callable[[str], None]
Found = dict[str, Any]


def benchmark(
    shapes: Sequence[str] = tuple(SHAPES), arms: Sequence[str] = ARMS, *, seconds: float = 5.0, batches: int = 150,
    disturbances: Sequence[str] = DISTURBANCES, advance: Advance = lambda _: None,
) -> Found:  # fmt: skip
    """Runs on emulated A-D clusters of its own. Raises OptionError on an unknown shape, arm or disturbance.

    seconds: that the bound of each arm takes on the clock, by which times are compressed.  batches: of each shape.
    A run that fails is reported with its `error` alone.
    """
    _check(shapes, SHAPES, "shapes")
    _check(arms, ARMS, "arms")
    _check(disturbances, DISTURBANCES, "disturbances")
    report: Found = {"times": "emulated", "seconds": seconds, "shapes": {}, "disturbances": {}}
    compared = [arm for arm in arms if arm in COMPARED]
    with _Runs(_Size(batches, seconds), advance) as runs:
        for name in shapes:
            report["shapes"][name] = {arm: runs.one(arm, SHAPES[name]) for arm in arms}
        for name in disturbances:
            shape = SHAPES[DISTURBED].growing() if name == "growth" else SHAPES[DISTURBED]
            report["disturbances"][name] = {arm: runs.one(arm, shape, name) for arm in compared}
    return report


class _Size:
    """The batches of a run, and the seconds that its bound takes on the clock."""

    def __init__(self, batches: int, seconds: float) -> None:
        self.batches, self.seconds = batches, seconds

    def setting(self, arm: str, shape: Shape, free_gpus: int) -> tuple[Setting, float]:
        """(the setting of a run, the shape's bound in emulated seconds)."""
        rows = self.batches * shape.batch
        bound = bound_seconds(shape, rows, CONFIGS, SLOTS)
        share = share_of(arm, shape, best_fixed_share(shape, rows, CONFIGS, SLOTS))
        own = bound_seconds(shape, rows, CONFIGS, SLOTS, share)
        compression = (own if own > SLOW * bound else bound) / self.seconds
        gate = Gate.closed(first_workers(share, free_gpus))
        return Setting(shape, rows, compression, SLOTS * len(CONFIGS), len(CONFIGS), share, gate), bound


class _Runs:
    """Runs, one after the other, on one cluster; on a new one after a run that failed or killed a node."""

    def __init__(self, size: _Size, advance: Advance) -> None:
        self._size, self._advance = size, advance
        self._cluster = ExitStack()
        self._open = False

    def __enter__(self) -> _Runs:
        return self

    def __exit__(self, *_: object) -> None:
        self._cluster.close()

    def one(self, arm: str, shape: Shape, disturbance: str = "") -> Found:
        """The figures of one run, or its error."""
        self._advance(f"{disturbance or shape.name}: {arm}")
        if not self._open:
            self._cluster.enter_context(_cluster())
            self._open = True
        try:
            found = asdict(self._run(arm, shape, disturbance))
        except RunFailed as error:
            found = {"error": str(error)}
        if "error" in found or disturbance == "node_killed":
            self._cluster.close()
            self._open = False
        else:
            _wait_for_quiet()
        return found

    def _run(self, arm: str, shape: Shape, disturbance: str) -> Measured:
        seconds, half = self._size.seconds, len(CONFIGS) // 2
        processes.ready(CONFIGS, PROCESSES, SLOTS * CORES)
        if disturbance == "gpus_taken":
            with held_gpus(half) as release:
                setting, bound = self._size.setting(arm, shape, len(CONFIGS) - half)
                return run(setting, bound, Act(seconds / 3, release))
        setting, bound = self._size.setting(arm, shape, len(CONFIGS))
        if disturbance == "node_killed":
            return run(setting, bound, Act(seconds / 2, functools.partial(kill_node, "B")))
        return run(setting, bound)


@contextmanager
def _cluster() -> Iterator[None]:
    """An emulated A-D cluster with its placement actor."""
    import ray

    import placement
    from profiling.emulation.emulated_cluster import emulated_cluster

    system = {"prestart_worker_first_driver": False, "enable_worker_prestart": False}
    with emulated_cluster(CONFIGS, num_cpus_per_node=int(SLOTS * CORES), system_config=system):
        placement.start(emulator=EMULATOR)
        ray.data.DataContext.get_current().enable_progress_bars = False
        yield


def _wait_for_quiet() -> None:
    """Returns once every device is free again, or after a while."""
    import ray

    deadline = time.monotonic() + QUIET_S
    while time.monotonic() < deadline:
        free, total = ray.available_resources(), ray.cluster_resources()
        if all(free.get(name, 0.0) == total[name] for name in ("CPU", "GPU")):
            return
        time.sleep(0.2)


def _check(given: Sequence[str], valid: Any, what: str) -> None:
    unknown = [name for name in given if name not in valid]
    if unknown:
        raise OptionError(f"{what} {unknown} are not known; valid are {sorted(valid)}.")
