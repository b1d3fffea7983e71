"""A simulated day under a price of a joule that changes: joules by period, and what it cost in waiting.

Each policy that prices joules runs the trace twice: at the schedule's mean price over the hours simulated, and by the
schedule. Joules are those of the tasks, each spread evenly over its run; the idle power of the nodes is not in them.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from placement.errors import OptionError
from placement.scheduling.energy_price import DAY_S, PriceSchedule
from placement.scheduling.policies.queue_aware import MinScorePolicy
from placement.scheduling.policies.registry import POLICIES, policy_of
from placement.spec.joint_threshold import JointThreshold
from placement.spec.node import Inventory
from profiling.simulation.arrivals import ArrivalTrace
from profiling.simulation.lp_bound import fractional_seconds
from profiling.simulation.runtimes import Times
from profiling.simulation.simulator import SimulationRun

HOUR_S = 3600.0


@dataclass(frozen=True, slots=True)
class PricedRun:
    """A policy on a trace at some price. joules: of the tasks, by row of the schedule.

    bill: joules times the schedule's price when they were drawn, s.  peak_watts: mean draw of the highest hour.
    """

    joules: tuple[float, ...]
    bill: float
    peak_watts: float
    mean_wait_seconds: float
    mean_completion_seconds: float
    p99_completion_seconds: float


@dataclass(frozen=True, slots=True)
class TariffDay:
    """Policies at the mean price and by the schedule. mean_price: over the hours of arrivals, seconds per joule.

    runs: policy -> (at the mean price, by the schedule).
    """

    trace: str
    tasks: int
    hours: float
    mean_price: float
    runs: dict[str, tuple[PricedRun, PricedRun]]


def simulate_tariff(
    trace: ArrivalTrace, inventory: Inventory, schedule: PriceSchedule, names: Sequence[str], *, seed: int = 0,
    advance: Callable[[str], None] = lambda _: None,
) -> TariffDay:  # fmt: skip
    """A trace under a schedule, from midnight, or from the schedule's first time. advance: called before each policy.

    Raises OptionError on a policy that prices no joules, and on a trace that arrives all at once.
    """
    for name in names:
        if not isinstance(policy_of(name), MinScorePolicy):
            valid = [name for name, kind in POLICIES.items() if issubclass(kind, MinScorePolicy)]
            raise OptionError(f"--price-schedule: policy {name!r} prices no joules; valid are {valid}.")
    times = Times.of(trace, inventory, JointThreshold())
    trace = trace.scaled(len(trace) / fractional_seconds(trace.counts(), inventory, times, trace.cpus))
    start, span = 0.0 if schedule.daily else schedule.times_s[0], float(trace.arrival_s[-1])
    if not span:
        raise OptionError("--price-schedule: all tasks of this trace arrive at once; give it a --load.")
    moments = boundaries(schedule, start, start + span)
    mean = sum(schedule.prices[schedule.row(a)] * (b - a) for a, b in pairwise(moments)) / span
    flat = PriceSchedule((0.0,), (mean,), (float("inf"),), daily=True)
    runs = {}
    for name in names:
        advance(name)
        each = [_run(trace, inventory, times, name, price, start, seed) for price in (flat, schedule)]
        runs[name] = tuple(priced_run(run, schedule, start) for run in each)
    return TariffDay(trace.name, len(trace), span / HOUR_S, mean, runs)  # type: ignore[arg-type]


def _run(
    trace: ArrivalTrace, inventory: Inventory, times: Times, name: str, price: PriceSchedule, start: float, seed: int
) -> SimulationRun:
    policy = POLICIES[name](seconds_per_joule=price, seed=seed, clock=lambda: start + run.now)  # type: ignore[call-arg]
    run = SimulationRun(trace, inventory, times, times, policy)
    run.go()
    return run


def priced_run(run: SimulationRun, schedule: PriceSchedule, start: float) -> PricedRun:
    """The figures of a run that has ended, which began at a moment of the schedule."""
    end = float(run.ended.max())
    moments = boundaries(schedule, start, start + end)
    joules = [0.0] * len(schedule.times_s)
    for moment, drawn in zip(moments, drawn_between(run, np.array(moments) - start).tolist(), strict=False):
        joules[schedule.row(moment)] += drawn
    hours = drawn_between(run, np.arange(0.0, end + HOUR_S, HOUR_S))
    completion = run.ended - run.trace.arrival_s
    return PricedRun(
        tuple(joules),
        sum(price * drawn for price, drawn in zip(schedule.prices, joules, strict=True)),
        float(hours.max()) / HOUR_S,
        float((run.started - run.trace.arrival_s).mean()),
        float(completion.mean()),
        float(np.quantile(completion, 0.99)),
    )


def boundaries(schedule: PriceSchedule, start: float, end: float) -> list[float]:
    """The two moments and, between them, those at which the price changes."""
    days = np.arange(start // DAY_S, end // DAY_S + 1) * DAY_S if schedule.daily else [0.0]
    changes = [day + at for day in days for at in schedule.times_s]
    return [start, *(float(at) for at in changes if start < at < end), end]


def drawn_between(run: SimulationRun, moments: np.ndarray) -> np.ndarray:
    """(n - 1,): joules of the tasks between each of n moments of the simulation and the next."""
    seconds = np.maximum(run.ended - run.started, 1e-12)
    return np.diff([float((run.joules * np.clip((at - run.started) / seconds, 0.0, 1.0)).sum()) for at in moments])
