"""The other half of the ratio selector: boosted trees for the log speed-up, a line and trees for the log power ratio.

Trees follow what the smooth curves of `placement.prediction.gaussian_process` cannot (a run that waits for its loader);
curves go on where trees stop. Which of the two is asked, or the mean of both, is chosen where they are fitted, on
held-out work.

The power ratio is that of the watts of a GPU run (CPU's included) to those of a CPU run: it hangs on the CPUs granted.
energy ratio = power ratio / speed-up.

Seconds: one more sum of trees says how far a CPU falls short of its throughput; the GPU's follow by the speed-up. No
device beats its arithmetic (FASTEST): a speed-up that says so is cut.
"""

from __future__ import annotations

import math
from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from dataclasses import dataclass, fields
from functools import cached_property
from typing import Any, NamedTuple

from placement.prediction.estimate import (
    SURE_POWER,
    Estimate,
    Spread,
    doubts_of,
    energy_of,
    probability_worth,
    seconds_told,
    worth,
)
from placement.prediction.gaussian_process import FASTEST, Prediction
from placement.prediction.tree_ensemble import UNKNOWN, Forest
from placement.spec.features import FEATURES, granted_gflops
from placement.spec.joint_threshold import JointThreshold
from placement.spec.node import NodeSpec
from placement.spec.task import TaskSpec

HARDWARE = tuple(FEATURES)[:5]
WORK = (*tuple(FEATURES)[5:], "kernels")
INTENSITIES = {"flops_per_launch": ("flops", "kernels"), "flops_per_parameter": ("flops", "parameters")}
"""Quotients of WORK: how long a launch keeps a device busy, how often a parameter is used once it is read. They carry
over to work of another kind better than sizes do. Looked at only where the kernels are known: on published work without
them, families not seen, trees that look at the second err in five cases of 544 more."""
NUMBERS = (*HARDWARE, *WORK, *INTENSITIES)
"""The inputs: natural logarithms of these, and a 1 for the task's framework."""
KERNELS = NUMBERS.index("kernels")
OF_KERNELS = (KERNELS, *map(NUMBERS.index, INTENSITIES))
"""What is unknown where the kernels are."""
MARGIN = 0.05  # of an input's log range, on either side of it, still counts as seen
SLACK = 1e-9  # of a logarithm: what taking it and back may lose
LARGEST_LOG = 700.0  # a float holds e to that
LOG_FASTEST = math.log(FASTEST)
GIGA = math.log(1e9)
MOST_ANSWERS, LEAST_CELLS = 8_192, 64
"""P(GPU) kept for cells asked about, over all nodes: some 1 MB; and cells kept however many nodes there are."""


class Times(NamedTuple):
    """Standard deviations of the logs of a CPU's and a GPU's seconds, as measured on work not seen."""

    std: float
    gpu_std: float


@dataclass(frozen=True)
class TreeModel:
    """A fitted model. forest: sums: log speed-up; what the line leaves of the log power ratio; where the fit knew the
    kernels of all work, the log speed-up by trees that do not look at them: few specs written by hand tell them; and,
    where it tells times, the log of a CPU's seconds over those at its full throughput.

    centre, slopes (5,): of the power ratio's line over HARDWARE, its centre NaN where never known.
    low, high (12,): range of NUMBERS in the fit; NaN where never known.  within, beyond: standard deviation of the log
    speed-up on work not seen, inside that range and outside it, as measured.  power_std: of the log power ratio; None
    where no energies were known.
    """

    frameworks: tuple[str, ...]
    forest: Forest
    centre: Any
    slopes: Any
    low: Any
    high: Any
    within: float
    beyond: float
    power_std: float | None
    times: Times | None = None

    def rows(self, logs: Any, frameworks: Sequence[Any]) -> Any:
        """(n, inputs) of logs of NUMBERS (n, 12), NaN where unknown, and frameworks."""
        return inputs_of(logs, frameworks, self.frameworks)

    def predict(self, logs: Any, frameworks: Sequence[Any]) -> tuple[Any, Any, Any]:
        """(log speed-up, log power ratio, whether it extrapolates), (n,) each."""
        import numpy as np

        sums = self.forest.predict(self.rows(logs, frameworks))
        speedup = np.where(np.isnan(logs[:, KERNELS]), sums[:, self.without_kernels], sums[:, 0])
        if self.times is not None:
            speedup = np.fmin(speedup, most_speedup(sums[:, -1], logs[:, 1] - logs[:, 0]))  # NaN is no bound
        line = np.nan_to_num(logs[:, : len(HARDWARE)] - self.centre) @ self.slopes
        low, high = self.ranges
        outside = ((logs < np.array(low)) | (logs > np.array(high))).any(axis=1)
        return speedup, sums[:, 1] + line, outside

    @cached_property
    def ranges(self) -> tuple[list[float], list[float]]:
        """What counts as seen, for each of NUMBERS."""
        margin = MARGIN * (self.high - self.low) + SLACK
        return (self.low - margin).tolist(), (self.high + margin).tolist()

    @cached_property
    def steps(self) -> list[_Steps]:
        """The inputs of a task, each cut where anything changes; some 10 ms to make, and the same for all nodes."""
        low, high = self.ranges
        return [_Steps.of(*self.forest.tables[i], low[i], high[i]) for i in range(len(HARDWARE), len(NUMBERS))]

    @cached_property
    def framework_masks(self) -> dict[str | None, int]:
        """Framework -> the leaves that it leaves, all masks as one whole number; None: any other framework."""
        import numpy as np

        whole, masks = np.full(len(self.forest.trees), 0xFFFFFFFF, np.uint32), dict[str | None, int]()
        for name in (*self.frameworks, None):
            ones = {len(NUMBERS) + i: float(name == other) for i, other in enumerate(self.frameworks)}
            masks[name] = _whole(self.forest.left(ones) if ones else whole)
        return masks

    def __getstate__(self) -> dict[str, Any]:
        """Without what was worked out, as `Forest`."""
        return {f.name: self.__dict__[f.name] for f in fields(self)}

    @property
    def without_kernels(self) -> int:
        """The sum that is the log speed-up of work whose kernels are unknown."""
        return 2 if len(self.forest.ends) - (self.times is not None) > 2 else 0

    @property
    def sure_of_power(self) -> bool:
        """The power ratio is known well enough for energy to have a say."""
        return self.power_std is not None and self.power_std <= SURE_POWER

    def spread(self, outside: bool) -> float:
        """Standard deviation of the log speed-up."""
        return self.beyond if outside else self.within


def with_intensities(logs: Any) -> Any:
    """(n, 12) logs of NUMBERS from those of HARDWARE and WORK, (n, 10); NaN where unknown."""
    import numpy as np

    at = {name: logs[:, i] for i, name in enumerate((*HARDWARE, *WORK))}
    quotients = np.column_stack([at[of] - at[each] for of, each in INTENSITIES.values()])
    quotients[np.isnan(at["kernels"])] = np.nan
    return np.hstack([logs, quotients])


def most_speedup(shortfall: Any, gflops_ratio: Any) -> Any:
    """Logs: the speed-up at which the GPU does FASTEST of its GFLOP/s, by the CPU's shortfall; NumPy arrays."""
    import numpy as np

    return np.maximum(shortfall, -LOG_FASTEST) + gflops_ratio + LOG_FASTEST


def inputs_of(logs: Any, frameworks: Sequence[Any], names: Sequence[str]) -> Any:
    """(n, 12 + names): UNKNOWN for what is not known."""
    import numpy as np

    given = np.array(frameworks, dtype=object)
    ones = [(given == name).astype(float)[:, None] for name in names]
    return np.hstack([np.nan_to_num(logs, nan=UNKNOWN), *ones])


def mixed(curves: Prediction, trees: Spread, share: float) -> Spread:
    """The log speed-up by both, `share` of it by the trees. They err alike, so the spread is the mean of theirs."""
    return Spread(
        (1 - share) * curves.log_speedup + share * trees.mean,
        (1 - share) * curves.log_speedup_std + share * trees.std,
    )


class Ready:
    """Trees ready for certain nodes: all that hangs on the nodes alone is looked up already.

    Trees are steps: between two thresholds of each input nothing changes. So an answer holds for a whole cell, and one
    that lies in a cell asked about before costs seven bisections.
    """

    def __init__(self, model: TreeModel, nodes: Sequence[NodeSpec], cpus: float, thresholds: JointThreshold) -> None:
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
        self.stds = [(std, math.hypot(std, model.power_std or 0.0)) for std in (model.within, model.beyond)]
        self.place = {index: at for at, index in enumerate(self.nodes)}
        self.cpu_gflops = [None if model.times is None else row[0] for row in logs]
        self.room = [_room(cpu, row[1]) for cpu, row in zip(self.cpu_gflops, logs, strict=True)]
        self.power = [_line(row, model.centre.tolist(), model.slopes.tolist()) for row in logs]
        forest, whole = model.forest, np.full(len(model.forest.trees), 0xFFFFFFFF, np.uint32)
        left = [forest.left({j: UNKNOWN if v is None else v for j, v in enumerate(row)}) for row in logs]
        self.left = np.array(left) if left else np.zeros((0, len(whole)), np.uint32)
        self.sums, self.frombuffer, self.size = forest.sums, np.frombuffer, 4 * len(whole)
        self.steps, self.frameworks = model.steps, model.framework_masks
        self.edges = tuple(one.edges for one in self.steps)
        self.nothing = TreeCell([None] * self.count, [], False)
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
        """What is said of a cell, kept."""
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
        for at, (speedup, power, _), beyond in zip(self.nodes, told, self.outside, strict=True):
            p_gpu[at] = self._worth(speedup, power, strange or beyond)
        if len(self.cells) >= self.most_cells:
            self.cells.clear()
        found = self.cells[cell] = TreeCell(p_gpu, told, strange)
        return found

    def _worth(self, speedup: float, power: float, outside: bool) -> float:
        """P(GPU) of one node."""
        std, energy_std = self.stds[outside]
        frugal = None if self.model.power_std is None else (self.most_energy - power + speedup) / energy_std
        return worth((speedup - self.least_speedup) / std, frugal, self.power_known)[0]

    def spreads_of(self, task: TaskSpec) -> tuple[Spread, Spread | None]:
        """Of the speed-up and of the power ratio on the first node, for a task whose FLOPs are known."""
        told = self(task)
        speedup, power, _ = told.of(0)
        return self.spreads(speedup, power, told.outside(0))

    def spreads(self, speedup: float, power: float, outside: bool) -> tuple[Spread, Spread | None]:
        """Of the speed-up and of the power ratio."""
        model = self.model
        known = None if model.power_std is None else Spread(power, model.power_std)
        return Spread(speedup, model.spread(outside)), known


class TreeCell(NamedTuple):
    """What the trees say of all tasks of a cell. p_gpu: of each node.  strange: it lies outside what was seen.

    told: (log speed-up, log power ratio, log of the CPU's shortfall) on each node that has a GPU.
    """

    p_gpu: Sequence[float | None]
    told: Sequence[tuple[float, float, float]]
    strange: bool


class TreeEstimates:
    """What `Ready` says of one task: p_gpu of each node; the rest of one, seconds too, once it is looked at."""

    __slots__ = ("_cell", "_ready", "_task", "p_gpu")

    def __init__(self, ready: Ready, cell: TreeCell, task: TaskSpec) -> None:
        self._ready, self._cell, self._task, self.p_gpu = ready, cell, task, cell.p_gpu

    def of(self, at: int) -> tuple[float, float, float]:
        """What `TreeCell.told` holds, at that place of the nodes with a GPU."""
        return self._cell.told[at]

    def outside(self, at: int) -> bool:
        """The task, or the node at that place of those with a GPU, lies outside what was seen."""
        return self._cell.strange or self._ready.outside[at]

    def __getitem__(self, index: int, /) -> Estimate | None:
        p_gpu = self.p_gpu[index]
        if p_gpu is None:
            return None
        ready, at = self._ready, self._ready.place[index]
        outside, of = self.outside(at), self.of(at)
        speedup, power = ready.spreads(of[0], of[1], outside)
        energy, power_std = energy_of(speedup, power), ready.model.power_std or 0.0
        decides = probability_worth(speedup, energy, power_std, ready.thresholds)[1]
        cpu, gpu = self._seconds(at)
        return Estimate(p_gpu, speedup, energy, cpu, gpu, extrapolating=outside, energy_decides=decides)

    def _seconds(self, at: int) -> tuple[float | None, float | None]:
        """(CPU, GPU) of the whole task; None where the trees tell none, or the CPU's throughput is not known."""
        gflops = self._ready.cpu_gflops[at]
        if gflops is None or not self._task.flops:
            return None, None
        speedup, _, shortfall = self.of(at)
        cpu = math.log(self._task.flops) + math.log(self._task.steps) - gflops - GIGA + shortfall
        return seconds_told(cpu), seconds_told(cpu - speedup)

    def doubts(self, index: int, /) -> str:
        """What one stands on."""
        if self._ready.model.sure_of_power:  # whatever the task
            return doubts_of(True, True) if self.outside(self._ready.place[index]) else ""
        estimate = self[index]
        return "" if estimate is None else doubts_of(estimate.extrapolating, estimate.energy_decides)


class _Steps(NamedTuple):
    """One input of the task, cut where anything changes. edges: in its own unit, in order; an unknown one counts as 0.

    left: what the trees have left between edges i-1 and i, all masks as one whole number: ANDed tens of times faster
    than as a small array.  outside: whether that lies outside what was seen.
    """

    edges: list[float]
    left: list[int]
    outside: list[bool]

    @classmethod
    def of(cls, thresholds: Sequence[float], masks: Any, low: float, high: float) -> _Steps:
        """thresholds, masks: of `Forest.tables`.  low, high: the logs between which it was seen; NaN: never."""
        cuts = sorted({UNKNOWN, *(cut for cut in (*thresholds, low, high) if cut > UNKNOWN)})  # NaN is not
        whole = [_whole(row) for row in masks]
        above = [whole[bisect_right(thresholds, cut)] for cut in cuts]
        return cls(
            [0.0 if cut == UNKNOWN else math.exp(min(cut, LARGEST_LOG)) for cut in cuts],
            [whole[bisect_left(thresholds, UNKNOWN)], *above],
            [False, *(cut < low or cut >= high for cut in cuts)],
        )


def hardware(node: NodeSpec, cpus: float) -> tuple[float | None, ...]:
    """HARDWARE of a node with so many CPUs granted; None where unknown."""
    return granted_gflops(node, cpus), node.gpu_gflops, node.gpu_memory_gb, node.cpu_tdp_w, node.gpu_tdp_w


def _whole(masks: Any) -> int:
    """(trees,) masks as one number."""
    return int.from_bytes(masks.astype("<u4").tobytes(), "little")


def _log(value: float | None) -> float | None:
    return math.log(value) if value else None


def _room(cpu_gflops: float | None, gpu_gflops: float | None) -> float:
    """The log speed-up of a GPU at FASTEST of its GFLOP/s over a CPU at its own; unbounded where either is unknown."""
    known = cpu_gflops is not None and gpu_gflops is not None
    return gpu_gflops - cpu_gflops + LOG_FASTEST if known else math.inf  # type: ignore[operator]


def _line(logs: Sequence[float | None], centre: Sequence[float], slopes: Sequence[float]) -> float:
    """The power ratio's line; what is unknown counts as average."""
    return sum(k * (v - c) for v, c, k in zip(logs, centre, slopes, strict=True) if v is not None and c == c)
