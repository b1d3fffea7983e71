"""The nodes of the cluster: which run, what is known of each, and when its agent is asked again.

A node is part of the inventory as soon as Ray names it, with the CPUs and GPUs that Ray may grant there. Its probe adds
the measured figures; while it runs, and where it fails, the node serves with the figures that are known.
"""

from __future__ import annotations

import asyncio
import logging
import math
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from placement.control_plane.idle_nodes import IdleNodes, Resources
from placement.errors import SpecError
from placement.messages.control import NODES_WAIT_S
from placement.spec.autoscaler_types import planned
from placement.spec.mig import MIG, of_slices
from placement.spec.node import CONFIG, EMULATED, Inventory, NodeKind, NodeSpec, emulated_configs, emulated_names

PROBE_TIMEOUT_S = 240.0  # over the probe's own limit, which gives the better reason
FIRST_RETRY_S = 30.0
LONGEST_RETRY_S = 3600.0
BEING_PROBED = "being probed"

logger = logging.getLogger("placement")


class NodeAgents(Protocol):
    """The agents of the cluster's nodes."""

    async def probe(self, node_id: str, config: str | None, cpus: float, gpus: float) -> NodeSpec:
        """The NodeSpec of a node, of which Ray may grant so much; starts its agent where there is none."""
        ...

    def has(self, node_id: str) -> bool:
        """Whether a node's agent was started and has not been released."""
        ...

    def release(self, node_id: str) -> None:
        """Ends a node's agent."""
        ...

    def forget(self, node_id: str) -> None:
        """The node, or its agent, is gone."""
        ...


@dataclass(slots=True)
class Node:
    """A node that runs. spec: None of an emulated node whose config nobody knows.

    settled: its first probe has ended, whatever came of it.  failures: of its probe, since the last success.
    """

    node_id: str
    resources: Resources
    labels: Mapping[str, str]
    joined: float
    spec: NodeSpec | None = None
    settled: bool = False
    failures: int = 0
    retry_at: float = math.inf
    gpu_free_gb: float | None = None
    probing: asyncio.Task[None] | None = None

    @property
    def measured(self) -> bool:
        """All figures of the node are known."""
        return self.settled and self.spec is not None and not self.spec.not_measured


class NodeRegistry:
    """Coroutines of one event loop call it, so that state needs no locks.

    changed: called when the inventory is another.
    """

    def __init__(
        self, agents: NodeAgents, changed: Callable[[], None], clock: Callable[[], float] = time.monotonic
    ) -> None:
        self.nodes: dict[str, Node] = {}
        self._agents = agents
        self._changed = changed
        self._clock = clock
        self._idle = IdleNodes()
        self._measured: dict[str, NodeSpec] = {}

    def update(self, nodes: Iterable[Mapping[str, Any]]) -> None:
        """Takes over the nodes that are alive, as `ray.nodes()` gives them, and probes those that are due."""
        alive = {node["NodeID"]: node for node in nodes if node["Alive"] and _runs_tasks(node)}
        for node_id in [node_id for node_id in self.nodes if node_id not in alive]:
            self._remove(node_id)
        for node_id, node in alive.items():
            if node_id not in self.nodes:
                self._add(Node(node_id, node["Resources"], node["Labels"], self._clock()))
            elif self.nodes[node_id].retry_at <= self._clock():
                self._start_probe(self.nodes[node_id])

    def touch(self, node_id: str) -> None:
        """A task runs on the node; its agent comes back where it had left the idle node."""
        node = self.nodes.get(node_id)
        if node is None:
            return
        self._idle.mark_busy(node_id, self._clock())
        if node.measured and not _emulated(node.labels) and not self._agents.has(node_id):
            self._start_probe(node)

    def spec(self, node_id: str) -> NodeSpec | None:
        """The NodeSpec of a node; None while its first probe runs, and of a node that is not known."""
        node = self.nodes.get(node_id)
        return node.spec if node and node.settled else None

    def set_gpu_free(self, node_id: str, gb: float) -> None:
        """The memory of the node's emptiest GPU that other programs leave free, 1e9 bytes."""
        if node_id in self.nodes:
            self.nodes[node_id].gpu_free_gb = gb
            self._changed()

    @property
    def unsettled(self) -> int:
        """The number of nodes whose first probe has not ended."""
        return sum(not node.settled for node in self.nodes.values())

    @property
    def worth_waiting_for(self) -> int:
        """The number of nodes whose first probe a caller may wait for.

        They joined less than NODES_WAIT_S ago, and no node with such a device is measured yet.
        """
        now = self._clock()
        measured = [node for node in self.nodes.values() if node.measured]
        measured_gpus = [node for node in measured if _has_gpu(node)]
        joining = [node for node in self.nodes.values() if not node.settled and now - node.joined < NODES_WAIT_S]
        return sum(not (measured_gpus if _has_gpu(node) else measured) for node in joining)

    def inventory(self, node_types: Mapping[str, Any] | None, *, complete: bool = False) -> Inventory:
        """The kinds of node that run, and those that the autoscaler could start.

        node_types: of `checked()`.  complete: nothing else can be started; see `is_complete`.
        """
        groups: dict[str, list[Node]] = {}
        for node in self.nodes.values():
            if node.spec is not None:
                groups.setdefault(node.spec.config, []).append(node)
        kinds = [_kind(config, nodes) for config, nodes in groups.items()]
        kinds += planned(node_types or {}, groups, self._measured)
        return Inventory(tuple(kinds), complete=complete)

    def release_idle(self, node_types: Mapping[str, Any], free: Mapping[str, Resources]) -> list[str]:
        """Ends the agents of idle nodes that the autoscaler may take away, and returns these nodes.

        `touch` brings an agent back.
        """
        total = {
            node_id: node.resources
            for node_id, node in self.nodes.items()
            if node.settled and node.spec and node.spec.config in node_types and self._agents.has(node_id)
        }
        idle = self._idle.idle_for_long(total, free, self._clock())
        for node_id in idle:
            self._agents.release(node_id)
        return idle

    # --- one node -----------------------------------------------------------------------------------------------

    def _add(self, node: Node) -> None:
        self.nodes[node.node_id] = node
        config = node.labels.get(CONFIG)
        if _emulated(node.labels):
            node.settled, node.spec = True, emulated_configs().get(config or "")
            if node.spec is None:
                logger.error("node %s is emulated, but its label config=%r names none of %s; it is left out",
                             node.node_id[:8], config, emulated_names())  # fmt: skip
        else:
            node.spec = labelled(node, unmeasured(node, BEING_PROBED))
            self._start_probe(node)
        self._changed()

    def _remove(self, node_id: str) -> None:
        node = self.nodes.pop(node_id)
        if node.probing is not None:
            node.probing.cancel()
        self._agents.forget(node_id)
        self._changed()

    def _start_probe(self, node: Node) -> None:
        if node.probing is None:
            node.retry_at = math.inf
            node.probing = asyncio.create_task(self._probe(node))

    async def _probe(self, node: Node) -> None:
        cpus, gpus = node.resources.get("CPU", 0.0), node.resources.get("GPU", 0.0)
        try:
            async with asyncio.timeout(PROBE_TIMEOUT_S):
                spec = await self._agents.probe(node.node_id, node.labels.get(CONFIG), cpus, gpus)
        except TimeoutError:
            spec = unmeasured(node, f"the probe did not end within {PROBE_TIMEOUT_S:g} s")
        except Exception as error:  # the agent could not start, or ended
            self._agents.forget(node.node_id)
            spec = unmeasured(node, _last_line(error))
        node.probing = None
        if self.nodes.get(node.node_id) is node:
            self._settle(node, labelled(node, spec))

    def _settle(self, node: Node, spec: NodeSpec) -> None:
        before = (node.settled, node.spec)
        # A probe that fails takes back nothing that an earlier one has measured.
        node.spec = node.spec if node.measured and spec.not_measured else spec
        node.settled = True
        if not spec.not_measured:
            node.failures = 0
            self._measured[spec.config] = spec
        else:
            if not node.failures:
                logger.warning("node %s: not measured: %s; it serves with what is known of it, and is probed again",
                               node.node_id[:8], "; ".join(spec.not_measured))  # fmt: skip
            node.failures += 1
            node.retry_at = self._clock() + retry_delay_s(node.failures)
        if before != (node.settled, node.spec):
            self._changed()


def retry_delay_s(failures: int) -> float:
    """Seconds until a probe that has failed so many times in a row is tried again: exponential back-off."""
    return min(FIRST_RETRY_S * 2.0 ** min(failures - 1, 30), LONGEST_RETRY_S)


def labelled(node: Node, spec: NodeSpec) -> NodeSpec:
    """The NodeSpec of a node with what its labels say of its GPUs; a label that says nothing valid is left out."""
    try:
        return of_slices(spec, node.labels.get(MIG))
    except SpecError as error:
        logger.error("node %s: %s The label is left out.", node.node_id[:8], error)
        return spec


def unmeasured(node: Node, reason: str) -> NodeSpec:
    """A node with the CPUs and GPUs that Ray may grant there, and nothing else known."""
    cpus, gpus = (math.ceil(node.resources.get(name, 0.0)) for name in ("CPU", "GPU"))
    name = f"unmeasured-{cpus}cpu" + (f"-{gpus}gpu" if gpus else "")
    return NodeSpec(node.labels.get(CONFIG) or name, cpus, gpus, not_measured=(reason,))


def _kind(config: str, nodes: list[Node]) -> NodeKind:
    specs = [node.spec for node in nodes if node.spec is not None]
    free = [node.gpu_free_gb for node in nodes if node.gpu_free_gb is not None]
    return NodeKind(
        min(specs, key=lambda spec: len(spec.not_measured)),
        tuple(node.node_id for node in nodes),
        all(node.labels.get(CONFIG) == config for node in nodes),
        max(node.resources.get("CPU", 0.0) for node in nodes),
        max(node.resources.get("GPU", 0.0) for node in nodes),
        gpu_free_gb=max(free) if len(free) == len(nodes) else None,  # a node that reported nothing has all of it
    )


def _emulated(labels: Mapping[str, str]) -> bool:
    return labels.get(EMULATED) == "true"


def _has_gpu(node: Node) -> bool:
    return bool(node.resources.get("GPU"))


def _runs_tasks(node: Mapping[str, Any]) -> bool:
    """False of a head that keeps its CPUs to itself (num_cpus=0): there is nothing to know of it."""
    return bool(node["Resources"].get("CPU") or node["Resources"].get("GPU"))


def _last_line(error: Exception) -> str:
    """The last line of an error's text, which in Ray's errors is the cause's."""
    lines = str(error).strip().splitlines()
    return lines[-1].strip() if lines else type(error).__name__
