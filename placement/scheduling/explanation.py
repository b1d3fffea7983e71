"""Explanation: a decision with every candidate of the snapshot, taken or not, and the reason."""

from __future__ import annotations

from copy import deepcopy
from dataclasses import dataclass

from placement.prediction.estimate import Estimate
from placement.prediction.runtime_history import size_of
from placement.scheduling.candidates import Policy, has
from placement.scheduling.decision import Decision, decide
from placement.scheduling.feasibility import Limits as Limits
from placement.scheduling.feasibility import infeasible
from placement.scheduling.snapshot import Snapshot
from placement.spec.task import DEVICES, Device, TaskSpec

MAY_BE_UNKNOWN = ("takes", "wait")
"""Columns of an explanation that are left out where nothing is known of any candidate."""


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
    return explained(decision, task, function, limits, snapshot)


def explained(decision: Decision, task: TaskSpec, function: str, limits: Limits, snapshot: Snapshot) -> Explanation:
    """The table of a decision that was taken. Estimates hold what history has learned since."""
    seen = snapshot.history.known((function, size_of(task)))
    offer = snapshot.candidate_table(limits)
    estimates = offer.estimates_of(offer.candidates(task, seen))
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
