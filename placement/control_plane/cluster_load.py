"""The Load of each (config, device), computed from a poll of Ray's nodes and pending requests. Pure.

Ray counts everybody's tasks: this library's and others', actors and placement groups. Pending requests come by shape
and label selector, with a count; where several kinds of node would do, each gets a share by its slots.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from placement.scheduling.candidates import Queue
from placement.scheduling.queue_model import Load
from placement.spec.autoscaler_types import STARTING_S
from placement.spec.node import Inventory
from placement.spec.task import DEVICES, Device

HEARTBEAT_S = 5.0  # a report is sent at least so often, so that callers know how old their load is
RESOURCE: dict[Device, str] = {"cpu": "CPU", "gpu": "GPU"}
LabelTest = tuple[str, frozenset[str], bool]
"""(label, values, True where it must be one of them, False where it must be none)."""


@dataclass(frozen=True, slots=True)
class NodeUse:
    """The total and the free resources of a node, and its labels."""

    total: Mapping[str, float]
    free: Mapping[str, float]
    labels: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Waiting:
    """Pending requests of one shape. count: how many.  selectors: tried in order; none = any node will do."""

    shape: Mapping[str, float]
    count: int
    selectors: tuple[tuple[LabelTest, ...], ...] = ()


@dataclass(frozen=True, slots=True)
class Poll:
    """The nodes and the pending requests at one moment."""

    nodes: Mapping[str, NodeUse]
    waiting: tuple[Waiting, ...] = ()


def loads(inventory: Inventory, poll: Poll) -> dict[Queue, Load]:
    """The queues of an inventory's kinds. Requests that none of its nodes could ever run are left out."""
    config_of = {node_id: kind.spec.config for kind in inventory.kinds for node_id in kind.node_ids}
    slots: dict[Queue, float] = {}
    tasks: dict[Queue, float] = {}
    for node_id, node in poll.nodes.items():
        config = config_of.get(node_id)
        if config is None:
            continue
        for device in DEVICES:
            queue: Queue = (config, device)
            total = node.total.get(RESOURCE[device], 0.0)
            if total or device == "cpu":
                slots[queue] = slots.get(queue, 0.0) + total
                tasks[queue] = tasks.get(queue, 0.0) + total - _free(node, device)
    for waiting in poll.waiting:
        for queue, share in _shares(waiting, poll.nodes, config_of).items():
            tasks[queue] = tasks.get(queue, 0.0) + share
    found = {queue: Load(n, max(0.0, tasks.get(queue, 0.0))) for queue, n in slots.items()}
    return found | {
        (config, device): Load(0.0, startup_s=STARTING_S) for config in inventory.planned for device in DEVICES
    }


def _free(node: NodeUse, device: Device) -> float:
    """Free slots of a node. A GPU whose node has no free CPU is not free: a task on a GPU takes a CPU as well."""
    cpus = node.free.get("CPU", 0.0)
    if device == "cpu":
        return cpus
    gpus = node.free.get("GPU", 0.0)
    return min(gpus, cpus) if node.total.get("CPU") else gpus


def _shares(waiting: Waiting, nodes: Mapping[str, NodeUse], config_of: Mapping[str, str]) -> dict[Queue, float]:
    """The slots that pending requests will take, by queue: in proportion to the slots of each kind."""
    device: Device = "gpu" if waiting.shape.get("GPU") else "cpu"
    name = RESOURCE[device]
    need = waiting.shape.get(name, 0.0) * waiting.count
    if not need:
        return {}
    fit = [(n, node) for n, node in nodes.items() if n in config_of and _fits(waiting.shape, node.total)]
    for tests in waiting.selectors or ((),):
        found = [(n, node) for n, node in fit if satisfies(node.labels, tests)]
        room = sum(node.total.get(name, 0.0) for _, node in found)
        if room:
            shares: dict[Queue, float] = {}
            for node_id, node in found:
                queue: Queue = (config_of[node_id], device)
                shares[queue] = shares.get(queue, 0.0) + need * node.total.get(name, 0.0) / room
            return shares
    return {}


def _fits(shape: Mapping[str, float], total: Mapping[str, float]) -> bool:
    return all(total.get(name, 0.0) >= amount for name, amount in shape.items() if amount)


def satisfies(labels: Mapping[str, str], tests: Iterable[LabelTest]) -> bool:
    """Whether a node's labels pass all the tests."""
    return all((labels.get(label) in values) == wanted for label, values, wanted in tests)
