"""Which nodes have had nothing to do for a while, so that their agents may go and the autoscaler may take them away."""

from __future__ import annotations

from collections.abc import Mapping

AGENT_STAYS_S = 15.0
"""An agent stays so long after the last work on its node: Ray calls no node idle that an actor lives on."""

Resources = Mapping[str, float]


class Unused:
    """Since when each node has been unused."""

    def __init__(self) -> None:
        self._since: dict[str, float] = {}

    def worked(self, node_id: str, now: float) -> None:
        """A task runs there now."""
        self._since[node_id] = now

    def long(self, total: Mapping[str, Resources], free: Mapping[str, Resources], now: float) -> list[str]:
        """The nodes of `total` of which every CPU and GPU has been free for AGENT_STAYS_S.

        free: what is free on each node; a node that it does not name is taken to be at work.
        """
        for node_id, has in total.items():
            left = free.get(node_id, {})
            if any(left.get(name, 0.0) < has.get(name, 0.0) for name in ("CPU", "GPU")):
                self._since[node_id] = now
        self._since = {node_id: self._since.get(node_id, now) for node_id in total}
        return [node_id for node_id, since in self._since.items() if now - since >= AGENT_STAYS_S]
