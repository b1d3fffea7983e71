"""The room that a cluster has for the workers of a stage, and what others wait for. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from placement.control_plane.cluster_load import Poll


def room(need: Mapping[str, float], nodes: Iterable[Mapping[str, float]]) -> float:
    """How many workers that take these resources fit on the nodes at once."""
    if not need:
        return float("inf")
    return float(sum(min(int(node.get(n, 0.0) / amount + 1e-6) for n, amount in need.items()) for node in nodes))


def others_wait(polled: Poll, own: int) -> bool:
    """Returns True where more requests for CPUs alone wait than `own`."""
    return sum(w.count for w in polled.waiting if w.shape.get("CPU") and not w.shape.get("GPU")) - own > 0
