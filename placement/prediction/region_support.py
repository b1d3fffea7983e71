"""How far the data of learned corrections reach to a task, on each of some nodes.

The distances of the nodes from each region of the data are worked out once; a region that is far from all of them is
left out.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

from placement.prediction.residual_trees import FARTHEST, OF_TASK, UNKNOWN_DISTANCE, Region, support


class RegionSupport:
    """Support of regions on some nodes."""

    def __init__(
        self, regions: Sequence[Region], nodes: Sequence[Sequence[float | None]], emulated: Sequence[bool]
    ) -> None:
        """nodes: logarithms of OF_NODE of each.  emulated: whether each node is."""
        self._nodes = len(nodes)
        self._regions = list(_nearby(regions, nodes, emulated))

    def __call__(self, framework: str | None, values: Sequence[float | None], /) -> list[tuple[float, float]]:
        """(support of times, of powers) on each node. values: of OF_TASK; None where unknown."""
        logs = [math.log(value) if value else None for value in values]
        nearest, powered = [FARTHEST] * self._nodes, [FARTHEST] * self._nodes
        farthest = FARTHEST  # of the distances found: a region beyond it is no node's nearest
        for region, far, least, scale in self._regions:
            most, strange = farthest / scale - least, region.strangeness(framework)
            for value, low, high in zip(logs, region.low, region.high, strict=False):
                if strange >= most:
                    break
                if low is None or high is None:
                    continue
                if value is None:
                    strange += UNKNOWN_DISTANCE
                elif value < low:
                    strange += (low - value) * (low - value)
                elif value > high:
                    strange += (value - high) * (value - high)
            if strange >= most:
                continue
            for at, of_node in far:
                distance = scale * (strange + of_node)
                if distance < nearest[at]:
                    nearest[at] = distance
                if region.energies and distance < powered[at]:
                    powered[at] = distance
            farthest = max(*nearest, *powered)
        return [(support(near), support(power)) for near, power in zip(nearest, powered, strict=True)]


def _nearby(
    regions: Sequence[Region], nodes: Sequence[Sequence[float | None]], emulated: Sequence[bool]
) -> Iterator[tuple[Region, list[tuple[int, float]], float, float]]:
    """(region, [(place of a node, its squared distance)], the least of these, scale) of each region near any node."""
    for region in regions:
        scale = region.scale
        distances = [(at, region.distance(node, len(OF_TASK))) for at, node in enumerate(nodes)]
        near = [
            (at, distance) for at, distance in distances
            if scale * distance < FARTHEST and (emulated[at] or not region.emulated)
        ]  # fmt: skip
        if near:
            yield region, near, min(distance for _, distance in near), scale
