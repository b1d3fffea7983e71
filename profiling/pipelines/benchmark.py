"""The benchmark of pipelines: every shape in every arm, and the disturbances, as plain data."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from typing import Any

from placement.errors import OptionError
from profiling.pipelines import processes
from profiling.pipelines.arms import ARMS, Setting, TimedStages, first_workers, share_of
from profiling.pipelines.disturbances import Act, held_gpus, kill_node
from profiling.pipelines.gate import Gate
from profiling.pipelines.makespan_bound import best_fixed_share, bound_seconds
from profiling.pipelines.measure import RunFigures, run
from profiling.pipelines.runs import Advance, Found, Runs, emulated_nodes
from profiling.pipelines.shapes import SHAPES, Shape
from profiling.pipelines.timed_work import CORES

CONFIGS = ("A", "B", "C", "D")
SLOTS = 2
"""Tasks that each emulated node runs on its CPUs at once."""
PROCESSES = 2 * SLOTS + 3
"""Worker processes of a run on each node: both stages' on its CPUs, one on its GPU, a router, an actor of the run."""
DISTURBED = "multimodal"
COMPARED = ("pinned", "placed")
DISTURBANCES = ("growth", "node_killed", "gpus_taken")
SLOW = 1.5
"""An arm whose own bound is larger than the shape's by this factor is compressed as much more."""


def benchmark(
    shapes: Sequence[str] = tuple(SHAPES), arms: Sequence[str] = ARMS, *, seconds: float = 5.0, batches: int = 150,
    disturbances: Sequence[str] = DISTURBANCES, advance: Advance = lambda _: None,
) -> Found:  # fmt: skip
    """Runs on emulated A-D clusters of its own. Raises OptionError on an unknown shape, arm or disturbance.

    seconds: that the bound of each arm takes on the clock, by which times are compressed.  batches: of each shape.
    A run that fails is reported with its `error` alone.
    """
    check_names(shapes, SHAPES, "shapes")
    check_names(arms, ARMS, "arms")
    check_names(disturbances, DISTURBANCES, "disturbances")
    report: Found = {"times": "emulated", "seconds": seconds, "shapes": {}, "disturbances": {}}
    compared = [arm for arm in arms if arm in COMPARED]
    size = _Size(batches, seconds)
    with Runs(functools.partial(emulated_nodes, CONFIGS, int(SLOTS * CORES)), advance) as runs:
        for name in shapes:
            report["shapes"][name] = {
                arm: runs.one(f"{name}: {arm}", functools.partial(size.run, arm, SHAPES[name])) for arm in arms
            }
        for name in disturbances:
            shape = SHAPES[DISTURBED].growing() if name == "growth" else SHAPES[DISTURBED]
            report["disturbances"][name] = {
                arm: runs.one(
                    f"{name}: {arm}", functools.partial(size.run, arm, shape, name), breaks=name == "node_killed"
                )
                for arm in compared
            }
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
        slots, gpus = SLOTS * len(CONFIGS), len(CONFIGS)
        return Setting(shape, rows, compression, slots, gpus, share, gate, TimedStages()), bound

    def run(self, arm: str, shape: Shape, disturbance: str = "") -> RunFigures:
        """One run of an arm on the cluster."""
        half = len(CONFIGS) // 2
        processes.ready(CONFIGS, PROCESSES, SLOTS * CORES)
        if disturbance == "gpus_taken":
            with held_gpus(half) as release:
                setting, bound = self.setting(arm, shape, len(CONFIGS) - half)
                return run(setting, bound, Act(self.seconds / 3, release))
        setting, bound = self.setting(arm, shape, len(CONFIGS))
        if disturbance == "node_killed":
            return run(setting, bound, Act(self.seconds / 2, functools.partial(kill_node, "B")))
        return run(setting, bound)


def check_names(given: Sequence[str], valid: Any, what: str) -> None:
    """Raises OptionError on a name that is not valid. what: they name."""
    unknown = [name for name in given if name not in valid]
    if unknown:
        raise OptionError(f"{what} {unknown} are not known; valid are {sorted(valid)}.")
