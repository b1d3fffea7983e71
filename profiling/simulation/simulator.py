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
from dataclasses import dataclass, field
from itertools import chain

import numpy as np

from placement.errors import OptionError
from placement.scheduling.candidates import Policy
from placement.scheduling.decision import Decision, preferred
from placement.scheduling.decision_table import DecisionTable
from placement.scheduling.feasibility import Limits
from placement.scheduling.policies.queue_aware import MinScorePolicy
from placement.scheduling.policies.registry import POLICIES, policy_of
from placement.scheduling.queue_model import Backlog, Load
from placement.scheduling.snapshot import Snapshot
from placement.spec.joint_threshold import JointThreshold
from placement.spec.node import Inventory, NodeKind, config_groups, configs_named, emulated_configs
from placement.spec.task import Device
from profiling.emulation import power as power
from profiling.simulation.arrivals import ArrivalTrace
from profiling.simulation.cluster import Cluster, Demand
from profiling.simulation.lp_bound import bound_seconds, fractional_seconds
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


def cluster_of(nodes: int, shares: str = "A=1,B=1,C=1,D=1") -> Inventory:
    """An inventory of so many emulated nodes, shared out as "A=2,D=1" says; a group ("servers") is all of its own."""
    try:
        parts = [part.strip().partition("=") for part in shares.split(",")]
        given = [(name, share or ("1" if name in config_groups() else "")) for name, _, share in parts]
        weights = {config: float(share) for name, share in given for config in configs_named(name)}
    except ValueError as error:
        raise OptionError(f"simulate: configs={shares!r} must read like A=1,B=1,C=1,D=1. ({error})") from None
    total = sum(weights.values())
    if nodes < len(weights) or min(weights.values()) <= 0 or not total < math.inf:
        raise OptionError(f"simulate: {nodes} nodes do not do for configs={shares!r}; each needs one at least.")
    counts = {name: max(1, math.floor(nodes * weight / total)) for name, weight in weights.items()}
    first = next(iter(counts))
    counts[first] += nodes - sum(counts.values())
    return Inventory(tuple(
        NodeKind(emulated_configs()[name], tuple(f"{name}-{i}" for i in range(count))) for name, count in counts.items()
    ))  # fmt: skip


def simulate(
    trace: ArrivalTrace,
    inventory: Inventory,
    policies: Sequence[str] = tuple(POLICIES),
    *,
    noise: float = 0.0,
    seed: int = 0,
    advance: Callable[[str], None] = lambda _: None,
) -> Simulation:
    """Each policy on the same tasks. noise: sigma of the log-normal factor of the times that policies see.

    advance: called with the policy's name before each. Raises OptionError on an unknown policy.
    """
    chosen = {name: _seeded(name, seed) for name in policies}
    thresholds = JointThreshold()
    times = Times.of(trace, inventory, thresholds)
    each = len(trace) / fractional_seconds(trace.counts(), inventory, times, trace.cpus)
    trace = trace.scaled(each)
    bound = bound_seconds(trace, inventory, times)
    seen = times.noisy(noise, seed, thresholds)
    nodes = sum(kind.count for kind in inventory.kinds)
    found = Simulation(trace.name, nodes, len(trace), bound)
    devices: dict[str, np.ndarray] = {}
    for name, policy in chosen.items():
        advance(name)
        run = SimulationRun(trace, inventory, times, seen, policy)
        run.go()
        devices[name] = run.on_gpu
        same = devices.get("selector")
        found.policies[name] = run.outcome(bound, None if same is None else float((run.on_gpu == same).mean()))
    return found


def _seeded(name: str, seed: int) -> Policy:
    policy = policy_of(name)
    return type(policy)(seed=seed) if name == "random" or isinstance(policy, MinScorePolicy) else policy  # type: ignore[call-arg]


class SimulationRun:
    """One policy on a trace. Memory: some bytes for each task, and what waits."""

    def __init__(self, trace: ArrivalTrace, inventory: Inventory, times: Times, seen: Times, policy: Policy) -> None:
        self.trace, self.inventory, self.times, self.seen, self.policy = trace, inventory, times, seen, policy
        self.now = 0.0
        self.cluster = Cluster(inventory, trace.cpus)
        self.backlog = Backlog(lambda: self.now, exact=True)
        self.backlog.merge(_loads(inventory, trace), 0.0)
        self.counts_queues = isinstance(policy, MinScorePolicy)
        self.snapshot = Snapshot(
            1, inventory, TimesSelector(trace, inventory, seen), policy,
            backlog=self.backlog if self.counts_queues else None,
        )  # fmt: skip
        limits = {True: Limits(cpus=trace.cpus), False: Limits(cpus=trace.cpus, excluded={"gpu": NO_GPU})}
        self.tables = [DecisionTable(one.preset, limits[one.has_gpu], self.snapshot) for one in trace.types]
        self.events: list[tuple[float, int, int, Device]] = []
        self.ended = np.zeros(len(trace))
        self.on_gpu = np.zeros(len(trace), dtype=bool)
        self.seconds = np.zeros((len(inventory.kinds), 2))
        self.joules = self.regret = 0.0
        self.sent_to: dict[int, str] = {}
        self._demands: dict[tuple[int, Device, tuple[str, ...]], Demand] = {}
        self.timed_ns: list[int] = []
        self._seconds = times.seconds.tolist()
        self._expected = seen.seconds.tolist()
        self._joules = np.nan_to_num(times.joules).tolist()
        self._right = times.gpu_is_right.tolist()

    def go(self) -> None:
        """Until the last task has ended."""
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
        key = (type_at, decision.device, decision.configs)
        demand = self._demands.get(key)
        if demand is None:
            tiers = preferred(decision, self.tables[type_at].candidates(self.trace.types[type_at].spec))
            demand = self._demands[key] = (decision.device, tuple(chain.from_iterable(tiers)))
        return demand

    def _place(self, task: int, decision: Decision) -> None:
        demand = self._demand(task, decision)
        if self.counts_queues:
            self.sent_to[task] = decision.configs[0]
            self.backlog.enqueue(
                decision.configs[0],
                decision.device,
                self._expects(task, decision.configs[0], decision.device),
                gpu_price=decision.gpu_price,
            )
        node = self.cluster.take(demand)
        if node is None:
            self.cluster.wait(task, demand)
        else:
            self._start(task, node, decision.device)

    def _expects(self, task: int, config: str, device: Device) -> float:
        seconds = self._expected[self.type_of[task]][self.cluster.kind_at[config]]
        expected: float = seconds[GPU if device == "gpu" else CPU]
        return expected if expected < math.inf else seconds[CPU]

    def _start(self, task: int, node: int, device: Device) -> None:
        kind, type_at = self.cluster.kind_of[node], self.type_of[task]
        if self.counts_queues:
            config, sent = self.inventory.kinds[kind].spec.config, self.sent_to[task]
            if config != sent:
                self.backlog.cancel(sent, device, self._expects(task, sent, device))
                self.backlog.enqueue(config, device, self._expects(task, config, device))
                self.sent_to[task] = config
        at = GPU if device == "gpu" else CPU
        seconds = self._seconds[type_at][kind]
        ran_on = at if seconds[at] < math.inf else CPU  # memory ran out: the second run is on the CPU
        self.joules += self._joules[type_at][kind][ran_on]
        self.regret += seconds[ran_on] - seconds[GPU if self._right[type_at][kind] else CPU]
        self.seconds[kind, at] += seconds[ran_on]
        self.on_gpu[task] = at == GPU
        heapq.heappush(self.events, (self.now + seconds[ran_on], task, node, device))

    def _end(self, task: int, node: int, device: Device) -> None:
        self.ended[task] = self.now
        if self.counts_queues:
            config = self.sent_to.pop(task)
            took = self._seconds[self.type_of[task]][self.cluster.kind_of[node]][GPU if device == "gpu" else CPU]
            expected = self._expects(task, config, device)
            self.backlog.complete(config, device, expected, took if took < math.inf else expected)
        for started, on in self.cluster.release(node, device):
            self._start(started, node, on)

    def outcome(self, bound: float, same_as_selector: float | None) -> Outcome:
        """The figures of the whole run."""
        completion = self.ended - self.trace.arrival_s
        makespan = float(self.ended.max())
        return Outcome(
            makespan,
            float(completion.mean()),
            float(np.quantile(completion, 0.99)),
            self.joules,
            self.joules + self._idle_joules(makespan),
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


def _loads(inventory: Inventory, trace: ArrivalTrace) -> dict[tuple[str, Device], Load]:
    """Empty queues. A GPU task holds CPUs too: those are not counted among the CPU tasks' slots."""
    loads: dict[tuple[str, Device], Load] = {}
    for kind in inventory.kinds:
        config = kind.spec.config
        cpus = kind.grants_cpus - kind.grants_gpus * trace.cpus["gpu"]
        loads[config, "cpu"] = Load(kind.count * max(1, math.floor(cpus / trace.cpus["cpu"])))
        if kind.grants_gpus:
            loads[config, "gpu"] = Load(kind.count * math.floor(kind.grants_gpus))
    return loads
