"""The decisions for the last tasks of this process, kept for `placement.explain(ref)`.

Two dictionaries of LARGEST_KEPT / 2 tasks each: when the newer is full the older is dropped. No ObjectRef is held.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import ray

from placement.errors import OptionError
from placement.scheduling.candidates import Comparison, Policy
from placement.scheduling.decision import Decision
from placement.scheduling.explanation import Explanation, explained
from placement.scheduling.feasibility import Limits
from placement.scheduling.policies.registry import POLICIES, name_of
from placement.scheduling.snapshot import Snapshot
from placement.spec.task import TaskSpec

LARGEST_KEPT = 10_000
TASK_ID_BYTES = ray.TaskID.size()
"""An ObjectRef begins with its task's id."""


class SentTask(NamedTuple):
    """A decision for a task of a function, and what it was taken from."""

    function: str
    limits: Limits
    task: TaskSpec
    decision: Decision
    snapshot: Snapshot


_newer: dict[Any, SentTask] = {}
_older: dict[Any, SentTask] = {}


def remember(refs: Any, sent: SentTask) -> None:
    """Keeps what was decided for the task of these refs; less than a microsecond."""
    global _newer, _older
    task_id = _task_id(refs)
    if task_id is not None:
        if len(_newer) >= LARGEST_KEPT // 2:
            _older, _newer = _newer, {}
        _newer[task_id] = sent


def _task_id(refs: Any) -> bytes | None:
    if type(refs) is not ray.ObjectRef:
        refs = next(iter(refs), None) if isinstance(refs, list) else getattr(refs, "_generator_ref", None)
    return refs.binary()[:TASK_ID_BYTES] if isinstance(refs, ray.ObjectRef) else None


def explain(ref: Any) -> Explanation:
    """The decision for a task already sent, by its ObjectRef (or list of them, or generator).

    Of the last 10,000 tasks of this process: the decision as it was taken, and every candidate; the estimates hold what
    history has learned since. Of others: the decision alone, from the log's record of the task, where a log is kept
    and the task has ended. Raises OptionError where neither knows the task.
    """
    task_id = _task_id(ref)
    if task_id is None:
        raise OptionError(f"explain: {ref!r} is no ObjectRef of a placed task. For arguments: fn.explain(*args).")
    sent = _newer.get(task_id) or _older.get(task_id)
    if sent is not None:
        return explained(sent.decision, sent.task, sent.function, sent.limits, sent.snapshot, _policy_of(sent))
    return _from_log(task_id.hex())


def decision_of(ref: Any) -> Decision | None:
    """The decision for one of the last tasks of this process; None of another. Some microseconds, unlike explain()."""
    task_id = _task_id(ref)
    sent = None if task_id is None else _newer.get(task_id) or _older.get(task_id)
    return None if sent is None else sent.decision


def _policy_of(sent: SentTask) -> Policy | None:
    """The policy that decided; None for a user's own that is not the snapshot's, of which the name alone is kept."""
    name = sent.decision.policy
    if name_of(sent.snapshot.policy) == name:
        return sent.snapshot.policy
    return POLICIES[name]() if name in POLICIES else None


def _from_log(task_id: str) -> Explanation:
    from placement.control_plane.client import actor_exists, call

    log = call("status")["log"] if actor_exists() else None
    rows = [] if log is None else _rows_of(log, task_id)
    if not rows or rows[-1]["policy"] is None:
        raise OptionError(
            f"explain: the task {task_id} was not placed by this process (or is not among its last {LARGEST_KEPT}), "
            + ("and no log is kept: placement.start(log=...) keeps one." if log is None else
               "and the log has no decision of it; its record comes when it has ended (placement.flush waits).")
        )  # fmt: skip
    row = rows[-1]
    decision = Decision(
        row["device"], row["config"], (row["config"],) if row["config"] else (), row["cpus"], row["gpus"] or 0.0,
        row["reason"], row["policy"], row["selector_version"], int(row["snapshot_version"]), row["probability"],
        row["propensity"], comparison=Comparison.of(row["weighed"]) if row["weighed"] else None,
    )  # fmt: skip
    fields = ("flops", "input_bytes", "batch_size", "parameters", "memory_bytes", "kernels", "framework")
    task = TaskSpec(steps=row["steps"] or 1, **{name: row[name] for name in fields})
    return Explanation(task, decision, ())


def _rows_of(log: str, task_id: str) -> list[dict[str, Any]]:
    from placement.log import read_log

    return list(read_log(log, filters=[("task_id", "=", task_id)]).to_pylist())
