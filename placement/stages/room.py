"""The room that a cluster has for the workers of a stage, and how stages share the CPUs. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from placement.control_plane.cluster_load import Poll


def room(need: Mapping[str, float], nodes: Iterable[Mapping[str, float]]) -> float:
    """How many workers that take these resources fit on the nodes at once."""
    if not need:
        return float("inf")
    return float(sum(min(int(node.get(n, 0.0) / amount + 1e-6) for n, amount in need.items()) for node in nodes))


def others_wait(polled: Poll, own: int) -> bool:
    """Returns True where more requests for CPUs alone wait than `own`."""
    return sum(w.count for w in polled.waiting if w.shape.get("CPU") and not w.shape.get("GPU")) - own > 0


@dataclass
class FairLimit:
    """Most workers that a stage keeps on CPUs that the stages before it need too.

    It rises by one, or by an eighth, while others find CPUs, and falls to half of the workers where others wait for
    CPUs (additive increase, multiplicative decrease, as TCP flows share a link): a worker holds its CPU for a whole
    batch, and a stage before this one that waits for it lets the GPUs run dry.
    """

    workers: float = 0.0
    _due: float = 0.0

    def update(self, now: float, running: int, *, crowded: bool, step_s: float) -> None:
        """One look at the cluster. step_s: least time between two changes, in which the last one takes effect."""
        if now < self._due:
            return
        if crowded:
            self.workers = min(self.workers, running // 2)
        elif self.workers <= running:
            self.workers = running + max(1.0, running // 8)
        else:
            return
        self._due = now + step_s
