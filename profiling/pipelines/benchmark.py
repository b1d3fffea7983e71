"""The benchmark of pipelines: every shape in every arm, the disturbances, and the overhead, as plain data."""

from __future__ import annotations

import functools
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from typing import Any

from placement.errors import OptionError
from profiling.pipelines.arms import ARMS, Setting
from profiling.pipelines.disturbances import after, kill_node, take_gpus
from profiling.pipelines.makespan_bound import best_fixed_share, bound_seconds
from profiling.pipelines.measure import Measured, run
from profiling.pipelines.shapes import SHAPES, Shape
from profiling.pipelines.timed_work import CORES

CONFIGS = ("A", "B", "C", "D")
SLOTS = 2
"""Tasks that each emulated node runs on its CPUs at once."""
EMULATOR = "profiling.emulation.emulator:emulated"
DISTURBED = "multimodal"
COMPARED = ("pinned", "placed")
DISTURBANCES = ("growth", "node_killed", "gpus_taken")
BETWEEN_S = 8.0
"""After a run its workers are given time to end, and to give their devices back."""

Advance = Callable[[str], None]


def benchmark(
    shapes: Sequence[str] = tuple(SHAPES), arms: Sequence[str] = ARMS, *, seconds: float = 40.0, batches: int = 150,
    disturbances: Sequence[str] = DISTURBANCES, advance: Advance = lambda _: None,
) -> dict[str, Any]:  # fmt: skip
    """Runs on an emulated A-D cluster of its own. Raises OptionError on an unknown shape, arm or disturbance.

    seconds: that the bound of each shape takes on the clock, by which times are compressed.  batches: of each shape.
    """
    _check(shapes, SHAPES, "shapes")
    _check(arms, ARMS, "arms")
    _check(disturbances, DISTURBANCES, "disturbances")
    report: dict[str, Any] = {"times": "emulated", "shapes": {}, "disturbances": {}}
    with _cluster():
        for name in shapes:
            setting, bound = setting_of(SHAPES[name], batches, seconds)
            report["shapes"][name] = _arms(arms, setting, bound, advance)
    for name in disturbances:
        found = report["disturbances"][name] = {}
        for arm in (a for a in arms if a in COMPARED):
            advance(f"{name}: {arm}")
            with _cluster():  # of its own: a killed node is gone
                found[arm] = asdict(_disturbed(name, arm, batches, seconds))
    return report


def setting_of(shape: Shape, batches: int, seconds: float) -> tuple[Setting, float]:
    """(the setting of a shape, its bound in emulated seconds)."""
    rows = batches * shape.batch
    bound = bound_seconds(shape, rows, CONFIGS, SLOTS)
    share = best_fixed_share(shape, rows, CONFIGS, SLOTS)
    return Setting(shape, rows, bound / seconds, SLOTS * len(CONFIGS), len(CONFIGS), share), bound


def _arms(arms: Sequence[str], setting: Setting, bound: float, advance: Advance) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for arm in arms:
        advance(f"{setting.shape.name}: {arm}")
        found[arm] = asdict(run(arm, setting, bound))
        time.sleep(BETWEEN_S)
    return found


def _disturbed(name: str, arm: str, batches: int, seconds: float) -> Measured:
    """A run that is disturbed half way. The bound is that of the undisturbed cluster."""
    shape = SHAPES[DISTURBED].growing() if name == "growth" else SHAPES[DISTURBED]
    setting, bound = setting_of(shape, batches, seconds)
    acts = {
        "node_killed": lambda: kill_node("B"),
        "gpus_taken": functools.partial(take_gpus, len(CONFIGS) // 2, seconds / 3),
    }
    if name not in acts:
        return run(arm, setting, bound)
    return run(arm, setting, bound, functools.partial(after, seconds / 2, acts[name]))


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


def _check(given: Sequence[str], valid: Any, what: str) -> None:
    unknown = [name for name in given if name not in valid]
    if unknown:
        raise OptionError(f"{what} {unknown} are not known; valid are {sorted(valid)}.")


COLUMNS = ("makespan_seconds", "bound_ratio", "rows_per_s", "joules_per_row", "recovery_seconds")


def rows_of(report: dict[str, Any]) -> list[list[str]]:
    """The report as rows of a table."""
    rows = []
    for name, arms in {**report["shapes"], **report["disturbances"]}.items():
        pinned = arms.get("pinned", {}).get("makespan_seconds")
        for arm, found in arms.items():
            gain = f"{pinned / found['makespan_seconds']:.2f}" if pinned else "-"
            busy = f"{found['busy']['cpu']:.0%} / {found['busy']['gpu']:.0%}"
            figures = [f"{found[column]:.4g}" for column in COLUMNS]
            lost = f"{found['rows_lost']} / {found['rows_twice']}"
            rows.append([name, arm, *figures[:2], gain, *figures[2:4], busy, f"{found['peak_store_bytes'] / 1e6:.0f}",
                         figures[4], lost])  # fmt: skip
    return rows


HEADER = ("pipeline", "arm", "makespan s", "/ bound", "pinned /", "rows/s", "J/row", "busy CPU / GPU", "store MB",
          "longest gap s", "lost / twice")  # fmt: skip
