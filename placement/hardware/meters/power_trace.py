"""A node's power trace, and the energy of what ran in it. Pure: no device, no clock, no files."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise

from placement.hardware.meters.channel import Channel
from placement.spec.task_record import PROVENANCES, Provenance

_LEAST_RATE = 1e-3
"""CPU seconds a second: a task that used less counts as this much, so that tasks which all used none share alike."""


@dataclass(frozen=True, slots=True)
class Series:
    """A channel's total (J or busy s) at rising times; None is a break: what came before and after is not joined."""

    channel: Channel
    times: tuple[float, ...]
    totals: tuple[float | None, ...]

    @classmethod
    def of(cls, channel: Channel, points: Iterable[tuple[float, float | None]]) -> Series:
        """The series of (time, total) points."""
        times, totals = zip(*points, strict=True) if (points := list(points)) else ((), ())
        return cls(channel, times, totals)


@dataclass(frozen=True, slots=True)
class PowerTrace:
    """The series of a node's sampler: the packages of its processor, its GPUs by UUID, and how busy they were.

    cpus: logical CPUs, for the utilisation.  unmeasured: "cpu" or a GPU's UUID -> why there is no reading.
    """

    packages: tuple[Series, ...] = ()
    gpus: Mapping[str, Series] = field(default_factory=dict)
    cpu_busy: Series | None = None
    gpu_busy: Mapping[str, Series] = field(default_factory=dict)
    cpus: int | None = None
    unmeasured: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class TaskWindow:
    """When a task ran (time.time() seconds), the CPU seconds it used, and the UUIDs of its GPUs."""

    start: float
    end: float
    cpu_seconds: float = 0.0
    gpus: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Energy:
    """The energy of a window. None = not measured, with the reason in `reasons`; never 0.

    valid: the CPU and every GPU of the window were measured.  provenance: the worst of the readings used.
    error: relative, of the joules together.
    """

    seconds: float
    cpu_joules: float | None = None
    gpu_joules: float | None = None
    cpu_utilisation: float | None = None
    gpu_utilisation: float | None = None
    provenance: Provenance | None = None
    error: float | None = None
    valid: bool = False
    reasons: tuple[str, ...] = ()

    @property
    def cpu_watts(self) -> float | None:
        """Average over the window."""
        return self.cpu_joules / self.seconds if self.cpu_joules is not None else None

    @property
    def gpu_watts(self) -> float | None:
        """Average over the window."""
        return self.gpu_joules / self.seconds if self.gpu_joules is not None else None


@dataclass(frozen=True, slots=True)
class _Amount:
    """A rise of a series within a window, or why it is not known."""

    value: float | None
    error: float | None = None
    reason: str = ""


def amount(series: Series, start: float, end: float) -> _Amount:
    """The rise of the series between two times, interpolated between its points.

    Not known where the window is shorter than the reading's resolution or than the points around its ends are apart,
    where the trace does not reach, has a break, or did not rise at all (a counter that stands still reads nothing).
    The error is the channel's, and up to half the reading at each end that had to be interpolated.
    """
    times, totals, length = series.times, series.totals, end - start
    if length < series.channel.resolution_s:
        return _Amount(None, reason=f"{series.channel.name}: window shorter than {series.channel.resolution_s:g} s")
    first, last = bisect_right(times, start) - 1, bisect_left(times, end)
    if first < 0 or last >= len(times):
        return _Amount(None, reason=f"{series.channel.name}: the trace does not cover the window")
    if None in totals[first : last + 1]:
        return _Amount(None, reason=f"{series.channel.name}: readings are missing within the window")
    at_start, at_end = _interval(times, first, start), _interval(times, last - 1, end)
    if (at_start + at_end) / 2 > length:
        return _Amount(None, reason=f"{series.channel.name}: window shorter than the time between readings")
    rise = _total(series, end) - _total(series, start)
    if rise <= 0:
        return _Amount(None, reason=f"{series.channel.name}: the reading did not move")
    return _Amount(rise, (series.channel.error or 0.0) + (at_start + at_end) / 2 / length)


def _interval(times: Sequence[float], index: int, at: float) -> float:
    """Seconds between the points around a time; 0 where it lies on one of them."""
    before, after = times[index], times[min(index + 1, len(times) - 1)]
    return 0.0 if at in (before, after) else after - before


def _total(series: Series, at: float) -> float:
    """The total at a time that the series covers, on the line between its two points."""
    times, totals = series.times, series.totals
    index = min(bisect_right(times, at) - 1, len(times) - 2) if len(times) > 1 else 0
    before, after = totals[index], totals[min(index + 1, len(totals) - 1)]
    if before is None or after is None:  # the time lies on the one that is known
        return float(before if before is not None else after or 0.0)
    span = times[index + 1] - times[index] if len(times) > 1 else 0.0
    return before + (after - before) * ((at - times[index]) / span if span else 0.0)


def window(trace: PowerTrace, start: float, end: float, gpus: Sequence[str] = ()) -> Energy:
    """All that the node's CPU and those GPUs (by UUID) took between two times, whoever used them."""
    return share(trace, [TaskWindow(start, end, 1.0, tuple(gpus))])[0]


def share(trace: PowerTrace, windows: Sequence[TaskWindow], *, count_others: bool = False) -> list[Energy]:
    """The energy of each of the tasks, in their order: at every moment the joules are split among those running.

    The processor's joules are split by CPU time (each task's spread evenly over its window), so that the sum over the
    tasks is what the processor took while any of them ran, and not a multiple. A GPU's are split equally.

    count_others: CPU time that none of the tasks claims has its share too, and is then nobody's: for when not all
    that runs is known (tasks not yet reported, other processes).
    """
    rates = [max(w.cpu_seconds / (w.end - w.start), _LEAST_RATE) if w.end > w.start else 0.0 for w in windows]
    everyone = list(zip(windows, rates, strict=True))
    busy = trace.cpu_busy if count_others else None
    cpu_shares = _shares(trace.packages, everyone, busy)
    gpu_shares: dict[str, dict[int, float]] = {}
    for uuid in {uuid for w in windows for uuid in w.gpus} & set(trace.gpus):
        on_it = [i for i, w in enumerate(windows) if uuid in w.gpus]
        shares = _shares((trace.gpus[uuid],), [(windows[i], 1.0) for i in on_it], None)
        gpu_shares[uuid] = dict(zip(on_it, shares, strict=True))
    return [
        _energy(trace, w, cpu_shares[i], {uuid: gpu_shares[uuid][i] for uuid in w.gpus if uuid in gpu_shares})
        for i, w in enumerate(windows)
    ]


def _shares(series: Sequence[Series], entries: Sequence[tuple[TaskWindow, float]], busy: Series | None) -> list[float]:
    """Each window's fraction of what was taken within it: its rate over the rates of all that run, joules-weighted.

    Between two moments at which a window starts or ends, the sum of rates is constant. With G the running sum of
    joules / rates over those slices, a window's joules are rate * (G(end) - G(start)): no pair of windows is compared.
    """
    moments = sorted({moment for w, _ in entries for moment in (w.start, w.end)})
    changes = dict.fromkeys(moments, 0.0)
    for w, rate in entries:
        changes[w.start] += rate
        changes[w.end] -= rate
    running, summed = 0.0, {moments[0]: (0.0, 0.0)} if moments else {}
    per_rate, taken = 0.0, 0.0
    for begin, end in pairwise(moments):
        running += changes[begin]
        joules = sum(_rise(one, begin, end) for one in series) if series else end - begin
        others = max(0.0, _rise(busy, begin, end) / (end - begin) - running) if busy else 0.0
        taken += joules
        if running > _LEAST_RATE / 2:
            per_rate += joules / (running + others)
        summed[end] = (per_rate, taken)
    fractions = []
    for w, rate in entries:
        (rate_before, taken_before), (rate_after, taken_after) = summed[w.start], summed[w.end]
        whole = taken_after - taken_before
        fractions.append(min(1.0, rate * (rate_after - rate_before) / whole) if whole > 0 else 1.0)
    return fractions


def _rise(series: Series, start: float, end: float) -> float:
    """The part of a window that the series covers; the rest adds nothing, and makes the window invalid."""
    if not series.times:
        return 0.0
    start, end = max(start, series.times[0]), min(end, series.times[-1])
    return max(0.0, _total(series, end) - _total(series, start)) if end > start else 0.0


def _energy(trace: PowerTrace, w: TaskWindow, cpu_share: float, gpu_shares: Mapping[str, float]) -> Energy:
    length = w.end - w.start
    reasons = [] if trace.packages else [f"cpu: {trace.unmeasured.get('cpu', 'no meter')}"]
    cpu = _sum(trace.packages, w, cpu_share, reasons)
    absent = [uuid for uuid in w.gpus if uuid not in trace.gpus]
    reasons += [f"gpu {uuid}: {trace.unmeasured.get(uuid, 'no such GPU on this node')}" for uuid in absent]
    gpu_series = [trace.gpus[uuid] for uuid in w.gpus if uuid in trace.gpus]
    parts = [_sum((one,), w, gpu_shares[uuid], reasons) for uuid, one in zip(gpu_shares, gpu_series, strict=True)]
    gpu = _added(parts) if len(gpu_series) == len(w.gpus) else None
    used = [*(trace.packages if cpu else ()), *(gpu_series if gpu else ())]
    together = _added([part for part in (cpu, gpu) if part])
    return Energy(
        length,
        cpu[0] if cpu else None,
        gpu[0] if gpu else None,
        _utilisation((trace.cpu_busy,) if trace.cpu_busy else (), w, trace.cpus),
        _utilisation([trace.gpu_busy[uuid] for uuid in w.gpus if uuid in trace.gpu_busy], w, len(w.gpus)),
        max((one.channel.provenance for one in used), key=PROVENANCES.index, default=None),
        together[1] if together else None,
        cpu is not None and (gpu is not None or not w.gpus),
        tuple(reasons),
    )


def _sum(series: Sequence[Series], w: TaskWindow, part: float, reasons: list[str]) -> tuple[float, float] | None:
    """(joules, relative error) of a part of several series; None where one is not known, its reason noted."""
    amounts = [amount(one, w.start, w.end) for one in series]
    reasons += [found.reason for found in amounts if found.value is None]
    return _added([(found.value * part, found.error or 0.0) if found.value is not None else None for found in amounts])


def _added(parts: Sequence[tuple[float, float] | None]) -> tuple[float, float] | None:
    """The sum of (joules, relative error), the errors taken to go the same way; None where one is not known."""
    known = [part for part in parts if part is not None]
    if not known or len(known) < len(parts):
        return None
    joules = sum(part[0] for part in known)
    return (joules, sum(part[0] * part[1] for part in known) / joules) if joules > 0 else None


def _utilisation(series: Sequence[Series], w: TaskWindow, units: int | None) -> float | None:
    amounts = [amount(one, w.start, w.end).value for one in series]
    if not amounts or not units or w.end <= w.start or None in amounts:
        return None
    return min(1.0, sum(value for value in amounts if value is not None) / (units * (w.end - w.start)))
