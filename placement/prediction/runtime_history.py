"""History: the timed runs of each function and size on each kind of node, in bounded memory."""

from __future__ import annotations

import math
from collections import OrderedDict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import NamedTuple

from placement.prediction.code_versions import CodeVersions
from placement.prediction.code_versions import Key as Key
from placement.prediction.code_versions import Size as Size
from placement.prediction.timings import Timings
from placement.spec.task import Device, TaskSpec

LARGEST_KEYS = 10_000  # (function, size) keys kept, the least recently seen dropped first
SIZES_PER_DOUBLING = 8  # two tasks within 9 % of each other in a quantity count as one size
COLD_START_RUNS = 3  # warm CPU runs before a GPU is tried for a task of which nothing is known


class Sample(NamedTuple):
    """One run: its warm seconds, its joules and their relative error (0.5 is +-50 %), the most device memory it held.

    utilisation: busy share of its GPU, 0-1, where it was alone there; None = not known.
    """

    seconds: float
    joules: float | None = None
    joules_error: float = 0.0
    memory_bytes: float | None = None
    utilisation: float | None = None


class Place(NamedTuple):
    """The place of a timing: a device of a config, with CPUs granted."""

    config: str
    device: Device
    cpus: float


def size_of(task: TaskSpec) -> Size:
    """Key of a task's size: each quantity's logarithm in steps of 9 %; None where it is unknown."""
    quantities = (task.flops, task.input_bytes, task.batch_size, task.parameters, task.steps)
    return tuple(None if q is None else round(SIZES_PER_DOUBLING * math.log2(q + 1)) for q in quantities)


@dataclass(frozen=True, slots=True)
class RunHistory:
    """Past runs of one function and size: timings by place, and the configs on whose GPU it did not fit or failed."""

    timings: Mapping[Place, Timings] = field(default_factory=dict)
    unfit: Mapping[str, str] = field(default_factory=dict)
    """config -> why the GPU is not tried there again ("cuda_out_of_memory", ...)."""
    crowded: Mapping[str, float] = field(default_factory=dict)
    """config -> the largest share of its GPU at which memory ran out beside neighbours; the next time it gets more."""

    def at(self, config: str, device: Device, cpus: float) -> Timings:
        """The timings at a place; those of another number of CPUs do not count."""
        return self.timings.get(Place(config, device, cpus), Timings())

    @property
    def gpu_memory_bytes(self) -> float | None:
        """Most device memory that a run on a GPU held; None where none told."""
        return max((t.memory_bytes for t in self.timings.values() if t.memory_bytes is not None), default=None)

    def gpu_utilisation(self, config: str) -> float | None:
        """Busy share of a config's GPU in runs that were alone there, 0-1; None where none told."""
        told = (t.utilisation for place, t in self.timings.items() if place.config == config)
        return max((u for u in told if u is not None), default=None)

    def following(self, earlier: RunHistory) -> RunHistory:
        """These runs, and at places without one those of the function's earlier code, their spread widened.

        A GPU on which the earlier code failed is tried again: the change may be what was needed.
        """
        begun = {place: timings.widened() for place, timings in earlier.timings.items() if timings.runs}
        own = {place: timings for place, timings in self.timings.items() if timings.runs or place not in begun}
        return replace(self, timings={**begun, **own})

    def warm_runs(self, device: Device) -> int:
        """Warm runs on that device on any kind of node."""
        return sum(t.runs for place, t in self.timings.items() if place.device == device)


UNKNOWN = RunHistory()
"""Of which it was not worked out what is known."""


class History:
    """The bounded memory of timings. Owned by the control plane; callers hold copies of what changed.

    growth: an entry is told again once its runs are more by this share than when it was told last (0.1: by a tenth), or
    something other than one more run has happened to it. One more of a thousand runs changes no decision.

    """

    def __init__(self, largest: int = LARGEST_KEYS, growth: float = 0.0) -> None:
        self._seen: OrderedDict[Key, RunHistory] = OrderedDict()
        self._largest = largest
        self._growth = growth
        self._told: dict[Key, RunHistory] = {}
        self._changed: dict[Key, None] = {}  # in the order seen, so that a copy drops the same keys
        self._versions = CodeVersions()
        self._decided_by: dict[Key, RunHistory | None] = {}

    def __len__(self) -> int:
        return len(self._seen)

    def __iter__(self) -> Iterator[Key]:
        return iter(self._seen)

    def get(self, key: Key) -> RunHistory | None:
        """The runs kept under a key; None where there are none."""
        return self._seen.get(key)

    def known(self, key: Key) -> RunHistory | None:
        """The runs to decide by: those kept under a key, completed by those of the function's earlier code.

        The same object while neither changes; None where there are none.
        """
        decided_by = self._decided_by  # another thread may put a new one in its place
        found = decided_by.get(key, UNKNOWN)  # one look-up: the hash of a key takes longest
        if found is not UNKNOWN:
            return found
        own, earlier = self._seen.get(key), self._versions.before(key)
        before = earlier and self._seen.get(earlier)
        found = own if before is None else (own or RunHistory()).following(before)
        if len(decided_by) >= self._largest:
            decided_by.clear()
        decided_by[key] = found
        return found

    def mark_current(self, function: str) -> None:
        """This process calls the function: its code is not an earlier version of another's that it calls."""
        if self._versions.mark_current(function):
            self._decided_by = {}

    def observe(
        self, key: Key, place: Place, seconds: float, joules: float | None = None, joules_error: float = 0.0,
        memory_bytes: float | None = None, utilisation: float | None = None,
    ) -> None:  # fmt: skip
        """Adds one run, as observe_all does."""
        self.observe_all(key, place, [Sample(seconds, joules, joules_error, memory_bytes, utilisation)])

    def observe_all(self, key: Key, place: Place, samples: Iterable[Sample]) -> None:
        """Adds runs in the order in which they were.

        What is no time (negative, NaN, infinite) is left out, and so are joules that are no energy: one such row would
        spoil the entry for good.
        """
        seen = self._seen.get(key, RunHistory())
        timings = before = seen.timings.get(place, Timings())
        for seconds, joules, joules_error, memory_bytes, utilisation in samples:
            if not 0 <= seconds < math.inf:
                continue
            if joules is not None and not 0 < joules < math.inf:
                joules = None
            timings = timings.add(seconds, joules, joules_error)
            if memory_bytes is not None and memory_bytes > (timings.memory_bytes or 0.0):
                timings = timings._replace(memory_bytes=memory_bytes)
            if utilisation is not None and utilisation > (timings.utilisation or 0.0):
                timings = timings._replace(utilisation=utilisation)
        if timings is not before:
            self._put(key, replace(seen, timings={**seen.timings, place: timings}))

    def mark_unfit(self, key: Key, config: str, why: str, share: float = 1.0) -> None:
        """The GPU of a config could not take it: never again there, unless it had a share of it beside neighbours."""
        seen = self._seen.get(key, RunHistory())
        if share >= 1.0:
            self._put(key, replace(seen, unfit={**seen.unfit, config: why}))
        elif share > seen.crowded.get(config, 0.0):
            self._put(key, replace(seen, crowded={**seen.crowded, config: share}))

    def shift(self, key: Key, place: Place, log_factor: float) -> None:
        """Takes the runs at a place, which has drifted, for what they would be now; see `Timings.shifted`."""
        seen = self._seen.get(key)
        timings = seen and seen.timings.get(place)
        if seen and timings and timings.runs:
            self._put(key, replace(seen, timings={**seen.timings, place: timings.shifted(log_factor)}))

    def restore(self, key: Key, runs: RunHistory) -> None:
        """Adds runs of before a restart; at a place that has as many since, those since stand."""
        now = self._seen.get(key, RunHistory())
        more = {place: one for place, one in runs.timings.items() if one.runs >= now.timings.get(place, Timings()).runs}
        crowded = {c: max(runs.crowded.get(c, 0.0), now.crowded.get(c, 0.0)) for c in {**runs.crowded, **now.crowded}}
        self._put(key, RunHistory({**now.timings, **more}, {**runs.unfit, **now.unfit}, crowded))

    def changes(self) -> dict[Key, RunHistory]:
        """Entries changed since the last call, oldest first; without dropped keys, for callers keep their own bound."""
        changed = {key: self._seen[key] for key in self._changed if key in self._seen}
        self._changed.clear()
        if self._growth:
            self._told |= changed
        return changed

    def update(self, changes: Mapping[Key, RunHistory]) -> None:
        """Takes over what changed elsewhere."""
        for key, seen in changes.items():
            self._put(key, seen)

    def everything(self) -> dict[Key, RunHistory]:
        """All entries, for a new caller."""
        return dict(self._seen)

    def _put(self, key: Key, seen: RunHistory) -> None:
        self._seen[key] = seen
        self._seen.move_to_end(key)
        self._versions.add(key)
        if key in self._changed or self._is_news(key, seen):
            self._changed.pop(key, None)
            self._changed[key] = None
        while len(self._seen) > self._largest:
            dropped, _ = self._seen.popitem(last=False)
            self._changed.pop(dropped, None)
            self._told.pop(dropped, None)
            self._versions.remove(dropped)
        self._decided_by = {}

    def _is_news(self, key: Key, seen: RunHistory) -> bool:
        told = self._told.get(key)
        if told is None or told.unfit != seen.unfit or told.crowded != seen.crowded:
            return True
        if told.gpu_memory_bytes != seen.gpu_memory_bytes:
            return True
        return any(
            place not in told.timings or not 0 <= now.runs - told.timings[place].runs <= self._growth * now.runs
            for place, now in seen.timings.items()
        )
