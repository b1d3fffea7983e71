"""The other half of the ratio selector: boosted trees for the log speed-up, a line and trees for the log power ratio.

Trees follow what the smooth curves of `placement.ratio` cannot (a run that waits for its loader); curves go on where
trees stop. Which of the two is asked, or the mean of both, is chosen where they are fitted, on held-out work.

The power ratio is that of the watts of a GPU run (CPU's included) to those of a CPU run: it hangs on the CPUs granted.
energy ratio = power ratio / speed-up.
"""

from __future__ import annotations

import math
from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from placement.estimate import Estimate, Spread, doubts_of, probability_worth
from placement.features import FEATURES, granted_gflops
from placement.node import NodeSpec
from placement.ratio import Prediction
from placement.rule import JointThreshold
from placement.task import TaskSpec
from placement.trees import UNKNOWN, Forest

HARDWARE = tuple(FEATURES)[:5]
WORK = (*tuple(FEATURES)[5:], "kernels")
NUMBERS = (*HARDWARE, *WORK)
"""The inputs: natural logarithms of these, and a 1 for the task's framework."""
MARGIN = 0.05  # of an input's log range, on either side of it, still counts as seen
HALF = math.sqrt(0.5)
SURE_POWER = math.log(1.5)
"""A power ratio known less well than this (standard deviation of its logarithm) is uncertain: 50 % is the error of a
CPU's joules estimated from its TDP."""


@dataclass(frozen=True)
class TreeModel:
    """A fitted model. forest: two sums, log speed-up and what the line leaves of the log power ratio.

    centre, slopes (10,): of the power ratio's line over NUMBERS.  low, high (10,): range of NUMBERS in the fit; NaN
    where never known.  within, beyond: standard deviation of the log speed-up on work not seen, inside that range and
    outside it, as measured.  power_std: of the log power ratio; None where no energies were known.
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

    def rows(self, logs: Any, frameworks: Sequence[Any]) -> Any:
        """(n, inputs) of logs of NUMBERS (n, 10), NaN where unknown, and frameworks."""
        return inputs_of(logs, frameworks, self.frameworks)

    def predict(self, logs: Any, frameworks: Sequence[Any]) -> tuple[Any, Any, Any]:
        """(log speed-up, log power ratio, whether it extrapolates), (n,) each."""
        import numpy as np

        speedup, rest = self.forest.predict(self.rows(logs, frameworks)).T
        line = np.nan_to_num(logs - self.centre) @ self.slopes
        low, high = self.ranges
        outside = ((logs < np.array(low)) | (logs > np.array(high))).any(axis=1)
        return speedup, rest + line, outside

    @cached_property
    def ranges(self) -> tuple[list[float], list[float]]:
        """What counts as seen, for each of NUMBERS."""
        margin = MARGIN * (self.high - self.low)
        return (self.low - margin).tolist(), (self.high + margin).tolist()

    def spread(self, outside: bool) -> float:
        """Standard deviation of the log speed-up."""
        return self.beyond if outside else self.within


def inputs_of(logs: Any, frameworks: Sequence[Any], names: Sequence[str]) -> Any:
    """(n, 10 + names): UNKNOWN for what is not known."""
    import numpy as np

    given = np.array(frameworks, dtype=object)
    ones = [(given == name).astype(float)[:, None] for name in names]
    return np.hstack([np.nan_to_num(logs, nan=UNKNOWN), *ones])


def both(speedup: Spread, power: Spread | None, thresholds: JointThreshold) -> tuple[float, bool]:
    """(P(GPU is worth it), whether energy was certain enough to have a say).

    Both tests hang on the same speed-up (energy ratio = power ratio / speed-up), so the harder one nearly implies the
    other: P of both is that of the harder one. Where the power ratio itself is uncertain, as `probability_worth`.
    """
    energy = energy_of(speedup, power)
    if energy is None or power is None or power.std > SURE_POWER:
        return probability_worth(speedup, energy, thresholds)
    return min(speedup.above(thresholds.speedup), 1.0 - energy.above(thresholds.energy_ratio)), True


def energy_of(speedup: Spread, power: Spread | None) -> Spread | None:
    """The energy ratio of a speed-up and a power ratio."""
    return None if power is None else Spread(power.mean - speedup.mean, math.hypot(power.std, speedup.std))


def mixed(curves: Prediction, trees: Spread, share: float) -> Spread:
    """The log speed-up by both, `share` of it by the trees. They err alike, so the spread is the mean of theirs."""
    return Spread(
        (1 - share) * curves.log_speedup + share * trees.mean,
        (1 - share) * curves.log_speedup_std + share * trees.std,
    )


class Ready:
    """Trees ready for certain nodes: all that hangs on the nodes alone is looked up already."""

    def __init__(self, model: TreeModel, nodes: Sequence[NodeSpec], cpus: float, thresholds: JointThreshold) -> None:
        import numpy as np

        self.model, self.thresholds, self.count = model, thresholds, len(nodes)
        self.nodes = [i for i, node in enumerate(nodes) if node.gpus]
        low, high = model.ranges
        logs = [[_log(value) for value in hardware(nodes[i], cpus)] for i in self.nodes]
        whole = np.full(len(model.forest.trees), 0xFFFFFFFF, np.uint32)
        left = [model.forest.left({j: UNKNOWN if v is None else v for j, v in enumerate(row)}) for row in logs]
        self.left = np.array(left) if left else np.zeros((0, len(whole)), np.uint32)
        self.outside = [
            any(v is not None and not a <= v <= b for v, a, b in zip(row, low, high, strict=False)) for row in logs
        ]
        at = list(zip(model.centre.tolist(), model.slopes.tolist(), strict=True))
        self.power = [_line(row, at) for row in logs]
        self.work = list(zip(range(len(HARDWARE), len(NUMBERS)), at[5:], low[5:], high[5:], strict=True))
        # All trees' masks as one whole number: ANDed tens of times faster than as a small array.
        self.tables = {
            which: (model.forest.tables[which][0], [_whole(row) for row in model.forest.tables[which][1]])
            for which in range(len(HARDWARE), len(NUMBERS))
        }
        self.sums, self.frombuffer, self.size = model.forest.sums, np.frombuffer, 4 * len(whole)
        self.least_speedup = math.log(thresholds.speedup)
        power, sure = model.power_std, model.power_std is not None and model.power_std <= SURE_POWER
        self.stds = [
            (std, math.hypot(std, power) if sure and power is not None else None)
            for std in (model.within, model.beyond)
        ]
        most_energy = math.log(thresholds.energy_ratio)
        self.scales = [
            [
                (constant - most_energy, HALF / self.stds[far][0], HALF / (self.stds[far][1] or math.inf))
                for constant, beyond in zip(self.power, self.outside, strict=True)
                for far in (strange or beyond,)
            ]
            for strange in (False, True)
        ]
        first = len(NUMBERS)
        ones = {name: {first + i: float(name == other) for i, other in enumerate(model.frameworks)}
                for name in (*model.frameworks, None)}  # fmt: skip
        self.frameworks = {name: _whole(model.forest.left(one) if one else whole) for name, one in ones.items()}

    def __call__(self, task: TaskSpec, /) -> TreeEstimates:
        """The estimates of a task on each node; none where its FLOPs are unknown (0 counts as unknown)."""
        if not task.flops or not self.nodes:
            return TreeEstimates(self, [None] * self.count, [], 0.0, False)
        left = self.frameworks.get(task.framework)
        left = self.frameworks[None] if left is None else left
        work = (task.flops, task.batch_size, task.parameters, task.input_bytes, task.kernels)
        power, strange = 0.0, False
        for value, (which, (centre, slope), low, high) in zip(work, self.work, strict=True):
            log = UNKNOWN
            if value:
                log = math.log(value)
                if centre == centre:  # NaN: never known where it was fitted
                    power += slope * (log - centre)
                    if not low <= log <= high:
                        strange = True
            thresholds, table = self.tables[which]
            left &= table[bisect_left(thresholds, log)]
        told = self.sums(self.left & self.frombuffer(left.to_bytes(self.size, "little"), "<u4")).tolist()
        if self.stds[0][1] is None:  # uncertain energy, or none
            p = [
                both(*self.spreads(speedup, rest + constant + power, strange or beyond), self.thresholds)[0]
                for (speedup, rest), constant, beyond in zip(told, self.power, self.outside, strict=True)
            ]
        else:  # as `both`, without its objects, for each call pays this
            least, erfc = self.least_speedup, math.erfc
            p = [
                0.5
                * erfc(
                    fast if (fast := (least - speedup) * by) > (dear := (rest + more + power - speedup) * of) else dear
                )
                for (speedup, rest), (more, by, of) in zip(told, self.scales[strange], strict=True)
            ]
        if len(p) == self.count:
            return TreeEstimates(self, p, told, power, strange)
        spread: list[float | None] = [None] * self.count
        for place, one in zip(self.nodes, p, strict=True):
            spread[place] = one
        return TreeEstimates(self, spread, told, power, strange)

    def spreads_of(self, task: TaskSpec) -> tuple[Spread, Spread | None]:
        """Of the speed-up and of the power ratio on the first node, for a task whose FLOPs are known."""
        told = self(task)
        return self.spreads(*told.of(0), told.strange or self.outside[0])

    def spreads(self, speedup: float, power: float, outside: bool) -> tuple[Spread, Spread | None]:
        """Of the speed-up and of the power ratio."""
        model = self.model
        known = None if model.power_std is None else Spread(power, model.power_std)
        return Spread(speedup, model.spread(outside)), known


class TreeEstimates:
    """What `Ready` says of one task."""

    __slots__ = ("_of", "_power", "_told", "p_gpu", "strange")

    def __init__(
        self, of: Ready, p_gpu: Sequence[float | None], told: Sequence[Sequence[float]], power: float, strange: bool
    ) -> None:
        self._of, self.p_gpu, self._told, self._power, self.strange = of, p_gpu, told, power, strange

    def of(self, at: int) -> tuple[float, float]:
        """Log speed-up and log power ratio on the node at that place of those with a GPU."""
        speedup, rest = self._told[at]
        return speedup, rest + self._of.power[at] + self._power

    def __getitem__(self, index: int, /) -> Estimate | None:
        if self.p_gpu[index] is None:
            return None
        at = self._of.nodes.index(index)
        outside = self.strange or self._of.outside[at]
        speedup, power = self._of.spreads(*self.of(at), outside)
        p_gpu, decides = both(speedup, power, self._of.thresholds)
        return Estimate(p_gpu, speedup, energy_of(speedup, power), extrapolating=outside, energy_decides=decides)

    def doubts(self, index: int, /) -> str:
        """What one stands on."""
        if self._of.stds[0][1] is not None:  # the energy is certain, whatever the task
            at = self._of.nodes.index(index)
            return doubts_of(True, True) if self.strange or self._of.outside[at] else ""
        estimate = self[index]
        return "" if estimate is None else doubts_of(estimate.extrapolating, estimate.energy_decides)


def hardware(node: NodeSpec, cpus: float) -> tuple[float | None, ...]:
    """HARDWARE of a node with so many CPUs granted; None where unknown."""
    return granted_gflops(node, cpus), node.gpu_gflops, node.gpu_memory_gb, node.cpu_tdp_w, node.gpu_tdp_w


def _whole(masks: Any) -> int:
    """(trees,) masks as one number."""
    return int.from_bytes(masks.astype("<u4").tobytes(), "little")


def _log(value: float | None) -> float | None:
    return math.log(value) if value else None


def _line(logs: Sequence[float | None], at: Sequence[tuple[float, float]]) -> float:
    """The power ratio's line, of as many of NUMBERS as are given; what is unknown counts as average."""
    return sum(slope * (v - centre) for v, (centre, slope) in zip(logs, at, strict=False)
               if v is not None and centre == centre)  # fmt: skip
