"""The history as rows of the log tell it: for a placement actor that has restarted and remembers nothing.

What `History.observe_all` and `mark_unfit` would hold had they been called with each row, worked out over arrays. A row
that cannot be a run (no place, a time or size that is none, of a sweep) is left out.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from placement.log.tail import Texts
from placement.prediction.runtime_history import LARGEST_KEYS, SIZES_PER_DOUBLING, Key, Place, RunHistory
from placement.prediction.timings import DRIFT_SAMPLES, LARGEST_STEP, Timings

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]
    Integers = NDArray[np.int64]
    Flags = NDArray[np.bool_]

SIZE = ("flops", "input_bytes", "batch_size", "parameters", "steps")
"""The columns of a task's size, in the order of `size_of`."""
TEXTS = ("function", "function_key", "config", "device", "source", "policy", "fallback", "error", "time_provenance")
NUMBERS = (
    *SIZE, "cpus", "emulated", "cold", "startup_s", "transfer_s", "compute_s", "cpu_joules", "gpu_joules",
    "energy_error", "peak_memory_bytes", "gpus", "gpu_utilisation", "neighbours",
)  # fmt: skip
COLUMNS = TEXTS + NUMBERS
LARGEST_SIZE = 2.0**120
"""Of no quantity of a task; its step needs no more than BITS."""
BITS = 10
SHORTEST_S = 1e-9

Node = tuple[str, bool]
"""A config, and whether its nodes are emulated."""


@dataclass(slots=True)
class Entry:
    """The runs under one key, by the nodes that they were on. The last seen are last in their order."""

    key: Key
    nodes: dict[Node, RunHistory] = field(default_factory=dict)


class RowArrays:
    """Rows of the log as arrays. numbers: NaN for null.  blames: false of a fallback that is not the GPU's fault."""

    def __init__(
        self, numbers: Mapping[str, Floats], texts: Mapping[str, Texts], blames: Callable[[str], bool]
    ) -> None:
        self._numbers = numbers
        self._texts = texts
        self.emulated = numbers["emulated"] == 1.0
        self.gpu = self._is("device", lambda device: device == "gpu")
        self.fell_back = self._is("fallback", lambda _: True)
        placed = self._runs()
        self.timed = placed & ~self.fell_back & (self._texts["error"].codes < 0) & self._warm()
        self.unfit = placed & ~self.emulated & self._is("fallback", blames)
        self.function = self._functions()
        self.size = self._sizes()
        self.seconds = np.nan_to_num(numbers["transfer_s"]) + numbers["compute_s"]

    def _is(self, name: str, test: Callable[[str], bool]) -> Flags:
        """The rows whose text passes a test; null does not."""
        codes, values = self._texts[name]
        passed = np.array([*(bool(test(value)) for value in values), False])
        found: Flags = passed[codes]
        return found

    def _runs(self) -> Flags:
        """Rows of placed tasks, at a place and of a size that can be."""
        found = self._is("source", lambda source: source == "production") & self._is("policy", bool)
        found &= self._is("config", bool) & self._is("device", lambda device: device in ("cpu", "gpu"))
        found &= np.isfinite(self._numbers["cpus"]) & (self._numbers["cpus"] >= 0)
        found &= ~np.isnan(self._numbers["emulated"])
        for name in SIZE:
            quantity = self._numbers[name]
            found &= np.isnan(quantity) | ((quantity >= 0) & (quantity < LARGEST_SIZE))
        return found

    def _warm(self) -> Flags:
        """Rows of warm runs. Before schema version 2 a run in which CUDA started is known to be cold, and no other."""
        seconds, cold, startup = (self._numbers[name] for name in ("compute_s", "cold", "startup_s"))
        labelled = self._is("time_provenance", lambda p: p == "emulated") == self.emulated
        warm = np.where(np.isnan(cold), self.emulated | ~np.isnan(startup), cold == 0.0) | self.emulated
        transfer = np.nan_to_num(self._numbers["transfer_s"])
        return labelled & warm & np.isfinite(seconds) & (seconds >= 0) & np.isfinite(transfer) & (transfer >= 0)

    def _functions(self) -> Texts:
        """The function by name and code, by name alone where that is all that is known."""
        keys, names = self._texts["function_key"], self._texts["function"]
        position = {value: i for i, value in enumerate(dict.fromkeys((*keys.values, *names.values)))}
        by_key, by_name = (
            np.array([*(position[value] for value in column.values), -1])[column.codes] for column in (keys, names)
        )
        return Texts(np.where(by_key < 0, by_name, by_key), list(position))

    def _sizes(self) -> Integers:
        """A number for each size: the steps of its quantities, 0 for an unknown one."""
        size = np.zeros(len(self.gpu), np.int64)
        for name in SIZE:
            quantity = self._numbers[name]
            known = (quantity >= 0) & (quantity < LARGEST_SIZE)
            steps = np.rint(SIZES_PER_DOUBLING * np.log2(np.where(known, quantity, 0.0) + 1.0)).astype(np.int64)
            size = (size << BITS) | np.where(known, steps + 1, 0)
        return size

    def places(self) -> tuple[Integers, list[Place], Integers]:
        """The place of each row: its number, the places, and the number of the nodes that each is on, times two, and
        one more where they are emulated."""
        cpus, cpu_codes = _numbered(self._numbers["cpus"])
        config = self._texts["config"]
        code = ((config.codes * 2 + self.emulated) * 2 + self.gpu) * len(cpus) + cpu_codes
        kinds, number = _numbered(code)
        node, rest = np.divmod(kinds, 2 * len(cpus))
        places = [
            Place(
                config.values[n // 2] if n >= 0 else "", "gpu" if r >= len(cpus) else "cpu", float(cpus[r % len(cpus)])
            )
            for n, r in zip(node.tolist(), rest.tolist(), strict=True)
        ]
        return number, places, node

    def joules(self) -> tuple[Floats, Floats]:
        """The energy of each run by Eq. 2, NaN where it is not known, and its relative error."""
        cpu, gpu, error = (self._numbers[name] for name in ("cpu_joules", "gpu_joules", "energy_error"))
        joules = np.where(self.gpu, cpu + gpu, cpu)
        known = (joules > 0) & np.isfinite(joules) & ~((error < 0) | np.isinf(error))
        return np.where(known, joules, np.nan), np.nan_to_num(error)

    def memory(self) -> Floats:
        """The most device memory that each run held, bytes; 0 where it is not known."""
        memory = self._numbers["peak_memory_bytes"]
        measured = self.gpu & ~self.emulated & (memory > 0) & np.isfinite(memory)
        return np.where(measured, memory, 0.0)

    def utilisation(self) -> Floats:
        """Busy share of the GPU of each run that was alone there; 0 where it is not known. Emulated ones always are."""
        busy, neighbours = self._numbers["gpu_utilisation"], np.nan_to_num(self._numbers["neighbours"])
        known = self.gpu & (busy > 0) & np.isfinite(busy) & (self.emulated | (neighbours == 0))
        return np.where(known, busy, 0.0)

    def crowded(self, row: int) -> float | None:
        """The share of a GPU that a run had beside neighbours; None where it had none."""
        share = float(self._numbers["gpus"][row])
        return share if share < 1 and self._numbers["neighbours"][row] > 0 else None

    def why(self, row: int) -> str:
        """The reason for which a run fell back."""
        codes, values = self._texts["fallback"]
        return values[codes[row]]


def _numbered(values: NDArray[Any]) -> tuple[NDArray[Any], Integers]:
    """The distinct values, sorted, and the number of each value among them. Faster than np.unique's own inverse."""
    distinct = np.unique(values)
    return distinct, np.searchsorted(distinct, values)


def size_of_number(number: int) -> tuple[int | None, ...]:
    """The size that `RowArrays` gives a number."""
    steps = [(number >> BITS * (len(SIZE) - 1 - i)) & ((1 << BITS) - 1) for i in range(len(SIZE))]
    return tuple(step - 1 if step else None for step in steps)


def entries_of(rows: RowArrays, largest: int = LARGEST_KEYS) -> list[Entry]:
    """The `largest` keys seen last, in the order in which they were, with their runs."""
    at = np.flatnonzero(rows.timed | rows.unfit)
    if not len(at):
        return []
    sizes, size = _numbered(rows.size[at])
    pairs, key = _numbered(rows.function.codes[at] * len(sizes) + size)
    last = np.zeros(len(pairs), np.int64)
    last[key] = np.arange(len(at))  # of equal positions the last holds
    newest = np.argsort(last)[-largest:]
    entries = np.full(len(pairs), -1)
    entries[newest] = np.arange(len(newest))
    found = [
        Entry((rows.function.values[function], size_of_number(int(sizes[n]))))
        for function, n in (divmod(int(pair), len(sizes)) for pair in pairs[newest])
    ]
    entry = entries[key]
    number, places, node = rows.places()
    _add_timings(found, rows, at, entry, number, places, node)
    _add_unfit(found, rows, at, entry, number, places, node)
    return found


def _add_unfit(
    found: list[Entry], rows: RowArrays, at: Integers, entry: Integers, number: Integers, places: list[Place],
    node: Integers,
) -> None:  # fmt: skip
    chosen = rows.unfit[at] & (entry >= 0)
    for row, one in zip(at[chosen].tolist(), entry[chosen].tolist(), strict=True):
        place = places[number[row]]
        here = found[one].nodes.setdefault((place.config, bool(node[number[row]] % 2)), RunHistory({}, {}, {}))
        share = rows.crowded(row)
        if share is None:
            here.unfit[place.config] = rows.why(row)
        else:
            here.crowded[place.config] = max(share, here.crowded.get(place.config, 0.0))


def _add_timings(
    found: list[Entry], rows: RowArrays, at: Integers, entry: Integers, number: Integers, places: list[Place],
    node: Integers,
) -> None:  # fmt: skip
    chosen = rows.timed[at] & (entry >= 0)
    at, entry = at[chosen], entry[chosen]
    group = entry * len(places) + number[at]
    order = np.argsort(group, kind="stable")
    at, group = at[order], group[order]
    joules, errors = rows.joules()
    runs = Samples(group, rows.seconds[at], joules[at], errors[at], rows.memory()[at], rows.utilisation()[at])
    nodes: list[Node] = [(place.config, bool(n % 2)) for place, n in zip(places, node.tolist(), strict=True)]
    for one, timings in zip(group[runs.first].tolist(), runs.timings(), strict=True):
        which, where = divmod(one, len(places))
        here = found[which].nodes
        if nodes[where] not in here:
            here[nodes[where]] = RunHistory({}, {}, {})
        here[nodes[where]].timings[places[where]] = timings


class Samples:
    """Runs by group (a key at a place), in the order in which they were. The first of a group is set aside as cold."""

    def __init__(
        self, group: Integers, seconds: Floats, joules: Floats, errors: Floats, memory: Floats, busy: Floats
    ) -> None:
        self.seconds, self.joules, self.errors, self.memory, self.busy = seconds, joules, errors, memory, busy
        self.first: Integers = np.flatnonzero(np.r_[True, group[1:] != group[:-1]][: len(group)])
        self.end = np.r_[self.first[1:], len(group)]
        self.logs = np.log(np.maximum(seconds, SHORTEST_S))
        self.warm = np.ones(len(group), bool)
        self.warm[self.first] = False

    def _sums(self, values: Floats) -> Floats:
        """The sum of each group's warm runs."""
        sums: Floats = np.add.reduceat(np.where(self.warm, values, 0.0), self.first)
        return sums

    def _strays(self, runs: Integers) -> Flags:
        """Runs off by more than half from the mean of those before them in their group."""
        each = np.repeat(np.arange(len(runs)), self.end - self.first)
        total = np.cumsum(np.where(self.warm, self.logs, 0.0))
        before = np.r_[0.0, total][:-1] - (np.r_[0.0, total])[self.first][each]
        number = np.arange(len(each)) - self.first[each] - 1
        found: Flags = self.warm & (number > 0) & (np.abs(self.logs - before / np.maximum(number, 1)) > LARGEST_STEP)
        return found

    def timings(self) -> list[Timings]:
        """The timings of each group, as `Timings.add` comes to them one by one."""
        if not len(self.first):
            return []
        runs = self.end - self.first - 1
        mean = self._sums(self.logs) / np.maximum(runs, 1)
        deviations = (self.logs - np.repeat(mean, self.end - self.first)) ** 2
        variance = np.where(runs > 1, self._sums(deviations) / np.maximum(runs - 1, 1), 0.0)
        known = ~np.isnan(self.joules)
        joules_runs = self._sums(known.astype(float)).astype(np.int64)
        joules = self._sums(np.where(known, self.joules, 0.0)) / np.maximum(joules_runs, 1)
        errors = np.maximum.reduceat(np.where(known & self.warm, self.errors, 0.0), self.first)
        memory, busy = (np.maximum.reduceat(values, self.first) for values in (self.memory, self.busy))
        strays = self._strays(runs)
        in_a_row = strays.copy()  # a group's first run is none, so that no row of them goes on from group to group
        last = in_a_row[self.end - 1].astype(np.int64)
        for back in range(1, DRIFT_SAMPLES):
            in_a_row[back:] &= strays[:-back]
            last += in_a_row[self.end - 1]
        drifts = np.logical_or.reduceat(in_a_row, self.first)
        columns = (runs, mean, variance, joules, joules_runs, errors, memory, busy, drifts, last)
        return [
            self._one_by_one(i) if drift else Timings(n, m, v, j if k else None, s, True, k, e, b or None, u or None)
            for i, (n, m, v, j, k, e, b, u, drift, s) in enumerate(zip(*(c.tolist() for c in columns), strict=True))
        ]

    def _one_by_one(self, group: int) -> Timings:
        timings = Timings()
        run = slice(self.first[group], self.end[group])
        columns = (self.seconds, self.joules, self.errors)
        for seconds, joules, error in zip(*(column[run].tolist() for column in columns), strict=True):
            timings = timings.add(seconds, None if math.isnan(joules) else joules, error)
        memory, busy = (float(values[run].max()) or None for values in (self.memory, self.busy))
        return timings._replace(memory_bytes=memory, utilisation=busy)
