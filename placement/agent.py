"""The NodeAgent: one for each real node. It probes the hardware once and answers what the node has."""

from __future__ import annotations

import asyncio
from typing import Any

import ray
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from placement.node import NodeSpec

AgentHandle = Any
NAMESPACE = "placement"


class NodeAgent:
    """Asks for zero CPUs, so it never stands in a task's way; restarts for ever."""

    def __init__(self) -> None:
        self._lock = asyncio.Lock()
        self._spec: NodeSpec | None = None

    async def spec(self, config: str | None) -> NodeSpec:
        """What this node has, probed at the first call (a few seconds, kept on the node's disk)."""
        from placement.probe import probe

        async with self._lock:
            if self._spec is None:
                self._spec = await asyncio.to_thread(probe, config=config)
        return self._spec


def agent_of(node_id: str) -> AgentHandle:
    """The agent of a node, started where there is none."""
    return (
        ray.remote(NodeAgent)
        .options(
            name=f"agent-{node_id}", namespace=NAMESPACE, lifetime="detached", get_if_exists=True, num_cpus=0,
            max_restarts=-1, max_task_retries=3,
            scheduling_strategy=NodeAffinitySchedulingStrategy(node_id, soft=False),
        )
        .remote()
    )  # fmt: skip
