"""Snapshot: everything that a caller needs to decide alone, at one moment of the cluster."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

from placement.prediction.runtime_history import History
from placement.prediction.selector import Selector
from placement.scheduling.candidates import Policy, Waits
from placement.scheduling.feasibility import CandidateTable
from placement.scheduling.feasibility import Limits as Limits
from placement.scheduling.policies.selector_policy import SelectorPolicy
from placement.scheduling.trial_budget import TrialBudget
from placement.spec.joint_threshold import JointThreshold
from placement.spec.node import Inventory

MOST_TABLES = 64


@dataclass(frozen=True)
class Snapshot:
    """Everything that a caller needs to decide alone, at one moment of the cluster.

    version: rises with every change.  unix_time: when it was made, s.  history: what callers know of past runs.
    backlog: how long the queues are; None = nothing is known of them.  planned: the inventory's.
    trials: what exploration may cost; None = nothing is explored.
    """

    version: int
    inventory: Inventory
    selector: Selector
    policy: Policy = field(default_factory=SelectorPolicy)
    thresholds: JointThreshold = field(default_factory=JointThreshold)
    history: History = field(default_factory=History)
    unix_time: float | None = None
    backlog: Waits | None = None
    trials: TrialBudget | None = None
    planned: frozenset[str] = field(default=frozenset(), init=False, repr=False, compare=False)
    _tables: dict[Limits, CandidateTable] = field(default_factory=dict, init=False, repr=False, compare=False)
    """One for all functions of equal limits: a table of 1,000 kinds of node takes some 10 ms to make."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "planned", self.inventory.planned)

    def candidate_table(self, limits: Limits) -> CandidateTable:
        """The candidates under these limits; the same object for equal limits."""
        found = self._tables.get(limits)
        if found is None:
            if len(self._tables) >= MOST_TABLES:
                self._tables.clear()
            found = CandidateTable(self.inventory, limits, self.selector, self.thresholds, self.backlog)
            self._tables[limits] = found
        return found

    def after(self, before: Snapshot | None) -> Snapshot:
        """This snapshot with the candidate tables of an earlier one, where all that they are made of is the same."""
        if before is None or self.selector is not before.selector or self.backlog is not before.backlog:
            return self
        if self.thresholds != before.thresholds or self.inventory != before.inventory:
            return self
        kept = replace(self, inventory=before.inventory)
        object.__setattr__(kept, "_tables", before._tables)
        return kept

    def __getstate__(self) -> dict[str, object]:
        return {**self.__dict__, "_tables": {}, "backlog": None, "trials": None}
