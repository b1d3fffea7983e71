"""The NodeAgent: one for each real node. It probes the hardware once and keeps the power trace."""

from __future__ import annotations

import asyncio
import contextlib
import os
from dataclasses import replace
from typing import Any

import ray
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from placement.control_plane.client import tell_actor
from placement.control_plane.ray_context import own_folder
from placement.hardware.foreign_gpu_memory import tell_changes
from placement.hardware.meters import Energy, Sampler, TaskWindow, find_gpus, node_meters, share, visible_gpus
from placement.hardware.probe import probe
from placement.log.lost_records import LOOK_EVERY_S, tell_of_the_dead
from placement.messages.reports import Window
from placement.ray_internals.options import make_remote
from placement.spec.node import NodeSpec

AgentHandle = Any
NAMESPACE = "placement"


class NodeAgent:
    """Asks for zero CPUs, so it never stands in a task's way; restarts for ever."""

    def __init__(self) -> None:
        self._lock = asyncio.Lock()
        self._spec: NodeSpec | None = None
        self._sampler: Sampler | None = None
        self._gpus = find_gpus()
        self._watch: asyncio.Task[None] | None = None
        self._count: asyncio.Task[None] | None = None

    async def spec(self, config: str | None) -> NodeSpec:
        """What this node has, probed at the first call (a few seconds, kept on the node's disk)."""
        async with self._lock:
            if self._spec is None:
                self._spec = await asyncio.to_thread(probe, config=config)
            if self._sampler is None:
                self._sampler = Sampler(*node_meters(self._spec.cpu_tdp_w)).start()
            if self._watch is not None:
                self._watch.cancel()
            self._count = self._count or asyncio.create_task(self._tell_of_the_dead())
            self._watch = asyncio.create_task(tell_changes(self._gpus, self._tell_free))  # anew: who asks may be new
        return replace(self._spec, config=config or self._spec.config)

    async def _tell_of_the_dead(self) -> None:
        """Killed workers of this machine, where no other one comes to tell of them."""
        while True:
            with contextlib.suppress(Exception):  # the actor restarts: they are told of the next time
                await asyncio.to_thread(tell_of_the_dead, own_folder().parent, "", tell_actor)
            await asyncio.sleep(LOOK_EVERY_S)

    def _tell_free(self, gb: float) -> None:
        with contextlib.suppress(ValueError, ray.exceptions.RayError):  # no actor now; the next one asks for the spec
            actor = ray.get_actor("placement", namespace=NAMESPACE)
            actor.gpu_free.remote(ray.get_runtime_context().get_node_id(), gb)

    async def process_id(self) -> int:
        """The agent's process, for a look at it."""
        return os.getpid()

    async def energies(self, windows: list[Window]) -> list[Energy]:
        """What each task's window took, in their order; a socket's joules are shared by CPU time."""
        if not windows:
            return []
        if self._sampler is None:  # this agent was killed and has come back: nobody asks it for its node again
            await self.spec(None)
        assert self._sampler is not None
        trace = await asyncio.to_thread(self._sampler.trace, max(w.end for w in windows))
        tasks = [TaskWindow(w.start, w.end, w.cpu_seconds, self._uuids(w)) for w in windows]
        return share(trace, tasks, count_others=True)

    def _uuids(self, window: Window) -> tuple[str, ...]:
        return visible_gpus(window.visible, self._gpus)[0] if window.visible is not None else ()


def agent_of(node_id: str) -> AgentHandle:
    """The agent of a node, started where there is none."""
    return (
        make_remote(NodeAgent, {})  # as placement.commands makes the actor
        .options(
            name=f"agent-{node_id}", namespace=NAMESPACE, lifetime="detached", get_if_exists=True, num_cpus=0,
            max_restarts=-1, max_task_retries=3,
            scheduling_strategy=NodeAffinitySchedulingStrategy(node_id, soft=False),
        )
        .remote()
    )  # fmt: skip


def energies_of(node_id: str, windows: list[Window], timeout_s: float) -> list[Energy | None]:
    """What a node's agent tells of each window; None where there is no agent to be had."""
    try:
        agent = ray.get_actor(f"agent-{node_id}", namespace=NAMESPACE)
        return list(ray.get(agent.energies.remote(windows), timeout=timeout_s))
    except (ray.exceptions.RayError, ValueError):
        return [None] * len(windows)
