"""Settings, which users send to the placement actor, and the Update and LoadReport that it sends to callers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NamedTuple

from placement.prediction.runtime_history import Key, RunHistory
from placement.scheduling.candidates import Policy, Queue
from placement.scheduling.queue_model import Load
from placement.spec.node import Inventory
from placement.spec.task import Device

NODES_WAIT_S = 2.0
"""The longest time that a caller waits for the probes of nodes that have joined, s."""


@dataclass(frozen=True)
class Settings:
    """The settings of the whole cluster; None = not set.

    log: URI of the log; without one none is kept.  emulator: "module:function".  compression: see `placement.start`.
    node_types: of the autoscaler, as placement.spec.autoscaler_types.checked() returns them.
    node_types_complete: as its is_complete() says of them.  exploration: see `placement.start`.
    learn: a learner runs.
    seconds_per_joule: a number, or a PriceSchedule's to_dict().
    """

    log: str | None = None
    policy: str | Policy | None = None
    emulator: str | None = None
    compression: float | None = None
    keep_days: float | None = None
    node_types: dict[str, dict[str, Any]] | None = None
    node_types_complete: bool | None = None
    exploration: float | None = None
    learn: bool | None = None
    seconds_per_joule: float | dict[str, Any] | None = None


@dataclass(frozen=True)
class Update:
    """The changes since the snapshot version that a caller has.

    selector: the version in service; `client.served_selector` reads its content.  pending_nodes: nodes whose first
    probe is worth a wait of NODES_WAIT_S at most.  explores_known: as in `TrialBudget`.  It is kept
    small: an answer of more than 100 KB would go through Ray's object store.
    """

    version: int
    inventory: Inventory
    selector: str
    policy: Policy
    history: dict[Key, RunHistory]
    pending_nodes: int
    unix_time: float
    compression: float | None = None
    explores_known: bool = False


class LoadReport(NamedTuple):
    """The cluster's load. age_s: of the poll, when this was sent.  typical: mean duration of recent tasks, s.

    trials_s: seconds that trials may still cost.
    """

    number: int
    age_s: float
    loads: dict[Queue, Load]
    typical: dict[Device, float]
    trials_s: float = 0.0
