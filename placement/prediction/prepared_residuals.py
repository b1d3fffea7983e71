"""The roofline with learned corrections prepared for some nodes: what depends on the nodes alone is computed once.

P(GPU) of a task is that of its cell: each quantity of a task stands for all within some 13 %, so that an answer serves
a whole cell of inputs, whichever function asks. The seconds of an Estimate are the task's own.
"""

from __future__ import annotations

import math
from bisect import bisect_left
from collections.abc import Sequence
from typing import Any, NamedTuple

from placement.prediction.data_support import DataSupport
from placement.prediction.device_rates import rates_of
from placement.prediction.estimate import (
    CLEAR,
    ROOFLINE,
    SELECTOR,
    SURE_POWER,
    Basis,
    Estimate,
    Ratios,
    Spread,
    doubts_of,
    energy_of,
    probability_worth,
    seconds_of_log,
    worth,
)
from placement.prediction.power_model import ASSUMED, PowerModel
from placement.prediction.prepared_trees import LEAST_CELLS, MOST_ANSWERS, hardware
from placement.prediction.residual_trees import OF_NODE, POWER_STD, ROOFLINE_ALONE, ResidualTrees, log_power_by_tdp
from placement.prediction.roofline import roofline
from placement.prediction.task_work import BYTES_AN_ELEMENT, Work, work
from placement.prediction.tree_ensemble import UNKNOWN
from placement.spec.joint_threshold import JointThreshold
from placement.spec.node import NodeSpec
from placement.spec.task import TaskSpec

QUANTITIES = 5  # axes that are quantities of the task; the others are quotients of these
NOTHING = (0.0, 0.0, 0.0, 0.0)
LARGEST_LOG_VARIANCE = 6.0  # of a standard deviation of e to the 3: more tells nothing more
LEAST_STD = 0.02
MANY_STEPS = 256
"""The data are of tasks of one step, on a GPU the copy of the parameters included, which a task pays once. Tasks of so
many steps hardly feel it."""
UNSETTLED = 0.1
"""An answer of the roofline alone whose P(GPU) is this far from 0 and 1 is extrapolating: it may well be wrong."""


class ResidualBelief(NamedTuple):
    """A task on one node, in natural logarithms.

    speedup, std: of T_cpu / T_gpu.  power, power_std: of the power ratio.  cpu_shift: correction of the roofline's CPU
    seconds.  shift: likewise of its speed-up.  support: share of the correction; see `ResidualTrees`.
    log_cpu, log_gpu, cpu_watts, gpu_watts: the Ratios of the task that stands for the cell.
    """

    speedup: float
    std: float
    power: float
    power_std: float
    cpu_shift: float
    shift: float
    support: float
    log_cpu: float
    log_gpu: float
    cpu_watts: float | None
    gpu_watts: float | None


class ResidualCell(NamedTuple):
    """The answer for all tasks of a cell, on each node; beliefs: on those with a GPU.

    choices: what policies chose that look at nothing but the ratios between the nodes, which are the whole cell's.
    """

    p_gpu: Sequence[float | None]
    beliefs: Sequence[ResidualBelief]
    choices: dict[Any, Any]


class PreparedResiduals:
    """ResidualTrees for certain nodes. `cells` keeps the answers."""

    def __init__(
        self, model: ResidualTrees, nodes: Sequence[NodeSpec], cpus: float, thresholds: JointThreshold,
        watts: PowerModel = ASSUMED,
    ) -> None:  # fmt: skip
        import numpy as np

        self.model, self.thresholds, self.count = model, thresholds, len(nodes)
        self.nodes = [i for i, node in enumerate(nodes) if node.gpus]
        self.place = {index: at for at, index in enumerate(self.nodes)}
        chosen = [nodes[i] for i in self.nodes]
        self.rates = [rates_of(node, cpus) for node in chosen]
        self.copy_byte_s = [rates.network[1].copy_byte_s for rates in self.rates]
        self.watts, self.power_std = [watts.of(node, cpus) for node in chosen], model.power_std
        self.power = [log_power_by_tdp(node.cpu_tdp_w, node.gpu_tdp_w) for node in chosen]
        self.least_speedup, self.most_energy = math.log(thresholds.speedup), math.log(thresholds.energy_ratio)
        logs = [[math.log(value) if value else None for value in hardware(node, cpus)] for node in chosen]
        self.support = DataSupport(model, [row[: len(OF_NODE)] for row in logs], [node.emulated for node in chosen])
        forest = model.forest
        left = [forest.left({j: UNKNOWN if v is None else v for j, v in enumerate(row)}) for row in logs]
        self.left = np.array(left) if left else np.zeros((0, len(forest.trees)), np.uint32)
        self.frombuffer, self.mask, self.size = np.frombuffer, np.dtype("<u4"), 4 * len(forest.trees)
        self.axes, self.frameworks = model.axes, model.framework_masks
        self.edges = tuple(axis.edges for axis in self.axes)
        self.middles = tuple(axis.middle for axis in self.axes[:QUANTITIES])
        self.nothing = ResidualCell([None] * self.count, [], {})
        self.cells: dict[tuple[Any, ...], ResidualCell] = {}
        self.most_cells = max(LEAST_CELLS, MOST_ANSWERS // max(1, self.count))

    def __call__(self, task: TaskSpec, /) -> ResidualEstimates:
        """The estimates of a task on each node; none where neither its FLOPs nor its launches are known."""
        flops, kernels, parameters = task.flops or 0.0, task.kernels or 0, task.parameters or 0
        if not flops and not (kernels and task.input_bytes):
            return ResidualEstimates(self, self.nothing, task)
        a_launch = a_parameter = 0.0
        if kernels:
            a_launch = float(flops) / float(kernels)
            a_parameter = float(flops) / float(parameters) if parameters else 0.0
        of_flops, of_batch, of_parameters, of_bytes, of_kernels, of_launches, of_uses = self.edges
        cell = (
            task.framework,
            task.inputs_on_device,
            min(task.steps, MANY_STEPS).bit_length(),
            bisect_left(of_flops, flops),
            bisect_left(of_batch, task.batch_size or 0),
            bisect_left(of_parameters, parameters),
            bisect_left(of_bytes, task.input_bytes or 0),
            bisect_left(of_kernels, kernels),
            bisect_left(of_launches, a_launch),
            bisect_left(of_uses, a_parameter),
        )
        return ResidualEstimates(self, self.cells.get(cell) or self._answer(cell), task)

    def _answer(self, cell: tuple[Any, ...]) -> ResidualCell:
        """The answer for a cell, which is kept."""
        framework, on_device, doublings, *places = cell
        flops, batch, parameters, read, kernels = [
            middle[place] for middle, place in zip(self.middles, places, strict=False)
        ]
        supports = self.support(framework, places)
        sums = self._sums(framework, places) if any(map(any, supports)) else [NOTHING] * len(self.nodes)
        task = work(flops, read, parameters, batch, kernels, framework, bool(on_device))
        copied = 0.0 if on_device else BYTES_AN_ELEMENT * (parameters or 0.0) * (1.0 - 2.0 ** (1 - doublings))
        beliefs = [self._belief(task, at, sums[at], *supports[at], copied) for at in range(len(self.nodes))]
        p_gpu: list[float | None] = [None] * self.count
        for index, belief in zip(self.nodes, beliefs, strict=True):
            p_gpu[index] = self.worth(belief)
        if len(self.cells) >= self.most_cells:
            self.cells.clear()
        found = self.cells[cell] = ResidualCell(p_gpu, beliefs, {})
        return found

    def _sums(self, framework: str | None, places: Sequence[int]) -> Any:
        """The sums of trees in a cell, on each node."""
        left = self.frameworks.get(framework)
        left = self.frameworks[None] if left is None else left
        for axis, place in zip(self.axes, places, strict=True):
            left &= axis.left[place]
        masks = self.frombuffer(left.to_bytes(self.size, "little"), self.mask)
        return self.model.forest.sums(self.left & masks).tolist()

    def _belief(
        self, task: Work, at: int, sums: Sequence[float], supported: float, powered: float, copied: float
    ) -> ResidualBelief:
        """copied: bytes of parameters that a step of one-step tasks copies, and a step of this task does not."""
        log_cpu, log_speedup, std = roofline(task, self.rates[at])
        shift, cpu_shift, log_variance, power = sums
        learned = 0.0 if task.host_only else supported  # such work has one time, whatever is learned about it
        shift *= learned
        cpu_shift *= supported
        if copied:
            log_gpu = log_cpu - log_speedup
            shift += _without_copies(log_gpu, log_gpu + cpu_shift - shift, copied * self.copy_byte_s[at])
        variance = (1.0 - learned) * std * std
        if learned:
            variance += learned * math.exp(min(log_variance, LARGEST_LOG_VARIANCE))
        of_power, power_std = self.power[at], POWER_STD
        if self.power_std is not None:
            of_power += powered * power
            power_std = powered * self.power_std + (1.0 - powered) * POWER_STD
        log_cpu += cpu_shift
        speedup, watts = log_speedup + shift, self.watts[at].cpu
        return ResidualBelief(
            speedup, max(LEAST_STD, math.sqrt(variance)), of_power, power_std, cpu_shift, shift, supported,
            log_cpu, log_cpu - speedup, watts, None if watts is None else watts * seconds_of_log(of_power),
        )  # fmt: skip

    def worth(self, belief: ResidualBelief, log_slower: float = 0.0, log_hungrier: float = 0.0) -> float:
        """P(GPU) of one node, against its own CPU or one that is faster, and takes fewer joules, by these factors."""
        frugal = self.most_energy - belief.power + belief.speedup - log_hungrier
        frugal /= math.hypot(belief.std, belief.power_std)
        fast = (belief.speedup - log_slower - self.least_speedup) / belief.std
        return worth(fast, frugal, belief.power_std <= SURE_POWER)[0]

    def spreads_of(self, task: TaskSpec) -> tuple[Spread, Spread | None]:
        """Speed-up and power ratio on the first node, for a task whose FLOPs are known."""
        belief = self(task).belief(0)
        return Spread(belief.speedup, belief.std), Spread(belief.power, belief.power_std)


def unsettled(p_gpu: float) -> bool:
    """Whether a probability leaves the device open."""
    return UNSETTLED < p_gpu < 1.0 - UNSETTLED


class ResidualEstimates:
    """Estimates of `PreparedResiduals` for one task: P(GPU) of each node; an Estimate is made when it is read."""

    __slots__ = ("_cell", "_prepared", "_task", "p_gpu")

    def __init__(self, prepared: PreparedResiduals, cell: ResidualCell, task: TaskSpec) -> None:
        self._prepared, self._cell, self._task, self.p_gpu = prepared, cell, task, cell.p_gpu

    @property
    def choices(self) -> dict[Any, Any] | None:
        """The cell's; None where nothing is known of the task."""
        return self._cell.choices if self._cell.beliefs else None

    def ratios(self) -> Sequence[Ratios | None]:
        """The seconds and watts on each node, of the task that stands for the cell."""
        prepared, beliefs = self._prepared, self._cell.beliefs
        if len(beliefs) == prepared.count:
            return beliefs
        found: list[Ratios | None] = [None] * prepared.count
        for index, belief in zip(prepared.nodes, beliefs, strict=False):
            found[index] = belief
        return found

    def p_against(self, index: int, log_slower: float, log_hungrier: float, /) -> float:
        """P(GPU) of a node against another CPU than its own, which takes less time and energy by these factors."""
        prepared = self._prepared
        return prepared.worth(self._cell.beliefs[prepared.place[index]], log_slower, log_hungrier)

    def belief(self, at: int) -> ResidualBelief:
        """The belief at a place among the nodes with a GPU."""
        return self._cell.beliefs[at]

    def __getitem__(self, index: int, /) -> Estimate | None:
        p_gpu = self.p_gpu[index]
        if p_gpu is None:
            return None
        at = self._prepared.place[index]
        belief = self.belief(at)
        cpu, speedup = self._logs(at, belief)
        spread, power = Spread(speedup, belief.std), Spread(belief.power, belief.power_std)
        energy = energy_of(spread, power)
        decides = probability_worth(spread, energy, belief.power_std, self._prepared.thresholds)[1]
        watts = self._prepared.watts[at]
        cpu_seconds, gpu_seconds = seconds_of_log(cpu), seconds_of_log(cpu - speedup)
        cpu_joules = None if watts.cpu is None else watts.cpu * cpu_seconds
        gpu_joules = None if watts.cpu is None else watts.cpu * seconds_of_log(belief.power) * gpu_seconds
        alone = belief.support < ROOFLINE_ALONE
        source = ROOFLINE if alone else SELECTOR
        return Estimate(
            p_gpu, spread, energy, cpu_seconds, gpu_seconds, cpu_joules, gpu_joules, alone and unsettled(p_gpu), source,
            decides,
            Basis(belief.std, math.hypot(belief.std, watts.cpu_std), watts.cpu_idle, source, watts.source),
            Basis(belief.std, math.hypot(belief.std, watts.gpu_std), watts.gpu_idle, source, watts.source),
        )  # fmt: skip

    def _logs(self, at: int, belief: ResidualBelief) -> tuple[float, float]:
        """(log CPU seconds, log speed-up) of the whole task."""
        task = self._task
        of = work(
            task.flops, task.input_bytes, task.parameters, task.batch_size, task.kernels, task.framework,
            bool(task.inputs_on_device),
        )  # fmt: skip
        prior = roofline(of, self._prepared.rates[at])
        return prior.log_cpu + belief.cpu_shift + math.log(task.steps), prior.log_speedup + belief.shift

    def doubts(self, index: int, /) -> str:
        """The doubts about one estimate."""
        p_gpu = self.p_gpu[index]
        if p_gpu is None:
            return ""
        prepared, belief = self._prepared, self.belief(self._prepared.place[index])
        decides = belief.power_std <= SURE_POWER
        if not decides:
            frugal = prepared.most_energy - belief.power + belief.speedup
            decides = abs(frugal) >= CLEAR * math.hypot(belief.std, belief.power_std)
        return doubts_of(belief.support < ROOFLINE_ALONE and unsettled(p_gpu), decides)


def _without_copies(log_prior: float, log_seconds: float, copy_s: float) -> float:
    """Log of the factor by which a step on a GPU is shorter without copies, of the logs of its seconds by the roofline,
    which has none, and by the data; no shorter than the roofline's.
    """
    seconds = seconds_of_log(log_seconds)
    return max(0.0, log_seconds - max(log_prior, math.log(max(seconds - copy_s, 1e-12))))
