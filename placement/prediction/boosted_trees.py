"""Boosted trees of older selector files (kind "ratio"): for the log speed-up; a line and trees for the log power ratio.

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
from dataclasses import dataclass
from functools import cached_property
from typing import Any, NamedTuple

from placement.prediction.estimate import (
    SURE_POWER,
    Spread,
)
from placement.prediction.gaussian_process import FASTEST, Prediction
from placement.prediction.tree_ensemble import UNKNOWN, Forest, declared_fields
from placement.spec.features import FEATURES

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
"""Inputs that are unknown where the kernels are."""
MARGIN = 0.05  # of an input's log range, on either side of it, still counts as seen
SLACK = 1e-9  # of a logarithm: what taking it and back may lose
LARGEST_LOG = 700.0  # a float holds e to that
LOG_FASTEST = math.log(FASTEST)


class SecondsSpread(NamedTuple):
    """Standard deviations of the logs of a CPU's and a GPU's seconds, as measured on work not seen."""

    std: float
    gpu_std: float


@dataclass(frozen=True)
class BoostedTrees:
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
    times: SecondsSpread | None = None

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
        """Range of the training data with its margin, for each of NUMBERS."""
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
        return framework_masks(self.forest, self.frameworks)

    __getstate__ = declared_fields

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


def framework_masks(forest: Forest, frameworks: Sequence[str]) -> dict[str | None, int]:
    """Framework -> the leaves that it leaves, all masks as one whole number; None: any other framework."""
    import numpy as np

    whole, masks = np.full(len(forest.trees), 0xFFFFFFFF, np.uint32), dict[str | None, int]()
    for name in (*frameworks, None):
        ones = {len(NUMBERS) + i: float(name == other) for i, other in enumerate(frameworks)}
        masks[name] = whole_number(forest.left(ones) if ones else whole)
    return masks


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
        whole = [whole_number(row) for row in masks]
        above = [whole[bisect_right(thresholds, cut)] for cut in cuts]
        return cls(
            [0.0 if cut == UNKNOWN else math.exp(min(cut, LARGEST_LOG)) for cut in cuts],
            [whole[bisect_left(thresholds, UNKNOWN)], *above],
            [False, *(cut < low or cut >= high for cut in cuts)],
        )


def whole_number(masks: Any) -> int:
    """(trees,) masks as one number."""
    return int.from_bytes(masks.astype("<u4").tobytes(), "little")
