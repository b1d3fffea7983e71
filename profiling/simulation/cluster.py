"""The simulated cluster: nodes with CPUs and GPUs, and the tasks that wait for them, in the order of Ray's scheduler.

A task waits for a device of certain configs and takes the first node of them that has room; a node that has room again
takes whoever waited longest of those that fit (Ray serves tasks that ask for the same in their order, but who asks for
something else in none that could be told). Nodes of a kind are alike, so that which one is taken does not matter: each
kind keeps a stack of nodes that have room.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Mapping, Sequence

from placement.errors import OptionError
from placement.scheduling.queue_model import Load
from placement.spec.node import Inventory, NodeKind, NodeSpec, config_groups, emulated_configs
from placement.spec.task import DEVICES, Device

Demand = tuple[Device, tuple[str, ...], float]
"""The device and the configs that a task waits for, and the GPUs that it takes: a share of one, or 0 of a CPU task."""
EPSILON = 1e-9


class Line:
    """Tasks that wait for the same configs and device."""

    __slots__ = ("demand", "kinds", "tasks")

    def __init__(self, demand: Demand, kinds: Sequence[int]) -> None:
        self.demand = demand
        self.kinds = kinds
        self.tasks: deque[int] = deque()


class Cluster:
    """Free CPUs and GPUs by node; lines of waiting tasks by kind and device."""

    def __init__(self, inventory: Inventory, cpus: Mapping[Device, float]) -> None:
        self.needs = cpus
        self.kind_at = {kind.spec.config: k for k, kind in enumerate(inventory.kinds)}
        self.kind_of: list[int] = []
        self.free_cpus: list[float] = []
        self.free_gpus: list[float] = []
        for k, kind in enumerate(inventory.kinds):
            for _ in range(kind.count):
                self.kind_of.append(k)
                self.free_cpus.append(float(kind.grants_cpus))
                self.free_gpus.append(float(kind.grants_gpus))
        kinds = range(len(inventory.kinds))
        self._room: dict[Device, list[list[int]]] = {"cpu": [[] for _ in kinds], "gpu": [[] for _ in kinds]}
        self._listed: dict[Device, bytearray] = {d: bytearray(len(self.kind_of)) for d in ("cpu", "gpu")}  # type: ignore[misc]
        self._lines: dict[Demand, Line] = {}
        self._waiting: dict[Device, list[dict[Demand, Line]]] = {"cpu": [{} for _ in kinds], "gpu": [{} for _ in kinds]}
        for node in reversed(range(len(self.kind_of))):
            self._list(node)

    def take(self, demand: Demand) -> int | None:
        """A node for a task that has just come, its room taken; None where it must wait."""
        device, configs, gpus = demand
        for config in configs:
            node = self._node(device, self.kind_at[config], gpus)
            if node is not None:
                self._occupy(node, device, gpus)
                return node
        return None

    def wait(self, task: int, demand: Demand) -> None:
        """Puts a task at the end of its line."""
        key = (demand[0], tuple(sorted(demand[1])), demand[2])
        line = self._lines.get(key)
        if line is None:
            line = self._lines[key] = Line(key, [self.kind_at[config] for config in key[1]])
        if not line.tasks:
            for kind in line.kinds:
                self._waiting[key[0]][kind][key] = line
        line.tasks.append(task)

    def release(self, node: int, device: Device, gpus: float) -> list[tuple[int, Device]]:
        """Gives a node's room back; the (task, device) that start there now."""
        self.free_cpus[node] += self.needs[device]
        self.free_gpus[node] += gpus
        started: list[tuple[int, Device]] = []
        while (line := self._next(node)) is not None:
            device, _, gpus = line.demand
            self._occupy(node, device, gpus)
            started.append((self._pop(line), device))
        self._list(node)
        return started

    def _fits(self, node: int, device: Device, gpus: float) -> bool:
        return self.free_cpus[node] + EPSILON >= self.needs[device] and self.free_gpus[node] + EPSILON >= gpus

    def _next(self, node: int) -> Line | None:
        """The line whose first task has waited longest of those that fit."""
        kind = self.kind_of[node]
        first: Line | None = None
        for device in DEVICES:
            lines = self._waiting[device][kind]
            if lines and self._fits(node, device, 0.0):
                fit = [line for line in lines.values() if self.free_gpus[node] + EPSILON >= line.demand[2]]
                line = min(fit, key=_head, default=None)
                if line is not None and (first is None or _head(line) < _head(first)):
                    first = line
        return first

    def _pop(self, line: Line) -> int:
        task = line.tasks.popleft()
        if not line.tasks:
            for kind in line.kinds:
                del self._waiting[line.demand[0]][kind][line.demand]
            del self._lines[line.demand]
        return task

    def _node(self, device: Device, kind: int, gpus: float) -> int | None:
        stack = self._room[device][kind]
        while stack and not self._has_room(stack[-1], device):
            self._listed[device][stack.pop()] = 0
        # Shares of a GPU may leave room for smaller ones alone: such a node stays listed.
        return next((node for node in reversed(stack) if self._fits(node, device, gpus)), None)

    def _has_room(self, node: int, device: Device) -> bool:
        return self._fits(node, device, 2 * EPSILON if device == "gpu" else 0.0)

    def _occupy(self, node: int, device: Device, gpus: float) -> None:
        self.free_cpus[node] -= self.needs[device]
        self.free_gpus[node] -= gpus

    def _list(self, node: int) -> None:
        devices: tuple[Device, Device] = ("cpu", "gpu")
        for device in devices:
            if not self._listed[device][node] and self._has_room(node, device):
                self._listed[device][node] = 1
                self._room[device][self.kind_of[node]].append(node)


def _head(line: Line) -> int:
    return line.tasks[0]


def empty_loads(inventory: Inventory, needs: Mapping[Device, float]) -> dict[tuple[str, Device], Load]:
    """Empty queues. A GPU task holds CPUs too: those are not counted among the CPU tasks' slots."""
    loads: dict[tuple[str, Device], Load] = {}
    for kind in inventory.kinds:
        config = kind.spec.config
        cpus = kind.grants_cpus - kind.grants_gpus * needs["gpu"]
        loads[config, "cpu"] = Load(kind.count * max(1, math.floor(cpus / needs["cpu"])))
        if kind.grants_gpus:
            loads[config, "gpu"] = Load(kind.count * math.floor(kind.grants_gpus))
    return loads


def cluster_of(
    nodes: int, shares: str = "A=1,B=1,C=1,D=1", measured: Mapping[str, NodeSpec] | None = None
) -> Inventory:
    """An inventory of so many emulated nodes, shared out as "A=2,D=1" says; a group ("servers") is all of its own.

    measured: more configs that may be named; one with the name of an emulated configuration stays the emulated one.
    """
    known = {**(measured or {}), **emulated_configs()}
    groups = config_groups()
    try:
        parts = [part.strip().partition("=") for part in shares.split(",")]
        given = [(name, share or ("1" if name in groups else "")) for name, _, share in parts]
        weights = {config: float(share) for name, share in given for config in groups.get(name, (name,))}
        specs = {name: known[name] for name in weights}
    except (ValueError, KeyError):
        raise OptionError(
            f"simulate: configs={shares!r} must read like A=1,B=1,C=1,D=1; configs are {sorted(known)}, "
            f"and groups of them {sorted(groups)}."
        ) from None
    total = sum(weights.values())
    if nodes < len(weights) or min(weights.values()) <= 0 or not total < math.inf:
        raise OptionError(f"simulate: {nodes} nodes do not do for configs={shares!r}; each needs one at least.")
    counts = {name: max(1, math.floor(nodes * weight / total)) for name, weight in weights.items()}
    first = next(iter(counts))
    counts[first] += nodes - sum(counts.values())
    return Inventory(tuple(
        NodeKind(specs[name], tuple(f"{name}-{i}" for i in range(count))) for name, count in counts.items()
    ))  # fmt: skip
