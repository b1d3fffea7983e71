"""Shares of GPUs, simulated: tasks on one GPU slow each other, and each end moves whenever a neighbour comes or goes.

Every policy runs a trace twice by the same code: with whole GPUs, and with the shares that
`placement.scheduling.gpu_share` chooses (as `gpus="auto"` does on a cluster). The slowdown is that of
`profiling.emulation.gpu_sharing`, an assumption; the share is chosen by another model, which knows nothing of it.
How busy a task keeps a GPU alone counts as seen once, in a first run.

Nodes have one GPU at most. Energy: the dynamic joules of each task (those of a GPU stay, those of the CPU that waits
for it grow as its run does), and the idle power of all nodes until the last task has ended.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np

from placement.errors import OptionError
from placement.prediction.runtime_history import Place
from placement.scheduling.candidates import Policy
from placement.scheduling.decision import key_of
from placement.scheduling.decision_table import DecisionTable
from placement.spec.joint_threshold import JointThreshold
from placement.spec.node import Inventory
from placement.spec.task import Device
from profiling.emulation import power as power
from profiling.emulation.emulator import Emulation, emulate
from profiling.emulation.gpu_sharing import slowdown
from profiling.simulation.arrivals import ArrivalTrace
from profiling.simulation.lp_bound import fractional_seconds
from profiling.simulation.runtimes import Times
from profiling.simulation.simulator import SimulationRun, seeded_policy


@dataclass(slots=True)
class Tenant:
    """A task on a GPU. left: seconds that it would still take alone.  since: when that was so."""

    busy: float
    left: float
    since: float
    rate: float = 1.0
    end: float = 0.0


@dataclass(frozen=True, slots=True)
class SharingOutcome:
    """Results of a policy. p99_seconds: of completion, by kind of task.  gpu_share: of the tasks, run on a GPU.

    mean_gpus: granted to a GPU task.  mean_slowdown: seconds of a GPU task over its seconds alone.  None: none ran.
    """

    tasks_per_second: float
    mean_completion_seconds: float
    p99_seconds: dict[str, float]
    cluster_joules: float
    gpu_share: float
    mean_gpus: float | None
    mean_slowdown: float | None


@dataclass(frozen=True, slots=True)
class Sharing:
    """Policies with whole GPUs and with shares: name -> (whole, shared)."""

    trace: str
    tasks: int
    nodes: int
    runs: dict[str, tuple[SharingOutcome, SharingOutcome]]

    def worst_p99(self, name: str) -> tuple[float, str]:
        """(the largest ratio of a 99th percentile with shares to that without, whose it is)."""
        whole, shared = self.runs[name]
        return max((shared.p99_seconds[preset] / p99, preset) for preset, p99 in whole.p99_seconds.items())


class SharedRun(SimulationRun):
    """One policy on a trace. shares: whether GPUs are shared; without, every GPU task has a whole one."""

    def __init__(
        self, trace: ArrivalTrace, inventory: Inventory, times: Times, policy: Policy, on_gpu: list[list[Emulation]],
        shares: bool,
    ) -> None:  # fmt: skip
        super().__init__(trace, inventory, times, times, policy)
        self.emulations = on_gpu
        self.tenants: list[dict[int, Tenant]] = [{} for _ in self.cluster.kind_of]
        self.alone_s, self.kind = np.zeros(len(trace)), np.zeros(len(trace), dtype=int)
        if not shares:
            return
        for one, emulations in zip(trace.types, on_gpu, strict=True):
            for kind, found in zip(inventory.kinds, emulations, strict=True):
                if one.has_gpu and found.seconds is not None and kind.grants_gpus:
                    place = Place(kind.spec.config, "gpu", trace.cpus["gpu"])
                    key = key_of(one.preset, one.spec)
                    self.snapshot.history.observe(key, place, found.seconds, utilisation=found.gpu_busy)
        self.tables = [
            DecisionTable(table.function, replace(table.limits, shares=True), self.snapshot) for table in self.tables
        ]

    def _run(self, task: int, node: int, device: Device, seconds: float) -> None:
        self.alone_s[task], self.kind[task] = seconds, self.cluster.kind_of[node]
        if device == "cpu":
            super()._run(task, node, device, seconds)
            return
        busy = self.emulations[self.type_of[task]][self.cluster.kind_of[node]].gpu_busy
        self.tenants[node][task] = Tenant(1.0 if busy is None else busy, seconds, self.now)
        self._reschedule(node)

    def _reschedule(self, node: int) -> None:
        """Works the ends out anew after a task has come or gone; the old events are then void."""
        tenants = self.tenants[node]
        total = sum(one.busy for one in tenants.values())
        for task, one in tenants.items():
            one.left = max(0.0, one.left - (self.now - one.since) * one.rate)
            one.rate, one.since = 1.0 / slowdown(one.busy, max(0.0, total - one.busy)), self.now
            one.end = self.now + one.left / one.rate
            heapq.heappush(self.events, (one.end, task, node, "gpu"))

    def _end(self, task: int, node: int, device: Device) -> None:
        if device == "gpu":
            one = self.tenants[node].get(task)
            if one is None or one.end != self.now:
                return  # a neighbour came or went meanwhile
            del self.tenants[node][task]
            self._reschedule(node)
        super()._end(task, node, device)

    def cluster_joules(self) -> float:
        """Joules of all nodes until the last task has ended."""
        share, kinds = power.shares(), [kind.spec for kind in self.inventory.kinds]
        cpu_w = np.array([(spec.cpu_tdp_w or 0.0) * share["cpu_idle"] for spec in kinds])
        gpu_w = np.array([spec.gpus * (spec.gpu_tdp_w or 0.0) * share["gpu_idle"] for spec in kinds])
        idle_w = float(((cpu_w + gpu_w) * [kind.count for kind in self.inventory.kinds]).sum())
        cpus = np.where(self.on_gpu, self.trace.cpus["gpu"], self.trace.cpus["cpu"])
        held_cpu_w = cpu_w[self.kind] * cpus / np.array([max(spec.cpus, 1) for spec in kinds])[self.kind]
        dynamic = self.joules - (held_cpu_w + np.where(self.on_gpu, gpu_w[self.kind], 0.0)) * self.alone_s
        watts = np.array([[one.cpu_watts or 0.0 for one in row] for row in self.emulations])
        launching_w = np.where(self.on_gpu, watts[self.trace.type_of, self.kind] - held_cpu_w, 0.0)
        longer = launching_w * (self.ended - self.started - self.alone_s)
        return float((dynamic + longer).sum()) + idle_w * float(self.ended.max())

    def outcome_of_sharing(self) -> SharingOutcome:
        """The figures of the whole run."""
        completion, makespan = self.ended - self.trace.arrival_s, float(self.ended.max())
        types = {one.preset: completion[self.trace.type_of == t] for t, one in enumerate(self.trace.types)}
        slowed = (self.ended - self.started)[self.on_gpu] / np.maximum(self.alone_s[self.on_gpu], 1e-12)
        return SharingOutcome(
            len(self.trace) / makespan,
            float(completion.mean()),
            {preset: float(np.quantile(some, 0.99)) for preset, some in types.items() if len(some)},
            self.cluster_joules(),
            float(self.on_gpu.mean()),
            float(np.array(self.gpus)[self.on_gpu].mean()) if self.on_gpu.any() else None,
            float(slowed.mean()) if self.on_gpu.any() else None,
        )


def simulate_sharing(
    trace: ArrivalTrace, inventory: Inventory, names: Sequence[str], *, seed: int = 0,
    advance: Callable[[str], None] = lambda _: None,
) -> Sharing:  # fmt: skip
    """Each policy with whole GPUs and with shares. advance: called with the policy's name before each.

    Raises OptionError on nodes of several GPUs, and on a policy that does not exist.
    """
    if any(kind.grants_gpus > 1 for kind in inventory.kinds):
        raise OptionError("--gpu-shares: a simulated node has one GPU at most; take other --configs.")
    times = Times.of(trace, inventory, JointThreshold())
    trace = trace.scaled(len(trace) / fractional_seconds(trace.counts(), inventory, times, trace.cpus))
    cpus = trace.cpus["gpu"]
    on_gpu = [[emulate(one.spec, kind.spec, "gpu", cpus=cpus) for kind in inventory.kinds] for one in trace.types]
    runs: dict[str, tuple[SharingOutcome, SharingOutcome]] = {}
    for name in names:
        advance(name)
        policies = (seeded_policy(name, seed) for _ in range(2))
        each = [SharedRun(trace, inventory, times, next(policies), on_gpu, shares) for shares in (False, True)]
        for run in each:
            run.go()
        whole, shared = (run.outcome_of_sharing() for run in each)
        runs[name] = (whole, shared)
    return Sharing(trace.name, len(trace), sum(kind.count for kind in inventory.kinds), runs)
