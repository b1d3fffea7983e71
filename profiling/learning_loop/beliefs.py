"""Beliefs of selectors about cells: a selector's estimate, sharpened by the history of the cell's runs.

A cell is a function at a size on a kind of node. The history is shared by all selectors, so that two of them differ
only where runs have not settled the question.

Costs are seconds at the rule's prices, so that the cheaper device is the rule's device: a second of GPU counts
`speedup` seconds of CPU, or as many as its joules are worth where that is more.
"""

from __future__ import annotations

from typing import NamedTuple

from placement.prediction.estimate import Estimate
from placement.prediction.posterior import corrected, posterior, slowdown_of
from placement.prediction.runtime_history import Key
from placement.prediction.selector import Selector
from placement.prediction.timings import Timings
from placement.scheduling.decision import key_of
from placement.spec.joint_threshold import JointThreshold
from placement.spec.node import NodeSpec
from placement.spec.task import Device, TaskSpec

GROWTH = 0.1  # a belief is worked out again once the runs of its cell are more by this share
LARGEST_CELLS = 10_000
NO_RUNS = Timings()


class Cell(NamedTuple):
    """A function at a size on a kind of node. function: its key in the history.  cpus: granted to a CPU run."""

    function: str
    task: TaskSpec
    node: NodeSpec
    cpus: float


class Belief(NamedTuple):
    """P(GPU) and the costs on both devices, of an estimate; None where nothing is known."""

    p_gpu: float | None
    cpu_cost: float | None
    gpu_cost: float | None
    estimate: Estimate | None = None

    @property
    def device(self) -> Device:
        """The device that the rule takes by this belief."""
        return "gpu" if self.p_gpu is not None and self.p_gpu >= 0.5 else "cpu"

    def cost(self, device: Device) -> float | None:
        """The cost on a device."""
        return self.gpu_cost if device == "gpu" else self.cpu_cost


UNKNOWN = Belief(None, None, None)


def cost(rule: JointThreshold, device: Device, seconds: float, joules: float | None, cpu_watts: float | None) -> float:
    """The cost of a run in seconds at the rule's prices. cpu_watts: of the same work on the CPU; None = not known."""
    if device == "cpu":
        return seconds
    by_energy = joules / (rule.energy_ratio * cpu_watts) if joules and cpu_watts else 0.0
    return max(rule.speedup * seconds, by_energy)


class CellHistory:
    """The runs of all cells by device, and the views of selectors on them."""

    def __init__(self) -> None:
        self.cells: list[Cell] = []
        self.timings: list[list[Timings]] = []
        self.cpu_watts: list[float | None] = []
        self.alike: list[list[int]] = []  # of each cell: those of its function and size, on all kinds of node
        self._index: dict[Cell, int] = {}
        self._by_key: dict[tuple[Key, float], list[int]] = {}
        self._views: list[SelectorView] = []
        self._news: list[list[float]] = []

    def index(self, cell: Cell) -> int | None:
        """The number of a cell, which is added where it is new; None where there are LARGEST_CELLS already."""
        at = self._index.get(cell)
        if at is None and len(self.cells) < LARGEST_CELLS:
            at = self._index[cell] = len(self.cells)
            self.cells.append(cell)
            self.timings.append([NO_RUNS, NO_RUNS])
            self.cpu_watts.append(None)
            self.alike.append(self._by_key.setdefault((key_of(cell.function, cell.task), cell.cpus), []))
            self.alike[at].append(at)
            self._news.append([0.0, 0.0])
            for view in self._views:
                view.beliefs.append(None)
                view.priors.append(None)
        return at

    def view(self, selector: Selector) -> SelectorView:
        """A selector's view, kept up to date until `forget`."""
        made = SelectorView(selector, self)
        self._views.append(made)
        return made

    def forget(self, view: SelectorView) -> None:
        """Lets a view go."""
        self._views = [one for one in self._views if one is not view]

    def add(self, at: int, device: Device, seconds: float, joules: float | None) -> None:
        """Takes a run of a cell."""
        on = device == "gpu"
        timings = self.timings[at][on] = self.timings[at][on].add(seconds, joules)
        if timings.runs >= self._news[at][on] or (timings.strays == 0 and timings.runs == 1):
            self.changed(at)

    def changed(self, at: int) -> None:
        """Lets the beliefs about a cell be worked out again."""
        both = self.timings[at]
        self._news[at] = [one.runs * (1.0 + GROWTH) for one in both]
        cpu = both[0]
        if cpu.joules and cpu.seconds:
            self.cpu_watts[at] = cpu.joules / cpu.seconds
        for view in self._views:
            for one in self.alike[at]:
                view.beliefs[one] = None

    def shift(self, at: int, device: Device, log_factor: float) -> None:
        """Takes the runs of a cell on a device as those of before a drift by that factor."""
        on = device == "gpu"
        old = self.timings[at][on]
        if not old.runs:
            return
        self.timings[at][on] = old.shifted(log_factor)
        self.changed(at)


class SelectorView:
    """One selector's beliefs about the cells of a history, worked out when they are asked for."""

    def __init__(self, selector: Selector, history: CellHistory) -> None:
        self.selector = selector
        self._history = history
        self.beliefs: list[Belief | None] = [None] * len(history.cells)
        self.priors: list[Estimate | bool | None] = [None] * len(history.cells)

    def belief(self, at: int) -> Belief:
        """The belief about a cell."""
        found = self.beliefs[at]
        if found is None:
            found = self.beliefs[at] = self._belief(at)
        return found

    def forget_beliefs(self) -> None:
        """Has every belief worked out anew; the selector's own estimates are kept."""
        self.beliefs = [None] * len(self.beliefs)

    def prior(self, at: int) -> Estimate | None:
        """The selector's own estimate of a cell."""
        found = self.priors[at]
        if found is None:
            cell = self._history.cells[at]
            found = self.priors[at] = self.selector.estimate(cell.task, cell.node, cell.cpus) or False
        return found if isinstance(found, Estimate) else None

    def _estimate(self, at: int) -> Estimate | None:
        """The selector's estimate of a cell, sharpened by the cell's runs; with as much of a slowdown as the work has
        shown on all kinds of node, as `placement.scheduling.feasibility` has it.
        """
        history, rule = self._history, self.selector.thresholds
        slowdown = slowdown_of((self.prior(one), *history.timings[one]) for one in history.alike[at])
        return posterior(corrected(self.prior(at), slowdown, rule), *history.timings[at], rule)

    def _belief(self, at: int) -> Belief:
        rule, found = self.selector.thresholds, self._estimate(at)
        if found is None:
            return UNKNOWN
        cpu, gpu = found.cpu_seconds, found.gpu_seconds
        if not cpu or not gpu:
            return Belief(found.p_gpu, cpu, gpu, found)
        watts = found.cpu_joules / cpu if found.cpu_joules else None
        return Belief(found.p_gpu, cpu, cost(rule, "gpu", gpu, found.gpu_joules, watts), found)
