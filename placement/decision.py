"""decide(): task, limits and snapshot in, one Decision out. explain(): the whole table, with reasons.

Pure: what the cluster is like comes in as a Snapshot; nothing here asks it anything.
"""

from __future__ import annotations

import math
import random
from collections.abc import Callable
from copy import deepcopy
from dataclasses import dataclass, field, replace

from placement.candidates import Choice, Field, Waits, Weighed
from placement.history import COLD_START_RUNS, History, Key, Seen, size_of
from placement.node import Inventory
from placement.offer import Limits as Limits
from placement.offer import Offer, infeasible
from placement.policies import DRAWING, ESTIMATING, Policy, SelectorPolicy, name_of
from placement.rule import JointThreshold
from placement.selector import Estimate, Selector
from placement.task import DEVICES, Device, TaskSpec

LARGEST_OFFERS = 64
AWAITS_NODE = "awaits_node"
"""Added to a decision's reason where no node of its configs runs: the task waits for the autoscaler to start one."""
MAY_BE_UNKNOWN = ("takes", "wait")
"""Columns of an explanation that are left out where nothing is known of any candidate."""
EXPLORATION = 0.05  # share of cold-start tasks that try an untried GPU, once the CPU has been timed


@dataclass(frozen=True)
class Snapshot:
    """Everything that a caller needs to decide alone, at one moment of the cluster.

    version: rises with every change.  unix_time: when it was made, s.  history: what callers know of past runs.
    backlog: how long the queues are; None = nothing is known of them.  planned: the inventory's.
    """

    version: int
    inventory: Inventory
    selector: Selector
    policy: Policy = field(default_factory=SelectorPolicy)
    thresholds: JointThreshold = field(default_factory=JointThreshold)
    history: History = field(default_factory=History)
    unix_time: float | None = None
    backlog: Waits | None = None
    planned: frozenset[str] = field(default=frozenset(), init=False, repr=False, compare=False)
    _offers: dict[int, tuple[Limits, Offer]] = field(default_factory=dict, init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "planned", self.inventory.planned)

    def offer(self, limits: Limits) -> Offer:
        """What the cluster offers under these limits; worked out once for each."""
        kept = self._offers.get(id(limits))
        if kept is not None and kept[0] is limits:
            return kept[1]
        found = next((offer for known, offer in list(self._offers.values()) if known == limits), None)
        if found is None:
            found = Offer(self.inventory, limits, self.selector, self.thresholds, self.backlog)
        if len(self._offers) >= LARGEST_OFFERS:
            self._offers.clear()
        self._offers[id(limits)] = (limits, found)
        return found

    def after(self, before: Snapshot | None) -> Snapshot:
        """This snapshot with the offers that were worked out for another, where all they stand on is the same."""
        if before is None or self.selector is not before.selector or self.backlog is not before.backlog:
            return self
        if self.thresholds != before.thresholds or self.inventory != before.inventory:
            return self
        kept = replace(self, inventory=before.inventory)
        object.__setattr__(kept, "_offers", before._offers)
        return kept

    def __getstate__(self) -> dict[str, object]:
        return {**self.__dict__, "_offers": {}, "backlog": None}


@dataclass(frozen=True, slots=True)
class Decision:
    """What was picked for one task, and why.

    config: the best of the kinds of node that will do; configs: all of them, best first (Ray takes the first that is
    free).  cpus, gpus: granted.  probability: P(GPU) it was decided on.  propensity: the probability with which the
    policy picks this device here, 1.0 unless it explores.  wait_s, seconds: expected before and for the run, where the
    policy looked at them.  backlog_age_s: since the cluster's queues were last polled; None = they are not known.
    weighed: what was compared, where something would have to be waited for.
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
    wait_s: float | None = None
    seconds: float | None = None
    backlog_age_s: float | None = None
    weighed: Weighed | None = None


@dataclass(frozen=True, slots=True)
class Considered:
    """One row of explain(): a (config, device), whether it was taken, and why or why not.

    wait_s, seconds (warm, of the whole task): expected there; None = not known, or it cannot run there.
    """

    config: str
    device: Device
    cpus: float
    taken: bool
    reason: str
    estimate: Estimate | None = None
    wait_s: float | None = None
    seconds: float | None = None


@dataclass(frozen=True, slots=True)
class Explanation:
    """A Decision with every candidate, taken or not; prints as a table."""

    task: TaskSpec
    decision: Decision
    considered: tuple[Considered, ...]

    def __str__(self) -> str:
        d = self.decision
        rows: list[tuple[str, ...]] = [("config", "device", "cpus", "p_gpu", "takes", "wait", "taken", "reason")]
        rows += [
            (c.config, c.device, f"{c.cpus:g}", "-" if c.estimate is None else f"{c.estimate.p_gpu:.3f}",
             _in_seconds(c.seconds), _in_seconds(c.wait_s), "yes" if c.taken else "", c.reason)
            for c in self.considered
        ]  # fmt: skip
        told = [
            i for i, name in enumerate(rows[0]) if name not in MAY_BE_UNKNOWN or {row[i] for row in rows[1:]} - {"-"}
        ]
        rows = [tuple([row[i] for i in told]) for row in rows]
        widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
        table = "\n".join(
            "  ".join(cell.ljust(w) for cell, w in zip(row, widths, strict=True)).rstrip() for row in rows
        )
        versions = f"selector {d.selector_version}, snapshot {d.snapshot_version}"
        age = "not known" if d.backlog_age_s is None else f"of {d.backlog_age_s:.1f} s ago"
        head = f"{d.device} ({d.reason}) by policy {d.policy}, {versions}, queues {age}"
        if d.weighed is not None:
            head += f"\ncompared: {d.weighed}"
        return f"{head}\n{table}" if self.considered else head


def decide(
    task: TaskSpec, function: str, limits: Limits, snapshot: Snapshot, *,
    policy: Policy | None = None, chance: Callable[[], float] = random.random,
) -> Decision:  # fmt: skip
    """The decision for one task.

    task: what it is.  function: its name, under which history keeps it.  policy: instead of the snapshot's.
    chance: uniform numbers in [0, 1), asked only where the decision explores.
    """
    policy = policy or snapshot.policy
    history = snapshot.history
    seen = history.get((function, size_of(task))) if len(history) else None
    candidates = snapshot.offer(limits).field(task, seen)
    if not candidates.gpu and not candidates.cpu_configs:
        choice = Choice("cpu", (), "no_candidate")
    elif isinstance(policy, ESTIMATING) and not candidates.known():
        choice = cold_start(candidates, seen, limits, chance)
    else:
        choice = policy.choose(task, candidates)
    return _decision(choice, limits, snapshot, policy)


def cold_start(candidates: Field, seen: Seen | None, limits: Limits, chance: Callable[[], float]) -> Choice:
    """For a task of which nothing is known: the CPU until it was timed, then now and then a GPU."""
    cpu = candidates.cpu_configs
    if not cpu or not candidates.gpu:
        return Choice("cpu", cpu, "only_device") if cpu else Choice("gpu", candidates.gpu_configs(), "only_device")
    if limits.strict or seen is None or seen.warm_runs("cpu") < COLD_START_RUNS:
        return Choice("cpu", cpu, "cold_start")
    if chance() < EXPLORATION:
        return Choice("gpu", candidates.gpu_configs(), "cold_start_tries_gpu", None, EXPLORATION)
    return Choice("cpu", cpu, "cold_start", None, 1 - EXPLORATION)


def explain(
    task: TaskSpec, function: str, limits: Limits, snapshot: Snapshot, *, policy: Policy | None = None
) -> Explanation:
    """decide(), with every candidate of the snapshot and the reason it was or was not taken.

    Tells what decide() would do next, without a hand in it: a coin is thrown on a copy, a cold start does not explore.
    """
    policy = policy or snapshot.policy
    if isinstance(policy, DRAWING):
        policy = deepcopy(policy)
    decision = decide(task, function, limits, snapshot, policy=policy, chance=lambda: 1.0)
    return explained(decision, task, function, limits, snapshot)


def explained(decision: Decision, task: TaskSpec, function: str, limits: Limits, snapshot: Snapshot) -> Explanation:
    """The table of a decision that was taken. Estimates hold what history has learned since."""
    seen = snapshot.history.get((function, size_of(task)))
    offer = snapshot.offer(limits)
    estimates = offer.estimates_of(offer.field(task, seen))
    rows = []
    for kind in snapshot.inventory.kinds:
        config = kind.spec.config
        for device in DEVICES:
            fault = infeasible(task, kind, device, limits, seen)
            taken = fault is None and device == decision.device and config in decision.configs
            reason = fault or (decision.reason if taken else _why_not(device, estimates[config], decision))
            wait = None if fault or offer.waits is None else offer.waits.wait_s(config, device)
            estimate = estimates[config]
            seconds = None if fault or estimate is None else estimate.seconds_on(device)
            rows.append(Considered(config, device, limits.cpus[device], taken, reason, estimate, wait, seconds))
    return Explanation(task, decision, tuple(rows))


def _in_seconds(seconds: float | None) -> str:
    return "-" if seconds is None else f"{seconds:.3g} s"


def _why_not(device: Device, estimate: Estimate | None, decision: Decision) -> str:
    if device != decision.device:
        return f"the {decision.device} was taken: {decision.reason}"
    return "another config promises more" if estimate else "nothing is known of it there"


def _decision(choice: Choice, limits: Limits, snapshot: Snapshot, policy: Policy) -> Decision:
    device, configs, waits = choice.device, choice.configs, snapshot.backlog
    reason = choice.reason
    if snapshot.planned and configs and snapshot.planned.issuperset(configs):
        reason = f"{reason}, {AWAITS_NODE}"
    return Decision(
        device, configs[0] if configs else None, configs, limits.cpus[device], limits.gpus if device == "gpu" else 0.0,
        reason, name_of(policy), snapshot.selector.version, snapshot.version, choice.probability,
        choice.propensity, choice.wait_s, choice.seconds, None if waits is None else waits.age_s,
        choice.weighed,
    )  # fmt: skip


def spare(task: TaskSpec, function: str, decision: Decision, limits: Limits, snapshot: Snapshot) -> str | None:
    """The config beside those chosen where the same device takes the least seconds; None where there is none other.

    Ray is told of it, so that a task does not wait for ever for a config that has gone. Ray also takes it where it is
    free while the chosen ones are not; with one spare alone that made 2 % of the makespan in simulation.
    """
    seen = snapshot.history.get((function, size_of(task)))
    offered = snapshot.offer(limits).field(task, seen)
    chosen, best = set(decision.configs), (math.inf, math.inf, "")
    for i, one in enumerate(offered.lots):
        configs = one.cpu if decision.device == "cpu" else one.gpu if i in offered.gpu else ()
        other = next((config for config in configs if config not in chosen), None)
        if other is not None:
            e = offered.estimate(i)
            seconds = None if e is None else e.seconds_on(decision.device)
            p = 0.0 if e is None else e.p_gpu
            best = min(best, (math.inf if seconds is None else seconds, -p, other))
    return best[2] or None


def key_of(function: str, task: TaskSpec) -> Key:
    """The key under which history keeps a function's runs at this size."""
    return function, size_of(task)
