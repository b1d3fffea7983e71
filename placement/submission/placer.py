"""Placer: decides for the calls of one function or class under one set of options."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from itertools import chain
from typing import Any

from placement.errors import NotServedError
from placement.ray_internals.connection import auto_init_ray
from placement.scheduling.candidates import Policy, has
from placement.scheduling.decision import COLD_START, Decision, decide, preferred
from placement.scheduling.decision_table import DecisionTable
from placement.scheduling.explanation import Explanation, explain
from placement.scheduling.exploration import may_explore
from placement.scheduling.feasibility import Limits, infeasible, never_feasible
from placement.scheduling.policies.registry import policy_of
from placement.scheduling.queue_model import Backlog
from placement.scheduling.snapshot import Snapshot
from placement.spec.node import Inventory
from placement.spec.task import DEVICES, Device, TaskSpec
from placement.submission.data_locality import prefer_local_data, refs_in
from placement.submission.options import PlacementOptions, own_options
from placement.submission.ray_constraints import (
    WISHES,
    all_known,
    caller_context,
    has_wishes,
    limits_of,
    names_node,
    narrowed,
)
from placement.submission.snapshot_client import caller
from placement.submission.spec_reader import SpecReader

NO_CANDIDATE = "no_candidate"

logger = logging.getLogger("placement")


class Placer(SpecReader):
    """The user's spec, options and limits, and the decision they come to on the cluster as it is.

    check: raises the TypeError of arguments that do not fit the user's signature; asked where the spec failed on them.
    explores: its tasks may try a device; a decision that holds for more than one task is no trial.
    """

    def __init__(
        self, name: str, options: PlacementOptions, ray_options: dict[str, Any], check: Callable[..., None], *,
        explores: bool = False,
    ) -> None:  # fmt: skip
        super().__init__(name, options, check)
        self.key = name  # of the history; a Handle sets its function's own
        self.options = options
        self.ray_options = ray_options
        self._policy: Policy | None = None if options.policy is None else policy_of(options.policy)
        limits = limits_of(options, ray_options)
        self._own_limits = limits if explores else replace(limits, strict=True)
        self.table: DecisionTable | None = None
        self._told_unserved = False

    def decide(self, task: TaskSpec, snapshot: Snapshot, context: Any) -> Decision:
        """The decision for one task; context: `caller_context()` of the calling process.

        Soft wishes give way where they leave no candidate. Raises NotServedError where no node will ever do.
        """
        table = self.table_for(snapshot, context)
        limits, decision = table.limits, table.decide(task)
        if decision.reason != NO_CANDIDATE:
            if decision.reason == COLD_START and not limits.strict:
                caller().follow_load()  # a GPU is tried where one idles
            return charged(decision, snapshot)
        for weaker in self._weaker_limits(snapshot, context):
            limits = weaker
            decision = decide(task, self.key, limits, snapshot, policy=self._policy)
            if decision.reason != NO_CANDIDATE:
                return charged(decision, snapshot)
        return self._without_candidate(decision, task, limits, snapshot)

    def _without_candidate(self, decision: Decision, task: TaskSpec, limits: Limits, snapshot: Snapshot) -> Decision:
        """The task waits as under ray.remote, and that is said once; NotServedError where it would wait for ever.

        A task that must run on a named node is left to Ray, which fails it by itself where that node cannot.
        """
        possible = possible_devices(task, limits, snapshot.inventory)
        if not names_node(self.ray_options):
            self._tell_unserved(task, limits, snapshot, never=not possible)
        if "cpu" in self._own_limits.excluded or possible == {"gpu"}:
            return replace(decision, device="gpu", gpus=limits.gpus, cpus=limits.cpus["gpu"])
        return decision

    def _tell_unserved(self, task: TaskSpec, limits: Limits, snapshot: Snapshot, *, never: bool) -> None:
        table = explain(task, self.key, limits, snapshot, policy=self._policy).considered
        reasons = dict.fromkeys(f"{one.config} {one.device}: {one.reason}" for one in table)
        why = f"no node can take {self.name}: " + ("; ".join(reasons) or "the cluster has none with CPUs")
        if never and snapshot.inventory.complete and all_known(snapshot):
            raise NotServedError(
                f"{why}. Neither can a node type of the autoscaler's that placement.start(node_types=) names: "
                "ask for less, or name a type (with its `config` label) that has it."
            )
        if not self._told_unserved:
            self._told_unserved = True
            logger.warning(
                "%s. It waits for one that can, as under ray.remote. Name what your autoscaler could start by "
                "placement.start(node_types=) ({} where there is none), and such a task fails at once instead.", why,
            )  # fmt: skip

    def _weaker_limits(self, snapshot: Snapshot, context: Any) -> Iterator[Limits]:
        """The limits without soft wishes, then without demands that a node not started yet may meet."""
        if has_wishes(self.options, self.ray_options, snapshot):
            for wishes in WISHES[1:]:
                yield narrowed(self._own_limits, self.options, self.ray_options, snapshot, context, wishes)

    def _narrowed(self, snapshot: Snapshot, context: Any) -> Limits:
        """The strictest reading of the user's options that leaves a candidate, whatever the task."""
        limits = narrowed(self._own_limits, self.options, self.ray_options, snapshot, context)
        for weaker in chain((limits,), self._weaker_limits(snapshot, context)):
            if any(never_feasible(kind, d, weaker) is None for kind in snapshot.inventory.kinds for d in DEVICES):
                return weaker
        return limits

    def looks(self, snapshot: Snapshot) -> bool:
        """The policy may look at the queues, or tasks may try devices that idle."""
        return not has(self._policy or snapshot.policy, "ignores_queues") or self._explores(snapshot)

    def _explores(self, snapshot: Snapshot) -> bool:
        """Tasks that the estimates know may try another device."""
        trials = snapshot.trials
        known = trials is not None and trials.explores_known and not self._own_limits.strict
        return known and has(self._policy or snapshot.policy, "needs_estimates")

    def prefer_local_data(
        self, decision: Decision, task: TaskSpec, args: Any, kwargs: Any, snapshot: Snapshot, context: Any
    ) -> Decision:
        """The decision, or another config of the same device that holds the arguments, where that ends sooner."""
        if not self.looks(snapshot) or not (refs := refs_in(args, kwargs)):
            return decision
        return prefer_local_data(decision, refs, self.table_for(snapshot, context).candidates(task), snapshot)

    def count(self, decision: Decision, snapshot: Snapshot) -> None:
        """Counts a task that is sent now, where the policy looks at the queues."""
        if self.looks(snapshot) and decision.config is not None and isinstance(snapshot.backlog, Backlog):
            slots = decision.gpus if decision.device == "gpu" else decision.cpus
            if slots:  # a task of num_cpus=0 takes no place in the queue
                snapshot.backlog.enqueue(
                    decision.config, decision.device, decision.seconds, slots, decision.gpu_price, decision.joules
                )

    def explain(self, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> Explanation:
        """The decision for these arguments as it would be now: every candidate, and why it was or was not taken."""
        auto_init_ray()
        snapshot, context = caller().current(), caller_context()
        task = self.task(args, kwargs)
        found = explain(task, self.key, self.limits(snapshot, context), snapshot, policy=self._policy)
        if found.decision.reason == NO_CANDIDATE:
            for weaker in self._weaker_limits(snapshot, context):
                other = explain(task, self.key, weaker, snapshot, policy=self._policy)
                if other.decision.reason != NO_CANDIDATE:
                    return other
        return found

    def limits(self, snapshot: Snapshot, context: Any) -> Limits:
        """The user's limits on this snapshot."""
        return self._narrowed(snapshot, context)

    def table_for(self, snapshot: Snapshot, context: Any) -> DecisionTable:
        """The decisions on this snapshot and in this context; made anew where either has changed."""
        table = self.table
        if table is None or table.snapshot is not snapshot or table.context != context:
            if self.looks(snapshot):
                caller().follow_load()
            table = DecisionTable(self.key, self.limits(snapshot, context), snapshot, self._policy, context, table)
            self.table = table
        return table

    def repeats(self, decision: Decision, snapshot: Snapshot) -> bool:
        """False where it was drawn by chance, or by a policy of whose state nothing is known: it holds for one task.

        Where there is one way only, no policy has a say.
        """
        if decision.reason == "only_device" and len(decision.configs) == 1:
            return True
        if decision.propensity != 1.0 or not has(self._policy or snapshot.policy, "stateless"):
            return False
        if self._own_limits.strict:
            return True
        # Where a device could be tried, the budget may have room by the next task.
        return decision.reason != COLD_START and not (self._explores(snapshot) and may_explore(decision.probability))

    def ray_options_for(self, decision: Decision, snapshot: Snapshot, context: Any, task: TaskSpec) -> dict[str, Any]:
        """The options under which Ray carries the decision out: the user's own, and what they leave open.

        Configs are asked for softly and in order: Ray takes the first of the decision's tiers that has a node free;
        where all are taken or gone, a spare one that can run the task will do.
        """
        options = own_options(self.options, self.ray_options, decision.device)
        if decision.device == "gpu":
            options["num_gpus"] = decision.gpus if self._own_limits.shares else options.get("num_gpus") or 1
        else:
            options.pop("num_gpus", None)
        captured = context is not None and context[1] is not None
        # Without a preference CPU tasks are left to Ray, unless its autoscaler would start nodes with GPUs for them.
        picks = decision.device == "gpu" or bool(decision.tiers) or self.looks(snapshot) or bool(snapshot.planned)
        if picks and not captured and self._leaves_node_open(options):
            tiers = preferred(decision, self.table_for(snapshot, context).candidates(task))
            where = [node_labels(replace(decision, configs=tier), snapshot) for tier in tiers]
            if where and where[0]:
                own = options.get("label_selector") or {}  # the tiers are within it
                first, *others = where
                options["label_selector"] = {**own, **first} if others else {**first, **own}
                if others:
                    options["fallback_strategy"] = [{"label_selector": {**own, **labels}} for labels in others]
        return options

    def _leaves_node_open(self, options: Mapping[str, Any]) -> bool:
        """No option of the user's picks the node by itself, so that a label may be added."""
        return (
            options.get("scheduling_strategy") in (None, "DEFAULT", "SPREAD")
            and options.get("placement_group", "default") in ("default", None)
            and not options.get("fallback_strategy")
        )

    def __getstate__(self) -> dict[str, Any]:
        return self.__dict__ | {"table": None}


def charged(decision: Decision, snapshot: Snapshot) -> Decision:
    """The decision, its costs charged to the budget of exploration where it is a trial."""
    if decision.trial.expected_s and snapshot.trials is not None:
        snapshot.trials.spend(decision.trial)
    return decision


def possible_devices(task: TaskSpec, limits: Limits, inventory: Inventory) -> set[Device]:
    """The devices that could take the task some day: other programs end, a failure need not come again, a node with
    a GPU may be started for the CPU."""
    kinds = [replace(kind, gpu_free_gb=None, planned=False) for kind in inventory.kinds]
    return {d for d in DEVICES if any(infeasible(task, kind, d, limits, None) is None for kind in kinds)}


def node_labels(decision: Decision, snapshot: Snapshot) -> dict[str, str]:
    """The label selector of a decision's nodes; empty where every node that could take the task will do.

    A kind of node whose nodes carry no `config` label is named by their ids.
    """
    kinds = [k for k in snapshot.inventory.kinds if (k.grants_gpus if decision.device == "gpu" else k.grants_cpus)]
    chosen = [k for k in kinds if k.spec.config in decision.configs]
    if not chosen or len(chosen) == len(kinds):
        return {}
    if all(kind.labelled for kind in chosen):
        return {"config": f"in({','.join(kind.spec.config for kind in chosen)})"}
    return {"ray.io/node-id": f"in({','.join(node_id for kind in chosen for node_id in kind.node_ids)})"}
