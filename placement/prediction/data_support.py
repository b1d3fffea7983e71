"""The support of what `residual_trees` learned for a task on certain nodes: near its data 1, far from all of it 0.

The squared distance of a task and a node from a region is a sum over their quantities. The part of a quantity is worked
out once for each of its cells, the part of a node once for all tasks.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

from placement.prediction.residual_trees import FARTHEST, OF_TASK, Axis, Region, ResidualTrees, support

AXES = range(len(OF_TASK))
Row = tuple[float, ...]
"""A squared distance from each region."""


class NearRegion(NamedTuple):
    """A region that is near some node. nodes: (place of the node, its squared distance); least: of these distances."""

    nodes: tuple[tuple[int, float], ...]
    least: float
    scale: float
    energies: bool


class DataSupport:
    """The support of times and of powers on some nodes, by a task's framework and the cells of its quantities.

    hardware: logarithms of each node's OF_NODE.  emulated: whether each node is: data of an emulator say nothing about
    real ones.
    """

    def __init__(
        self, model: ResidualTrees, hardware: Sequence[Sequence[float | None]], emulated: Sequence[bool]
    ) -> None:
        self.count = len(hardware)
        self.regions: list[Region] = []
        self.near: list[NearRegion] = []
        # The nearest are found first where emulated regions, which reach far, come first: others are then left out.
        for region in sorted(model.regions, key=lambda region: region.scale):
            far = [region.distance(row, len(OF_TASK)) for row in hardware]
            nodes = tuple(
                (at, distance) for at, distance in enumerate(far)
                if region.scale * distance < FARTHEST and (emulated[at] or not region.emulated)
            )  # fmt: skip
            if nodes:
                self.regions.append(region)
                least = min(distance for _, distance in nodes)
                self.near.append(NearRegion(nodes, least, region.scale, region.energies))
        names = {region.framework for region in self.regions} | {None}
        self.frameworks = {name: tuple(region.strangeness(name) for region in self.regions) for name in names}
        self.other_framework = tuple(region.strangeness("") for region in self.regions)
        self.axes: tuple[Axis, ...] = model.axes[: len(OF_TASK)]
        self.rows: tuple[dict[int, Row], ...] = tuple({} for _ in self.axes)

    def __call__(self, framework: str | None, places: Sequence[int]) -> list[tuple[float, float]]:
        """(support of times, of powers) on each node. places: the cells of the task's quantities, OF_TASK first."""
        of_axes = [
            rows.get(place) or self._row(axis, place)
            for axis, rows, place in zip(AXES, self.rows, places, strict=False)
        ]
        strange = self.frameworks.get(framework, self.other_framework)
        nearest, powered, farthest = [FARTHEST] * self.count, [FARTHEST] * self.count, FARTHEST
        for near, a, b, c, d, e in zip(self.near, strange, *of_axes, strict=True):
            nodes, least, scale, energies = near
            of_task = a + b + c + d + e
            if scale * (of_task + least) >= farthest:
                continue
            for at, of_node in nodes:
                distance = scale * (of_task + of_node)
                if distance < nearest[at]:
                    nearest[at] = distance
                if energies and distance < powered[at]:
                    powered[at] = distance
            farthest = max(max(nearest), max(powered))
        return [(support(times), support(powers)) for times, powers in zip(nearest, powered, strict=True)]

    def _row(self, axis: int, place: int) -> Row:
        """The squared distance from each region of a quantity in a cell, which is kept."""
        middle = self.axes[axis].middle[place]
        value = math.log(middle) if middle else None
        row = self.rows[axis][place] = tuple(region.distance((value,), axis) for region in self.regions)
        return row
