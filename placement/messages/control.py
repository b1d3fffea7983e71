"""Settings, Update and LoadReport: what the placement actor is told and tells."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NamedTuple

from placement.prediction.runtime_history import Key, RunHistory
from placement.scheduling.candidates import Policy, Queue
from placement.scheduling.queue_model import Load
from placement.spec.node import Inventory
from placement.spec.task import Device


@dataclass(frozen=True)
class Settings:
    """What is set for the whole cluster. log: URI of the log, None = none is kept. emulator: "module:function".
    node_types: of the autoscaler, as placement.spec.autoscaler_types.checked() gives them."""

    log: str | None = None
    policy: str | Policy | None = None
    emulator: str | None = None
    compression: float | None = None
    keep_days: float | None = None
    node_types: dict[str, dict[str, Any]] | None = None


@dataclass(frozen=True)
class Update:
    """What a caller does not know yet. selector: the version in service; `control.served_selector` has it.

    It is kept small: an answer of more than 100 KB would go through Ray's object store.
    """

    version: int
    inventory: Inventory
    selector: str
    policy: Policy
    history: dict[Key, RunHistory]
    pending_nodes: int
    unix_time: float
    compression: float | None = None


class LoadReport(NamedTuple):
    """What a caller hears. age_s: since Ray was asked, when this was sent.  typical: what tasks took of late, s."""

    number: int
    age_s: float
    loads: dict[Queue, Load]
    typical: dict[Device, float]
