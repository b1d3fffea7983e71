"""The scenarios of `placement bench-learning`: a cluster, its work, and what changes.

    a  nothing changes
    b  the GPU of one config becomes 2 times slower, as by throttling
    c  a kind of node joins that nobody measured
    d  the mix shifts to a family of work that was never seen
    e  a library update makes all CPUs 1.5 times faster

Times are the emulator's for presets on A to D, each moved by a factor of its own, so that no selector is right about
all of them. A task is as many steps of a preset as take the faster device of config B ten seconds.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING

import numpy as np

from placement.prediction.speedup_selector import SpeedupSelector
from placement.spec.joint_threshold import JointThreshold
from placement.spec.node import NodeSpec, emulated_configs, paper_configs
from placement.spec.task import TaskSpec
from profiling.learning_loop.beliefs import Cell

if TYPE_CHECKING:
    import pandas as pd

SCENARIOS = ("a", "b", "c", "d", "e")
NEW_CONFIG = "server-t4"
THROTTLED = "D"
NEW_WORKLOAD = "timesformer_k400"
EACH_WORKLOAD = 10  # presets
CPUS = 4.0
TASK_SECONDS = 10.0
REFERENCE = "B"
OWN_FACTOR = 0.2  # standard deviation of the log of each cell's own factor
RUN_NOISE = 0.1  # of the log of one run's seconds
SHIFTED_SHARE = 0.5  # of the tasks, that are of the new family after the shift


@dataclass(frozen=True)
class World:
    """A cluster and its work. (n,) for n cells; (n, 2) by CPU and GPU.

    frame: the cells as pairs (see `profiling.dataset.frames`), a step each.  steps: of a task.
    log_seconds, joules: of a task, before and after the change.  share: of the tasks, before and after.
    kind: the cells that the change is about.  swept: those that the first selector was fitted on.
    """

    cells: list[Cell]
    frame: pd.DataFrame
    steps: np.ndarray
    log_seconds: tuple[np.ndarray, np.ndarray]
    joules: tuple[np.ndarray, np.ndarray]
    share: tuple[np.ndarray, np.ndarray]
    kind: np.ndarray
    swept: np.ndarray


@cache
def _grid() -> pd.DataFrame:
    """The pairs of some presets of each workload on A to D and the new config, by the emulator."""
    from profiling.dataset.frames import of_labelled
    from profiling.dataset.pairs import labelled, pairs
    from profiling.sweep.preset_grid import emulated_table, work_of_presets

    by_workload: dict[str, list[object]] = {}
    for work in work_of_presets():
        if work.has_gpu:
            by_workload.setdefault(work.workload, []).append(work)
    works = [one for each in by_workload.values() for one in each[:: max(1, len(each) // EACH_WORKLOAD)]]
    frame = labelled(pairs(emulated_table(works, list(nodes().values()))))  # type: ignore[arg-type]
    whole = (frame["cpus"] == CPUS) & ~frame["cpu_censored"] & ~frame["gpu_censored"]
    return of_labelled(frame[whole]).assign(source_name="emulated grid")


def nodes() -> dict[str, NodeSpec]:
    """The kinds of node by config."""
    return {**paper_configs(), NEW_CONFIG: emulated_configs()[NEW_CONFIG]}


def world_of(scenario: str, seed: int) -> World:
    """The world of a scenario, its factors drawn by the seed."""
    frame, chance = _grid(), np.random.default_rng(seed)
    seconds = frame[["cpu_seconds", "gpu_seconds"]].to_numpy(float)
    steps = _steps(frame, seconds)
    own = chance.normal(0.0, OWN_FACTOR, seconds.shape)
    log_seconds = np.log(seconds * steps[:, None]) + own
    joules = frame[["cpu_joules", "gpu_joules"]].to_numpy(float) * steps[:, None] * np.exp(own)
    config, workload = frame["config"].to_numpy(object), frame["workload"].to_numpy(object)
    kinds = {
        "a": np.ones(len(frame), bool), "b": config == THROTTLED, "c": config == NEW_CONFIG,
        "d": workload == NEW_WORKLOAD, "e": np.ones(len(frame), bool),
    }  # fmt: skip
    factor = np.ones(seconds.shape)
    if scenario == "b":
        factor[config == THROTTLED, 1] = 2.0
    if scenario == "e":
        factor[:, 0] = 1 / 1.5
    known = config != NEW_CONFIG
    if scenario == "d":
        known &= workload != NEW_WORKLOAD
    after = config != NEW_CONFIG if scenario != "c" else np.ones(len(frame), bool)
    presets = frame["preset"].to_numpy(object)
    swept = known & np.isin(presets, sorted(set(presets))[::2])
    return World(
        _cells(frame, steps), frame, steps, (log_seconds, log_seconds + np.log(factor)), (joules, joules * factor),
        (_share(known, known), _share(after, kinds["d"]) if scenario == "d" else _share(after, after)),
        kinds[scenario] & after, swept,
    )  # fmt: skip


def _steps(frame: pd.DataFrame, seconds: np.ndarray) -> np.ndarray:
    reference = (frame["config"] == REFERENCE).to_numpy()
    fastest = dict(zip(frame["preset"][reference], seconds[reference].min(axis=1), strict=True))
    return np.array([math.ceil(TASK_SECONDS / fastest[preset]) for preset in frame["preset"]])


def _share(cells: np.ndarray, favoured: np.ndarray) -> np.ndarray:
    """Each cell's share of the tasks; the favoured ones have SHIFTED_SHARE together, unless they are all."""
    share = cells / cells.sum()
    if (favoured & cells).sum() not in (0, cells.sum()):
        share = np.where(favoured & cells, SHIFTED_SHARE / (favoured & cells).sum(), 0.0) + np.where(
            cells & ~favoured, (1 - SHIFTED_SHARE) / (cells & ~favoured).sum(), 0.0
        )
    return share


def _cells(frame: pd.DataFrame, steps: np.ndarray) -> list[Cell]:
    from dataclasses import replace

    from profiling.sweep.preset_grid import work_of_presets

    specs: dict[str, TaskSpec] = {work.preset: work.spec for work in work_of_presets()}
    kinds = nodes()
    return [
        Cell(workload, replace(specs[preset], steps=int(number)), kinds[config], CPUS)
        for workload, preset, config, number in zip(
            frame["workload"], frame["preset"], frame["config"], steps, strict=True
        )
    ]


def fitted(frame: pd.DataFrame, rule: JointThreshold, seed: int, name: str) -> SpeedupSelector | None:
    """The selector of some pairs, as a refit makes it; None of too few."""
    from profiling.learning.counterfactuals import completed
    from profiling.learning.fit_power import fit_power
    from profiling.learning.fit_residuals import fit_residuals

    frame = completed(frame, seed) if len(frame) else frame
    trees = fit_residuals(frame, seed) if len(frame) else None
    if trees is None:
        return None
    return SpeedupSelector(name, None, rule, trees=trees, share=1.0, power=fit_power(frame, seed))


def measured_pairs(
    world: World, rows: Sequence[int], log_seconds: np.ndarray, joules: np.ndarray, rule: JointThreshold
) -> pd.DataFrame:
    """The pairs of some cells with the times and joules of tasks, (k, 2) each; NaN where they are not known."""
    at = np.asarray(rows, int)
    frame = world.frame.iloc[at].reset_index(drop=True)
    steps = world.steps[at][:, None]
    seconds, joules = np.exp(log_seconds) / steps, joules / steps
    ratio = joules[:, 1] / joules[:, 0]
    labels = [
        rule.decide(float(speedup), None if math.isnan(energy) else float(energy)).device
        for speedup, energy in zip(seconds[:, 0] / seconds[:, 1], ratio, strict=True)
    ]
    return frame.assign(
        cpu_seconds=seconds[:, 0], gpu_seconds=seconds[:, 1], cpu_joules=joules[:, 0], gpu_joules=joules[:, 1],
        energy_ratio=ratio, label=labels, cpu_weight=1.0, gpu_weight=1.0,
    )  # fmt: skip
