"""Replays a trace through the very decide() and policies that run live: an event queue and a simulated cluster.

    simulate(trace, inventory, policies) -> Simulation

The parts: `arrivals` (the trace), `runtimes` (times of tasks, the emulator's estimates), `cluster` (queues of nodes),
`lp_bound` (no schedule is faster). A decision is taken once, when a
task arrives, from the queues as a driver would know them; Ray then starts it on the first node that will do. Workers
are warm, and nothing fails.
"""

from __future__ import annotations

import heapq
import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from itertools import chain

import numpy as np

from placement.errors import OptionError
from placement.scheduling.candidates import Policy
from placement.scheduling.decision import Decision, preferred
from placement.scheduling.decision_table import DecisionTable
from placement.scheduling.feasibility import Limits
from placement.scheduling.policies.queue_aware import MinScorePolicy
from placement.scheduling.policies.registry import POLICIES, policy_of
from placement.scheduling.queue_model import Backlog
from placement.scheduling.snapshot import Snapshot
from placement.spec.joint_threshold import JointThreshold
from placement.spec.node import Inventory
from placement.spec.task import Device
from profiling.emulation import power as power
from profiling.simulation.arrivals import ArrivalTrace
from profiling.simulation.cluster import Cluster, Demand, empty_loads
from profiling.simulation.estimator import Estimator, expected_seconds, observe
from profiling.simulation.lp_bound import bound_seconds, fractional_seconds
from profiling.simulation.measured_times import MeasuredTimes
from profiling.simulation.runtimes import CPU, GPU, Times, TimesSelector

TIMED = 64
"""One decision in so many is timed."""
NO_GPU = "it has no GPU implementation"


@dataclass(frozen=True, slots=True)
class Outcome:
    """Results of a policy on a trace.

    joules: of the tasks.  cluster_joules: with the idle power of all nodes until the last task ended.
    regret_seconds: seconds on the devices taken less those on the rule's device of the same node, summed; below zero
    where disobeying the rule was faster.  bound_ratio: makespan / bound.  gpu_share: of the tasks, run on a GPU.
    decide_us: median of the decisions timed.
    """

    makespan_seconds: float
    mean_completion_seconds: float
    p99_completion_seconds: float
    joules: float
    cluster_joules: float
    gpu_hours: float
    regret_seconds: float
    bound_ratio: float
    gpu_share: float
    same_as_selector: float | None
    decide_us: float


@dataclass(frozen=True, slots=True)
class Simulation:
    """One trace by several policies. bound_seconds: no schedule ends earlier."""

    trace: str
    nodes: int
    tasks: int
    bound_seconds: float
    policies: dict[str, Outcome] = field(default_factory=dict)

    def gain_share(self, name: str = "balanced", over: str = "selector") -> float | None:
        """The share of the makespan to be gained over a policy, by the bound, that another gains; None at 0."""
        if name not in self.policies or over not in self.policies:
            return None
        slow = self.policies[over].makespan_seconds
        possible = slow - self.bound_seconds
        return (slow - self.policies[name].makespan_seconds) / possible if possible > 0 else None


def simulate(
    trace: ArrivalTrace,
    inventory: Inventory,
    policies: Sequence[str] = tuple(POLICIES),
    *,
    noise: float = 0.0,
    seed: int = 0,
    estimator: Estimator | None = None,
    measured: MeasuredTimes | None = None,
    advance: Callable[[str], None] = lambda _: None,
) -> Simulation:
    """Each policy on the same tasks. noise: sigma of the log-normal factor of the times that policies see.

    estimator: policies decide by its estimates instead of the true times.  measured: times of a log, which replace the
    emulator's where it has them.  advance: called with the policy's name before each. Raises OptionError on an
    unknown policy.
    """
    chosen = {name: seeded_policy(name, seed) for name in policies}
    thresholds = JointThreshold()
    times = Times.of(trace, inventory, thresholds)
    times = times if measured is None else measured.over(times, trace, inventory, thresholds)
    each = len(trace) / fractional_seconds(trace.counts(), inventory, times, trace.cpus)
    trace = trace.scaled(each)
    bound = bound_seconds(trace, inventory, times)
    seen = times.noisy(noise, seed, thresholds)
    nodes = sum(kind.count for kind in inventory.kinds)
    found = Simulation(trace.name, nodes, len(trace), bound)
    devices: dict[str, np.ndarray] = {}
    for name, policy in chosen.items():
        advance(name)
        run = SimulationRun(trace, inventory, times, seen, policy, estimator)
        run.go()
        devices[name] = run.on_gpu
        same = devices.get("selector")
        found.policies[name] = run.outcome(bound, None if same is None else float((run.on_gpu == same).mean()))
    return found


def seeded_policy(name: str, seed: int) -> Policy:
    """The policy of a name, whose draws come from a seed."""
    policy = policy_of(name)
    return type(policy)(seed=seed) if name == "random" or isinstance(policy, MinScorePolicy) else policy  # type: ignore[call-arg]


class SimulationRun:
    """One policy on a trace. Memory: some bytes for each task, and what waits.

    snapshot: it decides by this one's selector and history, in place of `seen` or the estimator.
    """

    def __init__(
        self, trace: ArrivalTrace, inventory: Inventory, times: Times, seen: Times, policy: Policy,
        estimator: Estimator | None = None, snapshot: Snapshot | None = None,
    ) -> None:  # fmt: skip
        self.estimator = estimator
        self.trace, self.inventory, self.times, self.policy = trace, inventory, times, policy
        self.now = 0.0
        self.cluster = Cluster(inventory, trace.cpus)
        self.backlog = Backlog(lambda: self.now, exact=True)
        self.backlog.merge(empty_loads(inventory, trace.cpus), 0.0)
        self.counts_queues = isinstance(policy, MinScorePolicy)
        if snapshot is None:
            selector = estimator.selector if estimator else TimesSelector(trace, inventory, seen)
            snapshot = Snapshot(1, inventory, selector, policy)
        self.snapshot = replace(snapshot, policy=policy, backlog=self.backlog if self.counts_queues else None)
        limits = {True: Limits(cpus=trace.cpus), False: Limits(cpus=trace.cpus, excluded={"gpu": NO_GPU})}
        self.tables = [DecisionTable(one.preset, limits[one.has_gpu], self.snapshot) for one in trace.types]
        self.events: list[tuple[float, int, int, Device]] = []
        self.ended = np.zeros(len(trace))
        self.on_gpu = np.zeros(len(trace), dtype=bool)
        self.seconds = np.zeros((len(inventory.kinds), 2))
        self.started, self.joules = np.zeros(len(trace)), np.zeros(len(trace))
        self.regret = 0.0
        self.sent_to: dict[int, tuple[str, float]] = {}
        self.gpus = [0.0] * len(trace)
        self._demands: dict[tuple[int, Device, tuple[str, ...], float], Demand] = {}
        self.timed_ns: list[int] = []
        self._seconds = times.seconds.tolist()
        self._expected = seen.seconds.tolist()
        self._joules = np.nan_to_num(times.joules).tolist()
        self._right = times.gpu_is_right.tolist()

    def go(self) -> None:
        """Runs until the last task has ended."""
        arrival_s, type_of = self.trace.arrival_s.tolist(), self.trace.type_of.tolist()
        self.type_of = type_of
        for task, at in enumerate(arrival_s):
            self._until(at)
            self.now = at
            self._send(task, type_of[task])
        self._until(math.inf)

    def _until(self, at: float) -> None:
        """Lets all tasks end that end before a moment."""
        events = self.events
        while events and events[0][0] <= at:
            self.now, task, node, device = heapq.heappop(events)
            self._end(task, node, device)

    def _send(self, task: int, type_at: int) -> None:
        one, table = self.trace.types[type_at], self.tables[type_at]
        if task % TIMED:
            decision = table.decide(one.spec)
        else:
            start = time.perf_counter_ns()
            decision = table.decide(one.spec)
            self.timed_ns.append(time.perf_counter_ns() - start)
        if not decision.configs:
            raise OptionError(f"simulate: no node can take {one.preset}: {decision.reason}.")
        self._place(task, decision)

    def _demand(self, task: int, decision: Decision) -> Demand:
        """The configs decided for, the best first, and the spare one, in the form of `placement.submission.placer`."""
        type_at = self.type_of[task]
        key = (type_at, decision.device, decision.configs, decision.gpus)
        demand = self._demands.get(key)
        if demand is None:
            tiers = preferred(decision, self.tables[type_at].candidates(self.trace.types[type_at].spec))
            demand = self._demands[key] = (decision.device, tuple(chain.from_iterable(tiers)), decision.gpus)
        return demand

    def _place(self, task: int, decision: Decision) -> None:
        demand = self._demand(task, decision)
        self.gpus[task] = decision.gpus
        if self.counts_queues:
            decided = {"gpu_price": decision.gpu_price, "joules": decision.joules}
            self._enqueue(task, decision.configs[0], decision.device, **decided)
        node = self.cluster.take(demand)
        if node is None:
            self.cluster.wait(task, demand)
        else:
            self._start(task, node, decision.device)

    def _enqueue(self, task: int, config: str, device: Device, **decided: float | None) -> None:
        slots = self.gpus[task] or 1.0
        expected = self.backlog.enqueue(config, device, self._expects(task, config, device), slots, **decided)  # type: ignore[arg-type]
        self.sent_to[task] = (config, expected)

    def _expects(self, task: int, config: str, device: Device) -> float | None:
        """Seconds as the policies know them; None = not known."""
        if self.estimator is not None:
            type_at = self.type_of[task]
            return expected_seconds(self.tables[type_at].candidates(self.trace.types[type_at].spec), config, device)
        seconds = self._expected[self.type_of[task]][self.cluster.kind_at[config]]
        expected: float = seconds[GPU if device == "gpu" else CPU]
        return expected if expected < math.inf else seconds[CPU]

    def _start(self, task: int, node: int, device: Device) -> None:
        kind, type_at = self.cluster.kind_of[node], self.type_of[task]
        if self.counts_queues:
            config, (sent, expected) = self.inventory.kinds[kind].spec.config, self.sent_to[task]
            if config != sent:
                self.backlog.cancel(sent, device, expected, self.gpus[task] or 1.0)
                self._enqueue(task, config, device)
        at = GPU if device == "gpu" else CPU
        seconds = self._seconds[type_at][kind]
        ran_on = at if seconds[at] < math.inf else CPU  # memory ran out: the second run is on the CPU
        self.started[task], self.joules[task] = self.now, self._joules[type_at][kind][ran_on]
        self.regret += seconds[ran_on] - seconds[GPU if self._right[type_at][kind] else CPU]
        self.seconds[kind, at] += seconds[ran_on]
        self.on_gpu[task] = at == GPU
        self._run(task, node, device, seconds[ran_on])

    def _run(self, task: int, node: int, device: Device, seconds: float) -> None:
        """Lets a task run, which takes so long alone."""
        heapq.heappush(self.events, (self.now + seconds, task, node, device))

    def _end(self, task: int, node: int, device: Device) -> None:
        self.ended[task] = self.now
        if self.estimator is not None and self.estimator.learns:
            type_at, kind, on = self.type_of[task], self.cluster.kind_of[node], GPU if device == "gpu" else CPU
            seconds = self._seconds[type_at][kind][on]
            if seconds < math.inf:
                one, joules = self.trace.types[type_at], self._joules[type_at][kind][on]
                observe(self.snapshot.history, one, self.inventory, self.trace, kind, on, seconds, joules)
        if self.counts_queues:
            config, expected = self.sent_to.pop(task)
            took = self._seconds[self.type_of[task]][self.cluster.kind_of[node]][GPU if device == "gpu" else CPU]
            took = took if took < math.inf else expected
            self.backlog.complete(config, device, expected, took, self.gpus[task] or 1.0)
        for started, on in self.cluster.release(node, device, self.gpus[task]):
            self._start(started, node, on)

    def outcome(self, bound: float, same_as_selector: float | None) -> Outcome:
        """The figures of the whole run."""
        completion = self.ended - self.trace.arrival_s
        makespan = float(self.ended.max())
        return Outcome(
            makespan,
            float(completion.mean()),
            float(np.quantile(completion, 0.99)),
            float(self.joules.sum()),
            float(self.joules.sum()) + self._idle_joules(makespan),
            float(self.seconds[:, GPU].sum()) / 3600,
            self.regret,
            makespan / bound,
            float(self.on_gpu.mean()),
            same_as_selector,
            float(np.median(self.timed_ns)) / 1000,
        )

    def _idle_joules(self, makespan: float) -> float:
        """Idle joules of all nodes beyond those in the tasks' own: a task's joules hold the idle power of its share."""
        share, total = power.shares(), 0.0
        for k, kind in enumerate(self.inventory.kinds):
            spec = kind.spec
            cpu_w = (spec.cpu_tdp_w or 0.0) * share["cpu_idle"] / max(spec.cpus, 1)  # of one CPU
            gpu_w = (spec.gpu_tdp_w or 0.0) * share["gpu_idle"]
            held = self.seconds[k] * [self.trace.cpus["cpu"], self.trace.cpus["gpu"]]
            total += cpu_w * max(0.0, kind.count * spec.cpus * makespan - float(held.sum()))
            total += gpu_w * max(0.0, kind.count * spec.gpus * makespan - float(self.seconds[k, GPU]))
        return total
