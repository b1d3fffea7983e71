"""Places every task of a Ray program on a CPU or a GPU, by measured speed and energy and by what the cluster has free.

The folders are rooms, one for each stage of the flow; each imports only rooms above it in this list:

    errors         everything that is raised, in one tree
    ray_internals  Ray's private names, each with what it is for and what is done without it
    spec           plain data: tasks, nodes, the paper's features and its labelling rule, one row of the log
    describe       makes a TaskSpec of a torch module or function, of boosted trees, of any arguments
    prediction     estimates of seconds and P(GPU): the selectors, the selector file, the history of runs
    hardware       the probe of a node's hardware, GPU memory that other programs hold, meters of power and energy
    log            the Parquet log: schema, writer, reader, files; rows that killed workers had not sent
    scheduling     decides: candidates, queues, costs, policies, the decision and its explanation (no Ray in it)
    messages       what travels between callers, workers and the control plane
    control_plane  the placement actor and the node agents, and the way to them
    worker         what happens in a worker: the task runs, sees its device, and is recorded
    submission     placed_remote: from arguments to a decision and to Ray; `.map`; choose for Ray's libraries
    stages         map_batches: a stage of a Ray Data dataset on CPUs and GPUs at once
    commands       start, swap, rollback, flush, status, inventory, read_log, profile
    deprecation    old names that work until a stated version; policies and balance are such modules

Names are loaded at first use, so that `import placement` costs a Ray script nothing to speak of.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from placement import describe as describe
    from placement.commands import flush as flush
    from placement.commands import inventory as inventory
    from placement.commands import profile as profile
    from placement.commands import read_log as read_log
    from placement.commands import rollback as rollback
    from placement.commands import start as start
    from placement.commands import status as status
    from placement.commands import swap as swap
    from placement.errors import PlacementError as PlacementError
    from placement.scheduling.decision import Decision as Decision
    from placement.spec.joint_threshold import JointThreshold as JointThreshold
    from placement.spec.node import Inventory as Inventory
    from placement.spec.node import NodeSpec as NodeSpec
    from placement.spec.task import TaskSpec as TaskSpec
    from placement.stages.map_batches import map_batches as map_batches
    from placement.submission.choose import choose as choose
    from placement.submission.decorator import placed_remote as placed_remote
    from placement.submission.recent_decisions import explain as explain
    from placement.worker.device import current_device as current_device

_HOME = {
    "Decision": "scheduling.decision", "Inventory": "spec.node", "JointThreshold": "spec.joint_threshold",
    "NodeSpec": "spec.node", "PlacementError": "errors", "TaskSpec": "spec.task", "choose": "submission.choose",
    "current_device": "worker.device", "explain": "submission.recent_decisions", "flush": "commands",
    "inventory": "commands",
    "map_batches": "stages.map_batches", "placed_remote": "submission.decorator", "profile": "commands",
    "read_log": "commands",
    "rollback": "commands", "start": "commands", "status": "commands", "swap": "commands",
}  # fmt: skip

__all__ = [  # noqa: RUF022 - sorted by hand: classes, functions, modules
    "Decision", "Inventory", "JointThreshold", "NodeSpec", "PlacementError", "TaskSpec",
    "choose", "current_device", "explain", "flush", "inventory", "map_batches", "placed_remote", "profile",
    "read_log", "rollback", "start", "status", "swap", "describe",
]  # fmt: skip


def __getattr__(name: str) -> Any:
    if name == "describe":
        return import_module("placement.describe")
    if name not in _HOME:
        raise AttributeError(f"module 'placement' has no attribute {name!r}; it has {__all__}.")
    return getattr(import_module(f"placement.{_HOME[name]}"), name)


def __dir__() -> list[str]:
    return sorted(__all__)
