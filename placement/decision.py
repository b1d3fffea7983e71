"""decide(): task, limits and snapshot in, one Decision out. explain(): the whole table, with reasons.

Pure: what the cluster is like comes in as a Snapshot; nothing here asks it anything.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping
from copy import deepcopy
from dataclasses import dataclass, field

from placement.history import COLD_START_RUNS, History, Key, Seen, posterior, size_of
from placement.node import Inventory, Kind, NodeSpec
from placement.policies import Candidate, Choice, Policy, Random, SelectorPolicy, name_of, on
from placement.rule import JointThreshold
from placement.selector import Estimate, Selector
from placement.task import DEVICES, Device, TaskSpec

EXPLORATION = 0.05  # share of cold-start tasks that try an untried GPU, once the CPU has been timed


@dataclass(frozen=True, slots=True)
class Limits:
    """How the user's own options narrow the candidates.

    cpus: CPUs granted, by device.  gpus: GPUs granted to a GPU task (a fraction shares one).
    excluded: device -> why it is no candidate.  configs: the only configs that will do, None = all.
    configs_reason: what the user said that narrows them.  strict: never explore.
    """

    cpus: Mapping[Device, float] = field(default_factory=lambda: {"cpu": 1.0, "gpu": 1.0}, hash=False)
    gpus: float = 1.0
    excluded: Mapping[Device, str] = field(default_factory=dict, hash=False)
    configs: frozenset[str] | None = None
    configs_reason: str = "your label_selector"
    strict: bool = False


@dataclass(frozen=True)
class Snapshot:
    """Everything that a caller needs to decide alone, at one moment of the cluster.

    version: rises with every change.  unix_time: when it was made, s.  history: what callers know of past runs.
    """

    version: int
    inventory: Inventory
    selector: Selector
    policy: Policy = field(default_factory=SelectorPolicy)
    thresholds: JointThreshold = field(default_factory=JointThreshold)
    history: History = field(default_factory=History)
    unix_time: float | None = None


@dataclass(frozen=True, slots=True)
class Decision:
    """What was picked for one task, and why.

    config: the best of the kinds of node that will do; configs: all of them, best first (Ray takes the first that is
    free).  cpus, gpus: granted.  probability: P(GPU) it was decided on.  propensity: the probability with which the
    policy picks this device here, 1.0 unless it explores.
    """

    device: Device
    config: str | None
    configs: tuple[str, ...]
    cpus: float
    gpus: float
    reason: str
    policy: str
    selector_version: str
    snapshot_version: int
    probability: float | None = None
    propensity: float = 1.0


@dataclass(frozen=True, slots=True)
class Considered:
    """One row of explain(): a (config, device), whether it was taken, and why or why not."""

    config: str
    device: Device
    cpus: float
    taken: bool
    reason: str
    estimate: Estimate | None = None


@dataclass(frozen=True, slots=True)
class Explanation:
    """A Decision with every candidate, taken or not; prints as a table."""

    task: TaskSpec
    decision: Decision
    considered: tuple[Considered, ...]

    def __str__(self) -> str:
        d = self.decision
        rows = [("config", "device", "cpus", "p_gpu", "taken", "reason")]
        rows += [
            (c.config, c.device, f"{c.cpus:g}", "-" if c.estimate is None else f"{c.estimate.p_gpu:.3f}",
             "yes" if c.taken else "", c.reason)
            for c in self.considered
        ]  # fmt: skip
        widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
        table = "\n".join(
            "  ".join(cell.ljust(w) for cell, w in zip(row, widths, strict=True)).rstrip() for row in rows
        )
        versions = f"selector {d.selector_version}, snapshot {d.snapshot_version}"
        head = f"{d.device} ({d.reason}) by policy {d.policy}, {versions}"
        return f"{head}\n{table}"


def decide(
    task: TaskSpec, function: str, limits: Limits, snapshot: Snapshot, *,
    policy: Policy | None = None, chance: Callable[[], float] = random.random,
) -> Decision:  # fmt: skip
    """The decision for one task.

    task: what it is.  function: its name, under which history keeps it.  policy: instead of the snapshot's.
    chance: uniform numbers in [0, 1), asked only where the decision explores.
    """
    policy = policy or snapshot.policy
    seen = snapshot.history.get((function, size_of(task)))
    candidates = [c for c, fault in _considered(task, limits, snapshot, seen) if fault is None]
    if not candidates:
        choice = Choice("cpu", (), "no_candidate")
    elif isinstance(policy, SelectorPolicy) and not any(c.estimate for c in on("gpu", candidates)):
        choice = cold_start(candidates, seen, limits, chance)
    else:
        choice = policy.choose(task, candidates)
    return _decision(choice, limits, snapshot, policy)


def cold_start(candidates: list[Candidate], seen: Seen | None, limits: Limits, chance: Callable[[], float]) -> Choice:
    """For a task of which nothing is known: the CPU until it was timed, then now and then a GPU."""
    gpu = tuple(c.config for c in on("gpu", candidates))
    cpu = tuple(c.config for c in on("cpu", candidates))
    if not cpu or not gpu:
        return Choice("gpu" if gpu else "cpu", gpu or cpu, "only_device")
    if limits.strict or seen is None or seen.warm_runs("cpu") < COLD_START_RUNS:
        return Choice("cpu", cpu, "cold_start")
    if chance() < EXPLORATION:
        return Choice("gpu", gpu, "cold_start_tries_gpu", None, EXPLORATION)
    return Choice("cpu", cpu, "cold_start", None, 1 - EXPLORATION)


def explain(
    task: TaskSpec, function: str, limits: Limits, snapshot: Snapshot, *, policy: Policy | None = None
) -> Explanation:
    """decide(), with every candidate of the snapshot and the reason it was or was not taken.

    Tells what decide() would do next, without a hand in it: a coin is thrown on a copy, a cold start does not explore.
    """
    policy = policy or snapshot.policy
    if isinstance(policy, Random):
        policy = deepcopy(policy)
    decision = decide(task, function, limits, snapshot, policy=policy, chance=lambda: 1.0)
    seen = snapshot.history.get((function, size_of(task)))
    rows = []
    for candidate, fault in _considered(task, limits, snapshot, seen):
        taken = fault is None and candidate.device == decision.device and candidate.config in decision.configs
        reason = fault or (decision.reason if taken else _why_not(candidate, decision))
        rows.append(Considered(candidate.config, candidate.device, candidate.cpus, taken, reason, candidate.estimate))
    return Explanation(task, decision, tuple(rows))


def _why_not(candidate: Candidate, decision: Decision) -> str:
    if candidate.device != decision.device:
        return f"the {decision.device} was taken: {decision.reason}"
    return "another config promises more" if candidate.estimate else "nothing is known of it there"


def _considered(
    task: TaskSpec, limits: Limits, snapshot: Snapshot, seen: Seen | None
) -> list[tuple[Candidate, str | None]]:
    """Every (config, device) with its estimate and, where it is not feasible, why."""
    rows: list[tuple[Candidate, str | None]] = []
    for kind in snapshot.inventory.kinds:
        estimate = estimate_of(task, kind.spec, limits, snapshot, seen) if kind.grants_gpus else None
        for device in DEVICES:
            fault = infeasible(task, kind, device, limits, seen)
            gpus = limits.gpus if device == "gpu" else 0.0
            rows.append((Candidate(kind.spec.config, device, limits.cpus[device], gpus, estimate), fault))
    return rows


def estimate_of(
    task: TaskSpec, node: NodeSpec, limits: Limits, snapshot: Snapshot, seen: Seen | None
) -> Estimate | None:
    """The selector's estimate, sharpened by what was seen of this function and size on this kind of node."""
    prior = snapshot.selector.estimate(task, node, limits.cpus["cpu"])
    if seen is None:
        return prior
    cpu = seen.at(node.config, "cpu", limits.cpus["cpu"])
    return posterior(prior, cpu, seen.at(node.config, "gpu", limits.cpus["gpu"]), snapshot.thresholds)


def infeasible(task: TaskSpec, kind: Kind, device: Device, limits: Limits, seen: Seen | None) -> str | None:
    """Why a (config, device) cannot take the task; None where it can."""
    node = kind.spec
    if device in limits.excluded:
        return limits.excluded[device]
    if limits.configs is not None and node.config not in limits.configs:
        return f"excluded by {limits.configs_reason}"
    if limits.cpus[device] > kind.grants_cpus:
        return f"needs {limits.cpus[device]:g} CPUs, the node has {kind.grants_cpus:g}"
    if device == "cpu":
        return None
    if not kind.grants_gpus:
        return "no GPU"
    if limits.gpus > kind.grants_gpus:
        return f"needs {limits.gpus:g} GPUs, the node has {kind.grants_gpus:g}"
    memory = node.gpu_memory_gb
    if (
        task.memory_bytes is not None
        and memory is not None
        and task.memory_bytes > memory * 1e9 * min(limits.gpus, 1.0)
    ):
        return f"needs {task.memory_bytes / 1e9:.1f} GB of GPU memory, the device has {memory:g}"
    if seen is not None and node.config in seen.unfit:
        return f"failed there before: {seen.unfit[node.config]}"
    return None


def _decision(choice: Choice, limits: Limits, snapshot: Snapshot, policy: Policy) -> Decision:
    return Decision(
        device=choice.device,
        config=choice.configs[0] if choice.configs else None,
        configs=choice.configs,
        cpus=limits.cpus[choice.device],
        gpus=limits.gpus if choice.device == "gpu" else 0.0,
        reason=choice.reason,
        policy=name_of(policy),
        selector_version=snapshot.selector.version,
        snapshot_version=snapshot.version,
        probability=choice.probability,
        propensity=choice.propensity,
    )


def key_of(function: str, task: TaskSpec) -> Key:
    """The key under which history keeps a function's runs at this size."""
    return function, size_of(task)
