"""Nodes that have been idle for a while, whose agents may end so that the autoscaler can take the nodes away."""

from __future__ import annotations

from collections.abc import Mapping

AGENT_STAYS_S = 15.0
"""Seconds without work after which an agent leaves: Ray takes no node for idle while an actor lives on it."""

Resources = Mapping[str, float]


class IdleNodes:
    """The time since when each node has been idle."""

    def __init__(self) -> None:
        self._since: dict[str, float] = {}

    def mark_busy(self, node_id: str, now: float) -> None:
        """A task runs on the node now."""
        self._since[node_id] = now

    def idle_for_long(self, total: Mapping[str, Resources], free: Mapping[str, Resources], now: float) -> list[str]:
        """The nodes of `total` of which every CPU and GPU has been free for AGENT_STAYS_S.

        free: the free resources of each node; a node that it does not name counts as busy.
        """
        for node_id, resources in total.items():
            left = free.get(node_id, {})
            if any(left.get(name, 0.0) < resources.get(name, 0.0) for name in ("CPU", "GPU")):
                self._since[node_id] = now
        self._since = {node_id: self._since.get(node_id, now) for node_id in total}
        return [node_id for node_id, since in self._since.items() if now - since >= AGENT_STAYS_S]
