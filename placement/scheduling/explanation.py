"""Explanation: a decision with every candidate, taken or not, the threshold's tests and what would turn it."""

from __future__ import annotations

from copy import deepcopy
from dataclasses import dataclass

from placement.prediction.estimate import NO_BASIS, Estimate
from placement.prediction.runtime_history import RunHistory, size_of
from placement.scheduling.candidate_set import CandidateSet
from placement.scheduling.candidates import Policy, has
from placement.scheduling.considered_candidate import ConsideredCandidate as ConsideredCandidate
from placement.scheduling.cost_model import options_of, seconds_of
from placement.scheduling.decision import Decision, decide
from placement.scheduling.explanation_html import html
from placement.scheduling.explanation_text import text
from placement.scheduling.feasibility import CandidateTable, granted_memory, infeasible
from placement.scheduling.feasibility import Limits as Limits
from placement.scheduling.snapshot import Snapshot
from placement.scheduling.threshold_tests import ThresholdTests
from placement.scheduling.turning_points import turning_points
from placement.spec.joint_threshold import JointThreshold
from placement.spec.node import NodeKind
from placement.spec.task import DEVICES, Device, TaskSpec

PER_CONFIG = "selector_per_config"


@dataclass(frozen=True, slots=True)
class Explanation:
    """A Decision with every candidate, taken or not; prints as a table, in a notebook as HTML.

    tests: of the joint threshold, for the GPU of each config that is a candidate.  turns: what would turn the decision.
    """

    task: TaskSpec
    decision: Decision
    considered: tuple[ConsideredCandidate, ...]
    tests: tuple[ThresholdTests, ...] = ()
    turns: tuple[str, ...] = ()

    def __str__(self) -> str:
        return text(self.decision, self.considered, self.tests, self.turns)

    def _repr_html_(self) -> str:
        """The explanation in a notebook."""
        return html(self.decision, self.considered, self.tests, self.turns)


def explain(
    task: TaskSpec, function: str, limits: Limits, snapshot: Snapshot, *, policy: Policy | None = None
) -> Explanation:
    """decide(), with every candidate of the snapshot and the reason it was or was not taken.

    Tells what decide() would do next, without a hand in it: a coin is thrown on a copy, a cold start does not explore.
    """
    policy = policy or snapshot.policy
    if has(policy, "draws"):
        policy = deepcopy(policy)
    decision = decide(task, function, limits, snapshot, policy=policy, chance=lambda: 1.0)
    return explained(decision, task, function, limits, snapshot, policy)


def explained(
    decision: Decision, task: TaskSpec, function: str, limits: Limits, snapshot: Snapshot, policy: Policy | None = None
) -> Explanation:
    """The explanation of a decision that was taken. Estimates hold what history has learned since.

    policy: that decided, for what would turn the decision; None leaves that out.
    """
    seen = snapshot.history.known((function, size_of(task)))
    table = snapshot.candidate_table(limits)
    found = table.candidates(task, seen)
    estimates = table.estimates_of(found)
    rows = tuple(
        _considered(kind, device, decision, task, limits, seen, estimates[kind.spec.config], table)
        for kind in snapshot.inventory.kinds
        for device in DEVICES
    )
    turns = () if policy is None else turning_points(decision, task, seen, limits, snapshot, policy)
    return Explanation(task, decision, rows, _tests(rows, found, decision, snapshot.thresholds), turns)


def _considered(
    kind: NodeKind, device: Device, decision: Decision, task: TaskSpec, limits: Limits, seen: RunHistory | None,
    estimate: Estimate | None, table: CandidateTable,
) -> ConsideredCandidate:  # fmt: skip
    config = kind.spec.config
    fault = infeasible(task, kind, device, limits, seen)
    taken = fault is None and device == decision.device and config in decision.configs
    reason = fault or (decision.reason if taken else _why_not(device, estimate, decision))
    wait = None if fault or table.waits is None else table.waits.wait_s(config, device)
    known = None if fault else estimate
    needs = memory = None
    if device == "gpu" and kind.grants_gpus and kind.spec.gpu_memory_gb is not None:
        needs = task.memory_bytes if task.memory_bytes is not None or seen is None else seen.gpu_memory_bytes
        memory = granted_memory(kind, limits)
    return ConsideredCandidate(
        config, device, limits.cpus[device], taken, reason, estimate, wait,
        None if known is None else known.seconds_on(device), None if known is None else known.joules_on(device),
        known.basis_on(device) if known else NO_BASIS, kind.spec.emulated, needs, memory, fault is None,
    )  # fmt: skip


def _tests(
    rows: tuple[ConsideredCandidate, ...], found: CandidateSet, decision: Decision, thresholds: JointThreshold
) -> tuple[ThresholdTests, ...]:
    """The tests of the GPU candidates of which something is known, surest first.

    Against the fastest CPU candidate, as `selector` compares them; by config where `selector_per_config` decided, and
    where no seconds are known.
    """
    options = None if decision.policy == PER_CONFIG else options_of(found)
    cpus = [option for option in options or () if option.device == "cpu"]
    fastest = min(cpus, key=lambda option: option.seconds, default=None)
    groups = {config: at for at, group in enumerate(found.groups) for config in group.configs}
    tests = []
    for row in rows:
        if row.device != "gpu" or row.estimate is None or not row.feasible:
            continue
        own_seconds = seconds_of(found, groups[row.config])[0]
        if fastest is None or own_seconds is None:
            tests.append(ThresholdTests.of(row.config, row.estimate, thresholds))
            continue
        estimate = found.estimate(fastest.group)
        joules = None if estimate is None else estimate.cpu_joules
        tests.append(ThresholdTests.against_cpu(row.config, row.estimate, own_seconds, fastest, joules, thresholds))
    return tuple(sorted(tests, key=lambda one: (-one.p_gpu, one.config)))


def _why_not(device: Device, estimate: Estimate | None, decision: Decision) -> str:
    if device != decision.device:
        return f"the {decision.device} was taken: {decision.reason}"
    return "another config promises more" if estimate else "nothing is known of it there"
