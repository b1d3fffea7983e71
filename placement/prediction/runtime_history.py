"""Timings seen so far, by function, size and kind of node. With the selector as prior they give the posterior."""

from __future__ import annotations

import math
from collections import OrderedDict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from statistics import NormalDist
from typing import NamedTuple

from placement.prediction.code_versions import CodeVersions
from placement.prediction.code_versions import Key as Key
from placement.prediction.code_versions import Size as Size
from placement.prediction.estimate import LONGEST_LOG, Estimate, Spread, probability_worth
from placement.spec.joint_threshold import JointThreshold
from placement.spec.task import Device, TaskSpec

LARGEST_KEYS = 10_000  # (function, size) keys kept, the least recently seen dropped first
SIZES_PER_DOUBLING = 8  # two tasks within 9 % of each other in a quantity count as one size
SMALLEST_STD = 0.05  # of log seconds: what two runs of the same work differ by on a quiet machine
PRIOR_STD = 1.0  # of log speed-up, for a selector that gives a probability alone: wide enough that 5 runs on each
# device put a wrong prior right (99 % of cases farther than 10 % from T_t, at up to 20 % of noise; 0.7 gave 98.9 %)
DRIFT = 0.5  # StarPU's rule: a sample off by more than half contradicts the model
LARGEST_STEP = math.log(1 + DRIFT)
DRIFT_SAMPLES = 3  # as many in a row, and the entry starts anew
EARLIER_CODE_STD = 0.5  # of log seconds: a change of the code makes it 1.6 times as fast or slow, as likely as not
COLD_START_RUNS = 3  # warm CPU runs before a GPU is tried for a task of which nothing is known

Sample = tuple[float, float | None, float, float | None]
"""One run: its warm seconds, its joules and their relative error (0.5 is +-50 %), the most device memory it held."""


class Place(NamedTuple):
    """The place of a timing: a device of a config, with CPUs granted."""

    config: str
    device: Device
    cpus: float


def size_of(task: TaskSpec) -> Size:
    """Key of a task's size: each quantity's logarithm in steps of 9 %; None where it is unknown."""
    quantities = (task.flops, task.input_bytes, task.batch_size, task.parameters, task.steps)
    return tuple(None if q is None else round(SIZES_PER_DOUBLING * math.log2(q + 1)) for q in quantities)


class Timings(NamedTuple):
    """Warm runs of one size at one place, as log seconds. runs: how many; the first, cold one is not among them.

    mean, variance: of log seconds (sample variance, 0.0 for one run).  joules: mean of the `joules_runs` measured
    ones.  joules_error: the largest relative error told with them (0.5 is +-50 %).
    strays: runs in a row that were off by more than half.  cold: a first run was seen and set aside.
    memory_bytes: most device memory that a run held; None where it was not told.
    """

    runs: int = 0
    mean: float = 0.0
    variance: float = 0.0
    joules: float | None = None
    strays: int = 0
    cold: bool = False
    joules_runs: int = 0
    joules_error: float = 0.0
    memory_bytes: float | None = None

    def add(self, seconds: float, joules: float | None = None, joules_error: float = 0.0) -> Timings:
        """The timings with one more run; the very first is set aside as cold; drift starts the entry anew."""
        if not self.cold:
            return self._replace(cold=True)
        x = math.log(max(seconds, 1e-9))
        stray = self.runs > 0 and abs(x - self.mean) > LARGEST_STEP
        if stray and self.strays + 1 >= DRIFT_SAMPLES:
            return Timings(cold=True, memory_bytes=self.memory_bytes).add(seconds, joules, joules_error)
        runs = self.runs + 1
        mean = self.mean + (x - self.mean) / runs
        variance = 0.0 if runs == 1 else (self.variance * (runs - 2) + (x - self.mean) * (x - mean)) / (runs - 1)
        known, mean_joules, error = self.joules_runs, self.joules, self.joules_error
        if joules is not None:
            known, error = known + 1, max(error, joules_error)
            mean_joules = joules if mean_joules is None else mean_joules + (joules - mean_joules) / known
        strays = self.strays + 1 if stray else 0
        return Timings(runs, mean, variance, mean_joules, strays, True, known, error, self.memory_bytes)

    def widened(self) -> Timings:
        """The timings as those of earlier code: one run, off by EARLIER_CODE_STD or more."""
        error = max(self.joules_error, math.expm1(EARLIER_CODE_STD))
        variance = max(self.variance, EARLIER_CODE_STD**2)
        return self._replace(
            runs=min(self.runs, 1),
            variance=variance,
            strays=0,
            joules_runs=min(self.joules_runs, 1),
            joules_error=error,
        )

    @property
    def spread(self) -> Spread:
        """Belief about the mean log seconds; few runs leave it wide."""
        return Spread(self.mean, math.sqrt(max(self.variance, SMALLEST_STD**2) / max(self.runs, 1)))

    @property
    def seconds(self) -> float | None:
        """Typical warm seconds (the geometric mean); None before the first warm run."""
        return math.exp(self.mean) if self.runs else None


@dataclass(frozen=True, slots=True)
class RunHistory:
    """Past runs of one function and size: timings by place, and the configs on whose GPU it did not fit or failed."""

    timings: Mapping[Place, Timings] = field(default_factory=dict)
    unfit: Mapping[str, str] = field(default_factory=dict)
    """config -> why the GPU is not tried there again ("cuda_out_of_memory", ...)."""

    def at(self, config: str, device: Device, cpus: float) -> Timings:
        """The timings at a place; those of another number of CPUs do not count."""
        return self.timings.get(Place(config, device, cpus), Timings())

    @property
    def gpu_memory_bytes(self) -> float | None:
        """Most device memory that a run on a GPU held; None where none told."""
        return max((t.memory_bytes for t in self.timings.values() if t.memory_bytes is not None), default=None)

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
        memory_bytes: float | None = None,
    ) -> None:  # fmt: skip
        """Adds one run, as observe_all does."""
        self.observe_all(key, place, [(seconds, joules, joules_error, memory_bytes)])

    def observe_all(self, key: Key, place: Place, samples: Iterable[Sample]) -> None:
        """Adds runs in the order in which they were.

        What is no time (negative, NaN, infinite) is left out, and so are joules that are no energy: one such row would
        spoil the entry for good.
        """
        seen = self._seen.get(key, RunHistory())
        timings = before = seen.timings.get(place, Timings())
        for seconds, joules, joules_error, memory_bytes in samples:
            if not 0 <= seconds < math.inf:
                continue
            if joules is not None and not 0 < joules < math.inf:
                joules = None
            timings = timings.add(seconds, joules, joules_error)
            if memory_bytes is not None and memory_bytes > (timings.memory_bytes or 0.0):
                timings = timings._replace(memory_bytes=memory_bytes)
        if timings is not before:
            self._put(key, replace(seen, timings={**seen.timings, place: timings}))

    def mark_unfit(self, key: Key, config: str, why: str) -> None:
        """Remembers that the GPU of a config could not take a task of this size."""
        seen = self._seen.get(key, RunHistory())
        self._put(key, replace(seen, unfit={**seen.unfit, config: why}))

    def restore(self, key: Key, runs: RunHistory) -> None:
        """Adds runs of before a restart; at a place that has as many since, those since stand."""
        now = self._seen.get(key, RunHistory())
        more = {place: one for place, one in runs.timings.items() if one.runs >= now.timings.get(place, Timings()).runs}
        self._put(key, RunHistory({**now.timings, **more}, {**runs.unfit, **now.unfit}))

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
        if told is None or told.unfit != seen.unfit or told.gpu_memory_bytes != seen.gpu_memory_bytes:
            return True
        return any(
            place not in told.timings or not 0 <= now.runs - told.timings[place].runs <= self._growth * now.runs
            for place, now in seen.timings.items()
        )


def posterior(prior: Estimate | None, cpu: Timings, gpu: Timings, thresholds: JointThreshold) -> Estimate | None:
    """The prior sharpened by runs seen on both devices: two normal beliefs about log speed-up, multiplied.

    Runs on one device alone say nothing of the ratio, so they leave P(GPU) as it was; their seconds are told, and the
    other device's by as much as the prior was off.
    """
    if not (cpu.runs and gpu.runs):
        told = corrected(prior, log_slowdown([(prior, cpu, gpu)]))
        return told and replace(
            told, cpu_seconds=cpu.seconds or told.cpu_seconds, gpu_seconds=gpu.seconds or told.gpu_seconds
        )
    a, b = cpu.spread, gpu.spread
    speedup = combined(prior_spread(prior, thresholds), Spread(a.mean - b.mean, math.hypot(a.std, b.std)))
    energy, errors = prior.energy_ratio if prior else None, math.inf  # a prior's energy must be clear to decide
    if cpu.joules and gpu.joules:
        # A joule estimated from TDP is off by half: that energy must be clear to decide, too.
        errors = math.hypot(SMALLEST_STD, math.log1p(cpu.joules_error), math.log1p(gpu.joules_error))
        energy = Spread(math.log(gpu.joules / cpu.joules), errors)
    p_gpu, decides = probability_worth(speedup, energy, errors, thresholds)
    return Estimate(
        p_gpu, speedup, energy, cpu.seconds, gpu.seconds, cpu.joules, gpu.joules,
        source="history", energy_decides=decides or energy is None,
    )  # fmt: skip


def log_slowdown(told: Iterable[tuple[Estimate | None, Timings, Timings]]) -> float:
    """Log of the factor by which runs took longer than estimated, over all that were timed; 0 where none was.

    told: an estimate, and what was timed of it on the CPU and on the GPU.
    """
    logs = [
        timed.mean - math.log(seconds)
        for estimate, cpu, gpu in told
        if estimate is not None
        for timed, seconds in ((cpu, estimate.cpu_seconds), (gpu, estimate.gpu_seconds))
        if timed.runs and seconds is not None and 0 < seconds < math.inf
    ]
    return min(max(sum(logs) / len(logs), -LONGEST_LOG), LONGEST_LOG) if logs else 0.0


def corrected(estimate: Estimate | None, log_factor: float) -> Estimate | None:
    """The estimate with its seconds so many times as long."""
    if estimate is None or not log_factor:
        return estimate
    cpu, gpu = (s and s * math.exp(log_factor) for s in (estimate.cpu_seconds, estimate.gpu_seconds))
    return replace(estimate, cpu_seconds=cpu, gpu_seconds=gpu)


def prior_spread(prior: Estimate | None, thresholds: JointThreshold) -> Spread | None:
    """The prior's belief about log speed-up; that of a bare probability is the normal with the same P(GPU)."""
    if prior is None or prior.speedup is not None:
        return prior.speedup if prior else None
    p = min(max(prior.p_gpu, 1e-6), 1 - 1e-6)
    return Spread(math.log(thresholds.speedup) + PRIOR_STD * NormalDist().inv_cdf(p), PRIOR_STD)


def combined(a: Spread | None, b: Spread) -> Spread:
    """The product of two normal beliefs, normalised."""
    if a is None or b.std == 0:
        return b
    if a.std == 0:
        return a
    wa, wb = a.std**-2, b.std**-2
    return Spread((a.mean * wa + b.mean * wb) / (wa + wb), (wa + wb) ** -0.5)
