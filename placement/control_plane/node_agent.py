"""The NodeAgent: one for each real node. It probes the hardware once and keeps the power trace."""

from __future__ import annotations

import asyncio
import contextlib
import os
from typing import Any

import ray
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from placement.control_plane.actor_lookup import find_actor, report_lost_records
from placement.control_plane.machine import machine_share, probe_node
from placement.control_plane.ray_context import NAMESPACE, own_folder
from placement.control_plane.task_energy import TaskEnergy
from placement.hardware.foreign_gpu_memory import report_changes
from placement.log.lost_records import LOOK_EVERY_S, report_dead_writers
from placement.messages.reports import Window
from placement.ray_internals.options import make_remote
from placement.spec.node import NodeSpec

AgentHandle = Any
Energy = Any


class NodeAgent:
    """The actor of one node, which probes its hardware and measures the energy of its tasks.

    It asks for no CPU, so that no task waits for it, and restarts for ever.

    Every call into the NVIDIA driver is made in a thread or in a process of its own: a driver that hangs leaves the
    agent able to answer.
    """

    def __init__(self) -> None:
        self._probing = asyncio.Lock()
        self._spec: NodeSpec | None = None
        self._energy = TaskEnergy()
        self._background: dict[str, asyncio.Task[None]] = {}

    async def probe(self, config: str | None, cpus: float, gpus: float) -> NodeSpec:
        """The NodeSpec of this node, of which Ray may grant so many CPUs and GPUs.

        The hardware is probed at the first call (a few seconds, kept on the node's disk), and again where that left
        figures unmeasured.
        """
        self._start("lost_records", self._report_lost_records())
        async with self._probing:
            if self._spec is None or self._spec.not_measured:
                self._spec = await asyncio.to_thread(probe_node, config, cpus, gpus)
        if await self._energy.open():
            devices = self._energy.granted(machine_share(cpus, gpus).visible_devices)
            self._start("gpu_memory", report_changes(devices, self._report_gpu_free), anew=True)  # the actor may be new
        return self._spec

    def _start(self, name: str, work: Any, *, anew: bool = False) -> None:
        running = self._background.get(name)
        if running is not None and not anew:
            work.close()
            return
        if running is not None:
            running.cancel()
        self._background[name] = asyncio.create_task(work)

    async def _report_lost_records(self) -> None:
        """The unsent rows of killed workers of this machine, where no other worker reports them."""
        while True:
            with contextlib.suppress(Exception):  # the actor restarts: they are reported the next time
                await asyncio.to_thread(report_dead_writers, own_folder().parent, "", report_lost_records)
            await asyncio.sleep(LOOK_EVERY_S)

    def _report_gpu_free(self, gb: float) -> None:
        with contextlib.suppress(ValueError, ray.exceptions.RayError):  # no actor now; the next one probes again
            find_actor().gpu_free.remote(ray.get_runtime_context().get_node_id(), gb)

    async def process_id(self) -> int:
        """The agent's process."""
        return os.getpid()

    async def energies(self, windows: list[Window]) -> list[Energy | None]:
        """The energy of each task's window, in their order; None of each where the meters cannot be read."""
        return await self._energy.energies(windows)


class RayNodeAgents:
    """The agents that the placement actor has started: actors of Ray by name, one on each node."""

    def __init__(self) -> None:
        self._handles: dict[str, AgentHandle] = {}

    async def probe(self, node_id: str, config: str | None, cpus: float, gpus: float) -> NodeSpec:
        """The NodeSpec of a node; starts its agent where there is none."""
        if node_id not in self._handles:
            self._handles[node_id] = agent_of(node_id)
        spec: NodeSpec = await self._handles[node_id].probe.remote(config, cpus, gpus)
        return spec

    def has(self, node_id: str) -> bool:
        """Whether the node's agent was started and has not been released."""
        return node_id in self._handles

    def release(self, node_id: str) -> None:
        """Ends the node's agent."""
        if node_id in self._handles:
            ray.kill(self._handles.pop(node_id), no_restart=True)

    def forget(self, node_id: str) -> None:
        """Drops the handle of an agent that is gone."""
        self._handles.pop(node_id, None)


def agent_of(node_id: str) -> AgentHandle:
    """The agent of a node, started where there is none."""
    return (
        make_remote(NodeAgent, {})  # not ray.remote, in whose place somebody may have put placed_remote
        .options(
            name=f"agent-{node_id}", namespace=NAMESPACE, lifetime="detached", get_if_exists=True, num_cpus=0,
            max_restarts=-1, max_task_retries=3,
            scheduling_strategy=NodeAffinitySchedulingStrategy(node_id, soft=False),
        )
        .remote()
    )  # fmt: skip


def energies_of(node_id: str, windows: list[Window], timeout_s: float) -> list[Energy | None]:
    """The energy of each window, as the node's agent measured it; None of each where the agent does not answer."""
    try:
        agent = ray.get_actor(f"agent-{node_id}", namespace=NAMESPACE)
        return list(ray.get(agent.energies.remote(windows), timeout=timeout_s))
    except (ray.exceptions.RayError, ValueError):
        return [None] * len(windows)
