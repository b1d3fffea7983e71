"""Selectors that answer for one kind of node at a time, for several; the power model fills in their joules."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from placement.prediction.device_belief import completed
from placement.prediction.estimate import Estimate, EstimateList, Prepared
from placement.prediction.interference import ASSUMED as NO_RUNS
from placement.prediction.interference import Interference
from placement.prediction.power_model import ASSUMED, PowerModel
from placement.spec.node import NodeSpec
from placement.spec.task import TaskSpec


class SingleNodeSelector(Protocol):
    """All that is asked of a selector that has no `prepare` of its own."""

    def estimate(self, task: TaskSpec, node: NodeSpec, cpus: float, /) -> Estimate | None:
        """The estimate on one kind of node."""
        ...


@dataclass(frozen=True, slots=True)
class PreparedOneByOne:
    """Prepared for a selector that answers for one kind of node at a time."""

    selector: SingleNodeSelector
    nodes: tuple[NodeSpec, ...]
    cpus: float

    def __call__(self, task: TaskSpec, /) -> EstimateList:
        """One estimate after the other."""
        return EstimateList([self._estimate(task, node) for node in self.nodes])

    def _estimate(self, task: TaskSpec, node: NodeSpec) -> Estimate | None:
        found = self.selector.estimate(task, node, self.cpus)
        return found and completed(found, power_model(self.selector).of(node, self.cpus))


def power_model(selector: object) -> PowerModel:
    """The power model of a selector; the assumed one where it has none."""
    found = getattr(selector, "power", None)
    return found if isinstance(found, PowerModel) else ASSUMED


def interference_model(selector: object) -> Interference:
    """The interference model of a selector; the assumed one where it has none."""
    found = getattr(selector, "interference", None)
    return found if isinstance(found, Interference) else NO_RUNS


def prepared(selector: SingleNodeSelector, nodes: tuple[NodeSpec, ...], cpus: float) -> Prepared:
    """The selector's own `prepare(nodes, cpus)` where it has one, which answers for all nodes at once."""
    prepare = getattr(selector, "prepare", None)
    ready: Prepared = PreparedOneByOne(selector, nodes, cpus) if prepare is None else prepare(nodes, cpus)
    return ready
