"""Feasibility: every candidate of a cluster under a user's limits, and why the others are none.

`CandidateTable` holds all that does not depend on the task, so that a decision works out only what does.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from placement.prediction.estimate import Estimate, EstimateList, Estimates
from placement.prediction.one_by_one import SingleNodeSelector, interference_model, power_model, prepared
from placement.prediction.posterior import Slowdown, corrected, posterior, slowdown_of
from placement.prediction.runtime_history import RunHistory
from placement.prediction.timings import Timings
from placement.scheduling.candidate_set import CandidateSet, NodeGroup, node_group
from placement.scheduling.candidates import Candidate, Waits
from placement.scheduling.gpu_share import gpu_share
from placement.scheduling.queue_model import Backlog
from placement.scheduling.sized_waits import waits_under
from placement.spec.joint_threshold import JointThreshold
from placement.spec.node import QUANTITIES, Inventory, NodeKind, NodeSpec
from placement.spec.task import DEVICES, Device, TaskSpec

MOST_GROUPS = 16
STEPS = (8.0, 4.0, 2.0, 1.0, 0.5, 0.25, 0.125, 0.0)
"""Resolutions at which kinds are grouped, in steps a doubling of each figure: 8 are 9 % apart; 0 joins all."""


@dataclass(frozen=True, slots=True)
class Limits:
    """Limits that the user's own options set to the candidates.

    cpus: CPUs granted, by device.  gpus: GPUs granted to a GPU task (a fraction shares one).
    excluded: device -> why it is no candidate.  configs: the only configs that will do, None = all.
    configs_reason: what the user said that narrows them.  strict: never explore.  shares: a GPU task is granted the
    share of a GPU that `placement.scheduling.gpu_share` chooses for it; `gpus` is then the most, one.
    """

    cpus: Mapping[Device, float] = field(default_factory=lambda: {"cpu": 1.0, "gpu": 1.0}, hash=False)
    gpus: float = 1.0
    excluded: Mapping[Device, str] = field(default_factory=dict, hash=False)
    configs: frozenset[str] | None = None
    configs_reason: str = "your label_selector"
    strict: bool = False
    shares: bool = False


def infeasible(task: TaskSpec, kind: NodeKind, device: Device, limits: Limits, seen: RunHistory | None) -> str | None:
    """Why a (config, device) cannot take the task; None where it can."""
    fault = never_feasible(kind, device, limits)
    return fault or (gpu_fault(task, kind, limits, seen) if device == "gpu" else None)


def never_feasible(kind: NodeKind, device: Device, limits: Limits) -> str | None:
    """Why a (config, device) takes no task at all under these limits."""
    if device in limits.excluded:
        return limits.excluded[device]
    if limits.configs is not None and kind.spec.config not in limits.configs:
        return f"excluded by {limits.configs_reason}"
    if limits.cpus[device] > kind.grants_cpus:
        return f"needs {limits.cpus[device]:g} CPUs, the node has {kind.grants_cpus:g}"
    if device == "cpu":
        return "a node with a GPU is not started for it" if kind.planned and kind.grants_gpus else None
    if not kind.grants_gpus:
        return "no GPU"
    if limits.gpus > kind.grants_gpus:
        return f"needs {limits.gpus:g} GPUs, the node has {kind.grants_gpus:g}"
    return None


def gpu_fault(task: TaskSpec, kind: NodeKind, limits: Limits, seen: RunHistory | None) -> str | None:
    """Why a node's GPU cannot take this very task. What it needs is what its spec says, else the most seen before."""
    need = task.memory_bytes if task.memory_bytes is not None or seen is None else seen.gpu_memory_bytes
    if need is not None and need > granted_memory(kind, limits):
        free = "" if kind.gpu_free_gb is None else f", {kind.gpu_free_gb:.1f} free of other programs"
        return f"needs {need / 1e9:.1f} GB of GPU memory, the device has {kind.spec.gpu_memory_gb:g}{free}"
    if seen is not None and kind.spec.config in seen.unfit:
        return f"failed there before: {seen.unfit[kind.spec.config]}"
    return None


def granted_memory(kind: NodeKind, limits: Limits) -> float:
    """Bytes of GPU memory that a task gets; an unknown memory holds anything."""
    if kind.spec.gpu_memory_gb is None:
        return math.inf
    free = math.inf if kind.gpu_free_gb is None else kind.gpu_free_gb
    return min(free, kind.spec.gpu_memory_gb * min(limits.gpus, 1.0)) * 1e9


class CandidateTable:
    """The candidates of an inventory under limits, by groups of alike kinds of node, with the selector prepared.

    Kinds of the very same figures are alike; where that leaves more than MOST_GROUPS, those within 9 %, then coarser.
    The first kind of a group (in the inventory's order) stands for all of it.
    """

    def __init__(
        self,
        inventory: Inventory,
        limits: Limits,
        selector: SingleNodeSelector,
        thresholds: JointThreshold,
        waits: Waits | None,
    ) -> None:
        self.limits, self.thresholds, self.cluster_waits = limits, thresholds, waits
        self.interference = interference_model(selector)
        self.waits = waits_under(waits, limits.cpus, limits.gpus) if isinstance(waits, Backlog) else waits
        self.kinds = inventory.kinds
        self.can = {(k.spec.config, d): never_feasible(k, d, limits) is None for k in self.kinds for d in DEVICES}
        groups = alike(self.kinds, self.can)
        groups.sort(key=lambda group: not group[0].grants_gpus)  # those with an estimate first
        self.members = groups
        self.groups = [self._group(group, i if group[0].grants_gpus else None) for i, group in enumerate(groups)]
        self.gpu = [i for i, one in enumerate(self.groups) if one.gpu]
        self.cpu_configs = tuple(k.spec.config for k in self.kinds if self.can[k.spec.config, "cpu"])
        memory = [[granted_memory(k, limits) for k in group if self.can[k.spec.config, "gpu"]] for group in groups]
        self.least = [min(one, default=math.inf) for one in memory]
        self.most = [max(one, default=math.inf) for one in memory]
        self.least_of_all = min(self.least, default=math.inf)
        nodes = tuple(group[0].spec for group in groups if group[0].grants_gpus)
        self.prior = prepared(selector, nodes, limits.cpus["cpu"])
        self.power = power_model(selector)
        self.memo: dict[tuple[Any, ...], Any] = {}

    def _group(self, kinds: Sequence[NodeKind], estimated: int | None) -> NodeGroup:
        names = [kind.spec.config for kind in kinds]
        cpu, gpu = ([name for name in names if self.can[name, device]] for device in DEVICES)
        return node_group(names, cpu, gpu, estimated)

    def candidates(self, task: TaskSpec, seen: RunHistory | None) -> CandidateSet:
        """The candidates of a task. seen: its earlier runs."""
        found = self._unshared(task, seen)
        if self.limits.shares:
            able = (kind for kind in self.kinds if self.can[kind.spec.config, "gpu"])
            found.shares = {kind.spec.config: gpu_share(task, kind, seen, self.interference) for kind in able}
            if isinstance(self.cluster_waits, Backlog):
                found.waits = waits_under(self.cluster_waits, self.limits.cpus, self.limits.gpus, found.shares)
        return found

    def _unshared(self, task: TaskSpec, seen: RunHistory | None) -> CandidateSet:
        """The candidates before the shares of GPUs are chosen."""
        need = task.memory_bytes
        gpu = self.gpu
        if seen is None and need is not None and need > self.least_of_all:
            gpu = [i for i in gpu if need <= self.least[i]]
            if any(self.least[i] < need <= self.most[i] for i in self.gpu):
                return self._split(task, seen)
        if seen is not None:
            return self._split(task, seen)
        prior = self.prior
        return CandidateSet(
            self.groups, gpu, self.cpu_configs, lambda: prior(task), self._candidates, self.memo, self.waits,
            self.thresholds,
        )  # fmt: skip

    def _split(self, task: TaskSpec, seen: RunHistory | None) -> CandidateSet:
        """Candidates with the kinds that differ for this task (timed, or too small) as groups of their own."""
        prior = self.prior(task)
        apart = set(seen.unfit).union(place.config for place in seen.timings) if seen else set()
        slowdown = self._slowdown(prior, seen) if seen else Slowdown()
        groups: list[NodeGroup] = []
        estimates: list[Estimate | None] = []
        for i, group in enumerate(self.members):
            faults = {k.spec.config: gpu_fault(task, k, self.limits, seen) for k in group}
            alone = [k for k in group if k.spec.config in apart or faults[k.spec.config]]
            together = [k for k in group if not (k.spec.config in apart or faults[k.spec.config])]
            known = corrected(prior[i], slowdown, self.thresholds) if group[0].grants_gpus else None
            if together:
                groups.append(self._group(together, len(estimates)))
                estimates.append(known)
            for kind in alone:
                single = self._group([kind], len(estimates))
                unfit = faults[kind.spec.config] is not None
                groups.append(node_group(single.configs, single.cpu, (), single.estimated) if unfit else single)
                estimates.append(self._sharpened(known, kind, seen))
        gpu = [i for i, one in enumerate(groups) if one.gpu]
        return CandidateSet(
            groups, gpu, self.cpu_configs, lambda: EstimateList(estimates), self._candidates, {}, self.waits,
            self.thresholds,
        )  # fmt: skip

    def _sharpened(self, prior: Estimate | None, kind: NodeKind, seen: RunHistory | None) -> Estimate | None:
        """The selector's estimate and what was seen on this kind of node; of one without a GPU there is none."""
        if seen is None or not kind.grants_gpus:
            return prior
        power = self.power.of(kind.spec, self.limits.cpus["cpu"])
        return posterior(prior, *self._timed(kind, seen), self.thresholds, power)

    def _slowdown(self, prior: Estimates, seen: RunHistory) -> Slowdown:
        """The slowdown of a task's runs on all kinds of node over the selector's estimates."""
        timed = {place.config for place in seen.timings}
        return slowdown_of(
            (prior[i], *self._timed(kind, seen))
            for i, group in enumerate(self.members)
            if group[0].grants_gpus
            for kind in group
            if kind.spec.config in timed
        )

    def _timed(self, kind: NodeKind, seen: RunHistory) -> tuple[Timings, Timings]:
        """Timings on the CPU and on the GPU of a kind of node."""
        config, cpus = kind.spec.config, self.limits.cpus
        return seen.at(config, "cpu", cpus["cpu"]), seen.at(config, "gpu", cpus["gpu"])

    def _candidates(self, of: CandidateSet) -> list[Candidate]:
        """Every candidate of a field, in the inventory's order."""
        estimates = self.estimates_of(of)
        gpu = {config for i in of.gpu for config in of.groups[i].gpu}
        return [
            self._candidate(of, kind.spec.config, device, estimates.get(kind.spec.config))
            for kind in self.kinds
            for device in DEVICES
            if self.can[kind.spec.config, device] and (device == "cpu" or kind.spec.config in gpu)
        ]

    def _candidate(self, of: CandidateSet, config: str, device: Device, estimate: Estimate | None) -> Candidate:
        wait = None if of.waits is None else of.waits.wait_s(config, device)
        gpus = 0.0 if device == "cpu" else self.limits.gpus if of.shares is None else of.shares[config].gpus
        return Candidate(config, device, self.limits.cpus[device], gpus, estimate, wait)

    def estimates_of(self, of: CandidateSet) -> dict[str, Estimate | None]:
        """The estimate of each kind."""
        by_group = [of.estimate(i) for i in range(len(of.groups))]
        return {config: by_group[i] for i, one in enumerate(of.groups) for config in one.configs}


Figures = tuple[object, ...]


def alike(kinds: Sequence[NodeKind], can: Mapping[tuple[str, Device], bool]) -> list[list[NodeKind]]:
    """The kinds in at most MOST_GROUPS groups of like ones; kinds that may do different things are never alike."""
    may = [(bool(k.grants_gpus), *(can[k.spec.config, device] for device in DEVICES)) for k in kinds]
    groups = grouped(kinds, [(m, identity(k.spec)) for m, k in zip(may, kinds, strict=True)])
    for step in STEPS:
        if len(groups) <= MOST_GROUPS:
            break
        groups = grouped(kinds, [(m, rounded(k.spec, step)) for m, k in zip(may, kinds, strict=True)])
    return groups


def grouped(kinds: Sequence[NodeKind], keys: Sequence[object]) -> list[list[NodeKind]]:
    """The kinds by key, in their order."""
    groups: dict[object, list[NodeKind]] = {}
    for kind, key in zip(kinds, keys, strict=True):
        groups.setdefault(key, []).append(kind)
    return list(groups.values())


def identity(node: NodeSpec) -> Figures:
    """All that a selector may look at."""
    figures = (getattr(node, name) for name in QUANTITIES)
    return (node.cpus, node.gpus, node.cpu_name, node.gpu_name, *figures, tuple(sorted(node.probes.items())))


def rounded(node: NodeSpec, step: float) -> Figures:
    """The figures of the selector's features, each to so many steps a doubling."""
    figures = [getattr(node, name) for name in QUANTITIES if name != "ram_gb"]
    return tuple(None if value is None else round(step * math.log2(value + 1)) for value in (*figures, node.cpus))
