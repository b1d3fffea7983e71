"""What is learned about tasks, as corrections of the roofline (`placement.prediction.roofline`): boosted trees.

    log speed-up = the roofline's + support * trees          log CPU seconds, log power ratio: likewise
    variance     = support * trees + (1 - support) * the roofline's

`support` is 1 inside one of the Regions of the data and fades to 0 outside them (`Region`): far from all data an answer
is the roofline's alone, with its wider spread. Trees alone would go on as in their last cell for ever.
"""

from __future__ import annotations

import math
from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from typing import Any, NamedTuple

from placement.prediction.boosted_trees import (
    HARDWARE,
    LARGEST_LOG,
    NUMBERS,
    framework_masks,
    inputs_of,
    whole_number,
)
from placement.prediction.tree_ensemble import UNKNOWN, Forest, declared_fields

SUMS = ("speedup", "cpu_seconds", "variance", "power")
"""The sums of trees of a model, in this order; those of seconds and speed-ups are corrections, in logarithms."""
OF_TASK = ("flops", "batch_size", "parameters", "input_bytes")
OF_NODE = ("cpu_gflops", "gpu_gflops")
BOUNDED = (*OF_TASK, *OF_NODE)
"""Quantities whose logarithms have a range in each region."""
REACH = (1.0, 1.0, 1.0, 1.0, 0.5, 0.5)
"""How far beyond a region's range its data still tell, for each of BOUNDED: one standard deviation of a bell."""
UNKNOWN_DISTANCE = 3.0
"""Squared distance of a quantity that a task or a node does not tell: it may lie in the range or not."""
OTHER_FRAMEWORK, NO_FRAMEWORK = 1.5, 0.7
"""Distance of a task of another framework than the region's, and of one whose framework is not known."""
EMULATED_SCALE = 0.01
"""Of squared distances from emulated data: an emulator is one model, its departure from a roofline reaches far."""
CELL = 0.125
FIRST_CELL, LAST_CELL = -24, 640
"""Cells of a task's quantities: no wider than 13 %, from a twentieth to e to the 80."""
ROOFLINE_ALONE = 0.5  # an answer with less support than this rests on the roofline
FARTHEST = 6.0  # squared distance at which support is taken as none: exp(-3)
POWER_STD = 0.8
"""Standard deviation of the log power ratio by TDP alone, of any work: energy then decides only where it is far off."""
CPU_SHARE, GPU_SHARE, HOST_SHARE = 0.8, 0.6, 0.35
"""Average power as a share of the TDP: of a CPU at work, of a GPU at work, of the CPU meanwhile."""
LOG_CPU_TDP, LOG_GPU_TDP = math.log(100.0), math.log(200.0)  # of hardware whose TDP is not known


class Region(NamedTuple):
    """The range of a part of the data. low, high: logarithms of BOUNDED, None where never known.

    framework: of its work.  energies: whether its power ratios are known.  emulated: its times and energies are an
    emulator's: they correct no answer about real hardware.
    """

    framework: str | None
    low: tuple[float | None, ...]
    high: tuple[float | None, ...]
    energies: bool
    emulated: bool = False

    @property
    def scale(self) -> float:
        """Factor of all squared distances from the region."""
        return EMULATED_SCALE if self.emulated else 1.0

    def distance(self, values: Sequence[float | None], first: int) -> float:
        """Squared distance of some logarithms (None unknown) from the range; first: index in BOUNDED of the first."""
        found = 0.0
        for at, value in enumerate(values, first):
            low, high = self.low[at], self.high[at]
            if low is None or high is None:
                continue
            if value is None:
                found += UNKNOWN_DISTANCE
                continue
            gap = low - value if value < low else value - high
            if gap > 0.0:
                found += (gap / REACH[at]) ** 2
        return found

    def strangeness(self, framework: str | None) -> float:
        """Squared distance of a framework."""
        if framework == self.framework:
            return 0.0
        far = NO_FRAMEWORK if framework is None else OTHER_FRAMEWORK
        return far * far


@dataclass(frozen=True)
class ResidualTrees:
    """A fitted model. forest: SUMS over NUMBERS and frameworks.  regions: of its data.  power_std: of the log power
    ratio where its energies are known; None where none were.
    """

    frameworks: tuple[str, ...]
    forest: Forest
    regions: tuple[Region, ...]
    power_std: float | None

    def sums(self, logs: Any, frameworks: Sequence[Any]) -> Any:
        """(n, SUMS) for logs of NUMBERS (n, 12), NaN where unknown, and frameworks."""
        return self.forest.predict(inputs_of(logs, frameworks, self.frameworks))

    @cached_property
    def axes(self) -> tuple[Axis, ...]:
        """The inputs of a task, cut into cells; some 20 ms to make, and the same for all nodes."""
        return tuple(Axis.of(*self.forest.tables[i]) for i in range(len(HARDWARE), len(NUMBERS)))

    @cached_property
    def framework_masks(self) -> dict[str | None, int]:
        """Framework -> the leaves that it leaves, all masks as one whole number; None: any other framework."""
        return framework_masks(self.forest, self.frameworks)

    __getstate__ = declared_fields


class Axis(NamedTuple):
    """One input of the task, cut into cells: at the trees' thresholds, and every CELL of its logarithm.

    edges: in its own unit, in order; an unknown value counts as 0.  left: the leaves that the trees have left in each
    cell, as one whole number.  middle: the value that stands for the cell; None for the unknown.
    """

    edges: list[float]
    left: list[int]
    middle: list[float | None]

    @classmethod
    def of(cls, thresholds: Sequence[float], masks: Any) -> Axis:
        """thresholds, masks: of `Forest.tables`."""
        grid = (CELL * number for number in range(FIRST_CELL, LAST_CELL))
        cuts = sorted({cut for cut in (*thresholds, *grid) if cut > UNKNOWN})
        whole = [whole_number(row) for row in masks]
        left = [whole[bisect_left(thresholds, UNKNOWN)]]
        left += [whole[bisect_right(thresholds, cut)] for cut in (UNKNOWN, *cuts)]
        ends = [cuts[0], *((a + b) / 2 for a, b in pairwise(cuts)), cuts[-1]]
        exponents = (math.exp(min(cut, LARGEST_LOG)) for cut in cuts)
        return cls([0.0, *exponents], left, [None, *(math.exp(min(end, LARGEST_LOG)) for end in ends)])


def support(distance: float) -> float:
    """Share of the correction at a squared distance from the data."""
    return math.exp(-0.5 * distance) if distance < FARTHEST else 0.0


def log_power_by_tdp(cpu_tdp_w: float | None, gpu_tdp_w: float | None) -> float:
    """Log power ratio of a GPU run (CPU's included) to a CPU run, by the TDPs alone."""
    cpu, gpu = cpu_tdp_w or math.exp(LOG_CPU_TDP), gpu_tdp_w or math.exp(LOG_GPU_TDP)
    return math.log((HOST_SHARE * cpu + GPU_SHARE * gpu) / (CPU_SHARE * cpu))
