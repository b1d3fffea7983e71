"""Arrival traces: named mixes, generated arrivals, Alibaba's trace, or a file of the user's."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cache
from importlib import resources
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

import workloads
from placement.errors import LogError, OptionError
from placement.spec.task import Device, TaskSpec
from profiling.dataset.table_file import read_table_file
from profiling.emulation.preset_specs import preset_spec

DATA = Path(os.environ.get("PLACEMENT_DATA", Path(__file__).parents[3] / "shared" / "data"))
LONGEST_QUANTILE = 0.99
"""Durations of Alibaba's trace are cut here: the longest task lasts 26 days, and would be the makespan by itself."""
ALIBABA = "alibaba"
ALIBABA_COLUMNS = ("arrival_s", "duration_s", "num_gpu")
REFERENCE = "B"
"""The config on whose devices Alibaba's durations are assumed to have been measured."""


@dataclass(frozen=True, slots=True)
class TaskType:
    """Tasks that are the same work. spec: the same object for all of them, so that it is described once."""

    preset: str
    steps: int
    spec: TaskSpec
    has_gpu: bool


@dataclass(frozen=True, slots=True)
class ArrivalTrace:
    """Tasks in the order they arrive. arrival_s: (n,), from 0; type_of: (n,) indices into types.

    cpus: granted to a task, by device.  burst: how many arrive together.  load: see `mixes.json`; arrivals are scaled
    to it once the cluster is known; None leaves them as they are.
    """

    name: str
    types: tuple[TaskType, ...]
    arrival_s: np.ndarray
    type_of: np.ndarray
    cpus: Mapping[Device, float]
    load: float | None = None

    def __len__(self) -> int:
        return len(self.arrival_s)

    def counts(self) -> np.ndarray:
        """(types,): tasks of each type."""
        return np.bincount(self.type_of, minlength=len(self.types))

    def scaled(self, tasks_per_s: float) -> ArrivalTrace:
        """The trace with arrivals at `load` times this mean rate; all at the start where the trace has no load."""
        last = float(self.arrival_s[-1]) if len(self) else 0.0
        if self.load is None or not last:
            return self
        factor = len(self) / (self.load * tasks_per_s) / last
        return ArrivalTrace(self.name, self.types, self.arrival_s * factor, self.type_of, self.cpus, self.load)


@cache
def mixes() -> dict[str, dict[str, Any]]:
    """The committed mixes by name, each whole."""
    text = resources.files("profiling").joinpath("data/mixes.json").read_text()
    given: dict[str, dict[str, Any]] = json.loads(text)["mixes"]
    return {name: {**given.get(mix.get("like", name), {}), **mix} for name, mix in given.items()}


def trace_of(
    name: str, tasks: int, *, seed: int = 0, load: float | None = None, burst: int | None = None
) -> ArrivalTrace:
    """The trace of a mix's name, or of a file (.parquet or .csv): with columns arrival_s, preset and steps, or with
    those of Alibaba's trace: arrival_s, duration_s and num_gpu.

    load, burst: replace the mix's. Raises OptionError on an unknown name, LogError on a file that is no trace.
    """
    if tasks < 1:
        raise OptionError(f"simulate: tasks={tasks} must be at least 1.")
    if name not in mixes():
        if not Path(name).is_file():
            raise OptionError(f"simulate: trace {name!r} is neither a file nor one of {sorted(mixes())}.")
        if not is_alibaba(Path(name)):
            return trace_of_file(Path(name), tasks)
    mix = {**mixes()[name if name in mixes() else ALIBABA]}
    mix |= {} if load is None else {"load": load}
    mix |= {} if burst is None else {"burst": burst}
    rng = np.random.default_rng(seed)
    if "arrivals" in mix:
        path = DATA / mix["arrivals"] if name in mixes() else Path(name)
        return alibaba(name if name in mixes() else path.stem, mix, tasks, rng, path)
    types, weights = types_of(mix)
    type_of = rng.choice(len(types), size=tasks, p=weights / weights.sum()).astype(np.int32)
    return ArrivalTrace(name, types, arrivals(tasks, mix, rng), type_of, mix["cpus"], mix["load"])


def types_of(mix: Mapping[str, Any]) -> tuple[tuple[TaskType, ...], np.ndarray]:
    """(types, their weights) of a mix."""
    types = tuple(task_type(name, steps) for name, (_, steps) in mix["presets"].items())
    return types, np.array([weight for weight, _ in mix["presets"].values()], dtype=float)


@cache
def task_type(preset: str, steps: int) -> TaskType:
    """A preset of `workloads` run for so many steps."""
    found = workloads.preset(preset)
    spec = preset_spec(preset)
    return TaskType(preset, steps, found.spec(steps) if spec is None else replace(spec, steps=steps), found.has_gpu)


def arrivals(tasks: int, mix: Mapping[str, Any], rng: np.random.Generator) -> np.ndarray:
    """Poisson arrivals of bursts, at a rate of one task a second; all at 0 where the mix has no load."""
    if mix["load"] is None:
        return np.zeros(tasks)
    burst = max(1, int(mix.get("burst", 1)))
    at = np.cumsum(rng.exponential(burst, size=-(-tasks // burst)))
    return np.repeat(at - at[0], burst)[:tasks]


def is_alibaba(path: Path) -> bool:
    """Whether a file has the columns of Alibaba's trace, and no presets."""
    types = {"preset": pa.string(), "arrival_s": pa.float64()}
    names = set(read_table_file(path, "trace", types, ()).column_names)
    return "preset" not in names and names >= set(ALIBABA_COLUMNS)


def alibaba(name: str, mix: Mapping[str, Any], tasks: int, rng: np.random.Generator, path: Path) -> ArrivalTrace:
    """Alibaba's tasks in their order, over again where more are asked for; a task's duration gives its steps.

    A task that asked for a GPU becomes one of the mix's that a GPU is worth; one that asked for none, one without a GPU
    implementation. Steps are those that last the duration on REFERENCE, to two digits.
    """
    if not path.is_file():
        raise OptionError(f"simulate: {path} is missing; set PLACEMENT_DATA to the folder that holds {path.name}.")
    types_read = dict.fromkeys(ALIBABA_COLUMNS, pa.float64())
    rows = read_table_file(path, "trace of Alibaba's", types_read, ALIBABA_COLUMNS).sort_by("arrival_s").to_pydict()
    arrival, duration, gpus = (np.array(rows[column], dtype=float) for column in ALIBABA_COLUMNS)
    if not len(arrival) or not (np.isfinite(arrival).all() and np.isfinite(duration).all() and np.isfinite(gpus).all()):
        raise LogError(f"simulate: {path} has no rows, or arrivals, durations or GPUs that are no numbers.")
    duration = np.minimum(duration, np.quantile(duration, LONGEST_QUANTILE))
    types, index = alibaba_types(mix, duration, gpus > 0, rng)
    period = float(arrival[-1] - arrival[0]) * (1 + 1 / len(arrival))
    rounds = np.arange(tasks) // len(arrival)
    position = np.arange(tasks) % len(arrival)
    at = arrival[position] - arrival[0] + rounds * period
    return ArrivalTrace(name, types, at.astype(float), index[position], mix["cpus"], mix["load"])


def alibaba_types(
    mix: Mapping[str, Any], duration: np.ndarray, on_gpu: np.ndarray, rng: np.random.Generator
) -> tuple[tuple[TaskType, ...], np.ndarray]:
    """(types, (n,) the type of each task)."""
    from placement.spec.node import paper_configs
    from profiling.emulation.emulator import emulate

    node = paper_configs()[REFERENCE]
    names: dict[bool, list[str]] = {True: [], False: []}
    for preset in mix["presets"]:
        names[workloads.preset(preset).has_gpu].append(preset)
    step_s = {}
    for preset in mix["presets"]:
        device: Device = "gpu" if workloads.preset(preset).has_gpu else "cpu"
        step_s[preset] = emulate(task_type(preset, 1).spec, node, device, cpus=mix["cpus"][device]).seconds or 1.0
    drawn = rng.random(len(duration))
    found: dict[TaskType, int] = {}
    index = np.empty(len(duration), dtype=np.int32)
    for i, (seconds, gpu, u) in enumerate(zip(duration.tolist(), on_gpu.tolist(), drawn.tolist(), strict=True)):
        some = names[gpu]
        preset = some[int(u * len(some))]
        steps = max(1, int(float(f"{seconds / step_s[preset]:.1e}")))
        index[i] = found.setdefault(task_type(preset, steps), len(found))
    return tuple(found), index


def trace_of_file(path: Path, tasks: int) -> ArrivalTrace:
    """The first `tasks` rows of a file with columns arrival_s (s), preset (a name of `workloads`) and steps."""
    types = {"arrival_s": pa.float64(), "preset": pa.string(), "steps": pa.int64()}
    table = read_table_file(path, "trace", types, ("arrival_s", "preset"))
    rows = table.sort_by("arrival_s").slice(0, tasks).to_pydict()
    if not rows["preset"]:
        raise LogError(f"simulate: {path} has no rows.")
    try:
        arrival = np.array(rows["arrival_s"], dtype=float)
        steps = [int(n) for n in rows.get("steps", [1] * len(arrival))]
        each = [task_type(preset, n) for preset, n in zip(rows["preset"], steps, strict=True)]
    except (TypeError, ValueError) as error:  # an unknown preset, a step that is no number
        raise LogError(f"simulate: {path}: {error}") from None
    if not np.isfinite(arrival).all():
        raise LogError(f"simulate: {path} has arrivals that are no numbers.")
    index: dict[TaskType, int] = {}
    type_of = np.array([index.setdefault(one, len(index)) for one in each], dtype=np.int32)
    return ArrivalTrace(path.stem, tuple(index), arrival - arrival[0], type_of, {"cpu": 1.0, "gpu": 1.0})
