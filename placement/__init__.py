"""Places every task of a Ray program on a CPU or a GPU, by measured speed and energy and by what the cluster has free.

    task, node, rule, features, selector, history, policies, decision, options, errors   the pure core
    describe          makes TaskSpecs of modules, trees and arguments
    remote            placed_remote; actors: of classes; batches: map; choosing: choose, for Ray's libraries
    placing           from options and arguments to a decision; narrowing: the user's own options; caller: the snapshot
    exported          what is sent to the workers in a function's place
    execution         what happens in the worker; reporting: its records
    balance, backlog  policies that see queues, and how long these are; polled, queues, following: how callers hear it
    actor, agent      the control plane; control: its commands; probe: what a node has
    node_types        what an autoscaler could start; unused: whose agents may go; node_args: how a machine joins
    sent              what was decided for tasks already sent
    record(s), meters the log; power and energy

Names are loaded at first use, so that `import placement` costs a Ray script nothing to speak of.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from placement import describe as describe
    from placement.choosing import choose as choose
    from placement.control import flush as flush
    from placement.control import inventory as inventory
    from placement.control import read_log as read_log
    from placement.control import rollback as rollback
    from placement.control import start as start
    from placement.control import status as status
    from placement.control import swap as swap
    from placement.decision import Decision as Decision
    from placement.decorator import placed_remote as placed_remote
    from placement.device import current_device as current_device
    from placement.errors import PlacementError as PlacementError
    from placement.node import Inventory as Inventory
    from placement.node import NodeSpec as NodeSpec
    from placement.rule import JointThreshold as JointThreshold
    from placement.sent import explain as explain
    from placement.task import TaskSpec as TaskSpec

_HOME = {
    "Decision": "decision", "Inventory": "node", "JointThreshold": "rule", "NodeSpec": "node",
    "PlacementError": "errors", "TaskSpec": "task", "choose": "choosing", "current_device": "device",
    "explain": "sent", "flush": "control", "inventory": "control", "placed_remote": "decorator", "read_log": "control",
    "rollback": "control", "start": "control", "status": "control", "swap": "control",
}  # fmt: skip

__all__ = [  # noqa: RUF022 - sorted by hand: classes, functions, modules
    "Decision", "Inventory", "JointThreshold", "NodeSpec", "PlacementError", "TaskSpec",
    "choose", "current_device", "explain", "flush", "inventory", "placed_remote", "read_log", "rollback", "start",
    "status", "swap", "describe",
]  # fmt: skip


def __getattr__(name: str) -> Any:
    if name == "describe":
        return import_module("placement.describe")
    if name not in _HOME:
        raise AttributeError(f"module 'placement' has no attribute {name!r}; it has {__all__}.")
    return getattr(import_module(f"placement.{_HOME[name]}"), name)


def __dir__() -> list[str]:
    return sorted(__all__)
