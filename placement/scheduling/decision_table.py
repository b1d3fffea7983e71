"""DecisionTable: the decisions for one function on one snapshot, with the work that tasks have in common done once.

It is the one memory on the way of a decision. The call that submits the function's tasks owns it and makes a new one
for each snapshot; `decide` of `placement.scheduling.decision` does the same without a memory.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any, NamedTuple

from placement.prediction.runtime_history import Key, RunHistory, size_of
from placement.scheduling.candidate_set import CandidateSet
from placement.scheduling.candidates import Policy
from placement.scheduling.decision import Decision, decide_among
from placement.scheduling.feasibility import Limits
from placement.scheduling.snapshot import Snapshot
from placement.spec.task import TaskSpec

LARGEST_TABLE = 4_096
"""Rows, and plans, of one table; more sizes at once begin it anew."""


class Row(NamedTuple):
    """The candidates of one task. key, history: under which its runs are kept, and those taken into account."""

    task: TaskSpec
    key: Key | None
    history: RunHistory | None
    candidates: CandidateSet


class DecisionTable:
    """Decides for the tasks of one function under one snapshot and one set of limits.

    policy: in place of the snapshot's.  context: what the limits hang on beside the snapshot, for the owner to compare.
    before: the table of an earlier snapshot, whose rows still hold where the cluster offers the same.
    plans: empty at first; the owner keeps here how it submits a task while the table stands.
    """

    __slots__ = ("_rows", "candidate_table", "context", "function", "limits", "plans", "policy", "snapshot")

    def __init__(
        self, function: str, limits: Limits, snapshot: Snapshot, policy: Policy | None = None,
        context: object = None, before: DecisionTable | None = None,
    ) -> None:  # fmt: skip
        self.function, self.limits, self.snapshot, self.context = function, limits, snapshot, context
        self.policy: Policy = policy or snapshot.policy
        self.candidate_table = snapshot.candidate_table(limits)
        self.plans: dict[Any, Any] = {}
        self._rows: dict[int, Row] = {}
        if before is not None and before.candidate_table is self.candidate_table:
            self._rows = before._rows

    def decide(self, task: TaskSpec, chance: Callable[[], float] = random.random) -> Decision:
        """The decision for one task. chance: uniform numbers in [0, 1), used only where the decision explores."""
        row = self._row(task)
        return decide_among(row.candidates, task, row.history, self.limits, self.snapshot, self.policy, chance)

    def candidates(self, task: TaskSpec) -> CandidateSet:
        """The candidates of a task; the same object while neither its history nor what the cluster offers changes."""
        return self._row(task).candidates

    def keep_plan(self, key: Any, plan: Any) -> None:
        """Keeps a plan under a key of the owner's."""
        if len(self.plans) >= LARGEST_TABLE:
            self.plans.clear()
        self.plans[key] = plan

    def _row(self, task: TaskSpec) -> Row:
        row, history = self._rows.get(id(task)), self.snapshot.history
        if row is not None and row.task is not task:
            row = None
        key = seen = None
        if len(history):
            key = (row and row.key) or (self.function, size_of(task))
            seen = history.known(key)
        if row is not None and row.history is seen:
            return row
        if len(self._rows) >= LARGEST_TABLE:
            self._rows.clear()
        row = self._rows[id(task)] = Row(task, key, seen, self.candidate_table.candidates(task, seen))
        return row
