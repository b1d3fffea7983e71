"""Boosted trees prepared for some nodes: the part that depends on the nodes alone is computed once."""

from __future__ import annotations

import math
from bisect import bisect_left
from collections.abc import Sequence
from typing import Any, NamedTuple

from placement.prediction.boosted_trees import (
    HARDWARE,
    KERNELS,
    LOG_FASTEST,
    BoostedTrees,
)
from placement.prediction.estimate import (
    SELECTOR,
    Basis,
    Estimate,
    Ratios,
    SecondsRatios,
    Spread,
    doubts_of,
    energy_of,
    probability_worth,
    seconds_of_log,
    worth,
)
from placement.prediction.power_model import NodePower, PowerModel
from placement.prediction.tree_ensemble import UNKNOWN
from placement.spec.features import granted_gflops
from placement.spec.joint_threshold import JointThreshold
from placement.spec.node import NodeSpec
from placement.spec.task import TaskSpec

GIGA = math.log(1e9)
MOST_ANSWERS, LEAST_CELLS = 8_192, 64
"""P(GPU) kept for cells asked about, over all nodes: some 1 MB; and cells kept however many nodes there are."""


class PreparedTrees:
    """Boosted trees for certain nodes, with all that depends on the nodes alone looked up beforehand.

    Between two thresholds of an input nothing changes, so an answer holds for a whole cell of inputs. `cells` keeps the
    answers, whichever function asks: one from a known cell costs seven bisections (2 us in place of 20).
    """

    def __init__(
        self, model: BoostedTrees, nodes: Sequence[NodeSpec], cpus: float, thresholds: JointThreshold,
        watts: PowerModel | None = None,
    ) -> None:  # fmt: skip
        import numpy as np

        self.model, self.thresholds, self.count = model, thresholds, len(nodes)
        self.nodes = [i for i, node in enumerate(nodes) if node.gpus]
        low, high = model.ranges
        logs = [[_log(value) for value in hardware(nodes[i], cpus)] for i in self.nodes]
        self.outside = [
            any(v is not None and not a <= v <= b for v, a, b in zip(row, low, high, strict=False)) for row in logs
        ]
        self.least_speedup, self.most_energy = math.log(thresholds.speedup), math.log(thresholds.energy_ratio)
        self.power_known = model.sure_of_power
        watts = PowerModel() if watts is None else watts
        self.watts = [watts.of(nodes[i], cpus) for i in self.nodes]
        self.power_stds = [one.ratio_std if model.power_std is None else model.power_std for one in self.watts]
        self.stds = [
            [(std, None if power is None else math.hypot(std, power)) for std in (model.within, model.beyond)]
            for power in self.power_stds
        ]
        self.place = {index: at for at, index in enumerate(self.nodes)}
        self.cpu_gflops = [None if model.times is None else row[0] for row in logs]
        self.room = [_largest_log_speedup(cpu, row[1]) for cpu, row in zip(self.cpu_gflops, logs, strict=True)]
        self.power = [
            one.log_ratio if model.power_std is None else _power_line(row, model.centre.tolist(), model.slopes.tolist())
            for row, one in zip(logs, self.watts, strict=True)
        ]
        self.bases = [_bases(model, one) for one in self.watts]
        forest, whole = model.forest, np.full(len(model.forest.trees), 0xFFFFFFFF, np.uint32)
        left = [forest.left({j: UNKNOWN if v is None else v for j, v in enumerate(row)}) for row in logs]
        self.left = np.array(left) if left else np.zeros((0, len(whole)), np.uint32)
        self.sums, self.frombuffer, self.size = forest.sums, np.frombuffer, 4 * len(whole)
        self.steps, self.frameworks = model.steps, model.framework_masks
        self.edges = tuple(one.edges for one in self.steps)
        self.nothing = TreeCell([None] * self.count, [], False, {})
        self.cells: dict[tuple[Any, ...], TreeCell] = {}
        self.most_cells = max(LEAST_CELLS, MOST_ANSWERS // max(1, self.count))

    def __call__(self, task: TaskSpec, /) -> TreeEstimates:
        """The estimates of a task on each node; none where its FLOPs are unknown (0 counts as unknown)."""
        flops = task.flops
        if not flops:
            return TreeEstimates(self, self.nothing, task)
        parameters, kernels, a_launch, a_parameter = task.parameters, task.kernels, 0.0, 0.0
        if kernels:
            work = float(flops)
            a_launch = work / float(kernels)
            a_parameter = work / float(parameters) if parameters else 0.0
        of_flops, of_batch, of_parameters, of_bytes, of_kernels, of_launches, of_uses = self.edges
        cell = (
            task.framework,
            bisect_left(of_flops, flops),
            bisect_left(of_batch, task.batch_size or 0),
            bisect_left(of_parameters, parameters or 0),
            bisect_left(of_bytes, task.input_bytes or 0),
            bisect_left(of_kernels, kernels or 0),
            bisect_left(of_launches, a_launch),
            bisect_left(of_uses, a_parameter),
        )
        return TreeEstimates(self, self.cells.get(cell) or self._asked(cell), task)

    def _asked(self, cell: tuple[Any, ...]) -> TreeCell:
        """The answer for a cell, which is kept."""
        if not self.nodes:
            return self.nothing
        framework, *places = cell
        left = self.frameworks.get(framework)
        left = self.frameworks[None] if left is None else left
        strange = False
        for step, place in zip(self.steps, places, strict=True):
            left &= step.left[place]
            strange |= step.outside[place]
        told = self.sums(self.left & self.frombuffer(left.to_bytes(self.size, "little"), "<u4")).tolist()
        which = 0 if places[KERNELS - len(HARDWARE)] else self.model.without_kernels
        told = [
            (min(sums[which], max(sums[-1], -LOG_FASTEST) + room), sums[1] + line, max(sums[-1], -LOG_FASTEST))
            for sums, room, line in zip(told, self.room, self.power, strict=True)
        ]
        p_gpu: list[float | None] = [None] * self.count
        for at, (speedup, power, _), beyond, stds in zip(self.nodes, told, self.outside, self.stds, strict=True):
            p_gpu[at] = self.worth(speedup, power, stds[strange or beyond])
        if len(self.cells) >= self.most_cells:
            self.cells.clear()
        found = self.cells[cell] = TreeCell(p_gpu, told, strange, {})
        return found

    def worth(self, speedup: float, power: float, stds: tuple[float, float | None]) -> float:
        """P(GPU) of one node. stds: of the log speed-up and of the log energy ratio."""
        std, energy_std = stds
        frugal = None if energy_std is None else (self.most_energy - power + speedup) / energy_std
        return worth((speedup - self.least_speedup) / std, frugal, self.power_known)[0]

    def spreads_of(self, task: TaskSpec) -> tuple[Spread, Spread | None]:
        """Speed-up and power ratio on the first node, for a task whose FLOPs are known."""
        told = self(task)
        speedup, power, _ = told.of(0)
        return self.spreads(0, speedup, power, told.outside(0))

    def spreads(self, at: int, speedup: float, power: float, outside: bool) -> tuple[Spread, Spread | None]:
        """Speed-up and power ratio on a node with a GPU as Spreads."""
        std = self.power_stds[at]
        return Spread(speedup, self.model.spread(outside)), None if std is None else Spread(power, std)


class TreeCell(NamedTuple):
    """The answer of the trees for all tasks of a cell. p_gpu: of each node.  strange: outside the training data.

    told: (log speed-up, log power ratio, log of the CPU's shortfall) on each node that has a GPU.
    choices: what policies chose that look at nothing but the ratios between the nodes, which are the whole cell's.
    """

    p_gpu: Sequence[float | None]
    told: Sequence[tuple[float, float, float]]
    strange: bool
    choices: dict[Any, Any]


class TreeEstimates:
    """Estimates of `PreparedTrees` for one task: P(GPU) of each node; an Estimate is made when it is read."""

    __slots__ = ("_cell", "_task", "_trees", "p_gpu")

    def __init__(self, trees: PreparedTrees, cell: TreeCell, task: TaskSpec) -> None:
        self._trees, self._cell, self._task, self.p_gpu = trees, cell, task, cell.p_gpu

    @property
    def choices(self) -> dict[Any, Any] | None:
        """The cell's; None where nothing is known of the task."""
        return self._cell.choices if self._cell.told else None

    def ratios(self) -> list[Ratios | None] | None:
        """The seconds on each node up to a constant; None where the trees tell none."""
        trees, told = self._trees, self._cell.told
        found: list[Ratios | None] = [None] * trees.count
        for index, gflops, one in zip(trees.nodes, trees.cpu_gflops, told, strict=True):
            if gflops is None:
                return None
            cpu = one[2] - gflops
            found[index] = SecondsRatios(cpu, cpu - one[0])
        return found

    def p_against(self, index: int, log_slower: float, log_hungrier: float, /) -> float:
        """P(GPU) of a node against another CPU than its own, which takes less time and energy by these factors."""
        at = self._trees.place[index]
        speedup, power, _ = self.of(at)
        # The energy ratio is the power ratio over the speed-up: the power ratio takes what the joules differ beyond it.
        power += log_hungrier - log_slower
        return self._trees.worth(speedup - log_slower, power, self._trees.stds[at][self.outside(at)])

    def of(self, at: int) -> tuple[float, float, float]:
        """The entry of `TreeCell.told` at a place among the nodes with a GPU."""
        return self._cell.told[at]

    def outside(self, at: int) -> bool:
        """The task, or the node at that place of those with a GPU, lies outside what was seen."""
        return self._cell.strange or self._trees.outside[at]

    def __getitem__(self, index: int, /) -> Estimate | None:
        p_gpu = self.p_gpu[index]
        if p_gpu is None:
            return None
        trees, at = self._trees, self._trees.place[index]
        outside, of = self.outside(at), self.of(at)
        speedup, power = trees.spreads(at, of[0], of[1], outside)
        energy, power_std = energy_of(speedup, power), trees.power_stds[at] or 0.0
        decides = probability_worth(speedup, energy, power_std, trees.thresholds)[1]
        cpu, gpu = self._seconds(at)
        cpu_joules = gpu_joules = None
        watts, (cpu_basis, gpu_basis) = trees.watts[at].cpu, trees.bases[at]
        if cpu is not None and gpu is not None and watts is not None:
            cpu_joules = cpu * watts
            gpu_joules = None if power is None else gpu * watts * seconds_of_log(power.mean)
        return Estimate(
            p_gpu, speedup, energy, cpu, gpu, cpu_joules, gpu_joules, outside, SELECTOR, decides, cpu_basis, gpu_basis
        )  # fmt: skip

    def _seconds(self, at: int) -> tuple[float | None, float | None]:
        """(CPU, GPU) of the whole task; None where the trees tell none, or the CPU's throughput is not known."""
        gflops = self._trees.cpu_gflops[at]
        if gflops is None or not self._task.flops:
            return None, None
        speedup, _, shortfall = self.of(at)
        cpu = math.log(self._task.flops) + math.log(self._task.steps) - gflops - GIGA + shortfall
        return seconds_of_log(cpu), seconds_of_log(cpu - speedup)

    def doubts(self, index: int, /) -> str:
        """The doubts about one estimate."""
        if self._trees.power_known:  # whatever the task
            return doubts_of(True, True) if self.outside(self._trees.place[index]) else ""
        estimate = self[index]
        return "" if estimate is None else doubts_of(estimate.extrapolating, estimate.energy_decides)


def _bases(model: BoostedTrees, watts: NodePower) -> tuple[Basis, Basis]:
    """Spread and provenance of the seconds and joules on the CPU and on the GPU of a node."""
    if model.times is None:
        return Basis(idle_watts=watts.cpu_idle), Basis(idle_watts=watts.gpu_idle)
    (std, gpu_std), source = model.times, watts.source
    return (
        Basis(std, math.hypot(std, watts.cpu_std), watts.cpu_idle, SELECTOR, source),
        Basis(gpu_std, math.hypot(gpu_std, watts.gpu_std), watts.gpu_idle, SELECTOR, source),
    )


def hardware(node: NodeSpec, cpus: float) -> tuple[float | None, ...]:
    """HARDWARE of a node with so many CPUs granted; None where unknown."""
    return granted_gflops(node, cpus), node.gpu_gflops, node.gpu_memory_gb, node.cpu_tdp_w, node.gpu_tdp_w


def _log(value: float | None) -> float | None:
    return math.log(value) if value else None


def _largest_log_speedup(cpu_gflops: float | None, gpu_gflops: float | None) -> float:
    """The log speed-up of a GPU at FASTEST of its GFLOP/s over a CPU at its own; unbounded where either is unknown."""
    known = cpu_gflops is not None and gpu_gflops is not None
    return gpu_gflops - cpu_gflops + LOG_FASTEST if known else math.inf  # type: ignore[operator]


def _power_line(logs: Sequence[float | None], centre: Sequence[float], slopes: Sequence[float]) -> float:
    """The power ratio's line; what is unknown counts as average."""
    return sum(k * (v - c) for v, c, k in zip(logs, centre, slopes, strict=True) if v is not None and c == c)
