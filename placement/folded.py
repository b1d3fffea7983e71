"""A Classifier with the hardware of certain nodes folded in: one small product for all of them at once.

The first layer is linear before its ReLU, so the part of it that comes from the nodes' five features, the bias and the
normalisation is worked out once; a task adds its four. A column of ones carries each bias through the products.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from placement.estimate import Estimate, doubts_of
from placement.features import hardware_of, work_of
from placement.node import NodeSpec
from placement.task import TaskSpec

if TYPE_CHECKING:
    from placement.selector import Classifier

LARGEST_LOGIT = 60.0


class Folded:
    """Answers for all of its nodes at once, as `Classifier.estimate` does for each; differs by rounding alone."""

    def __init__(self, net: Classifier, nodes: Sequence[NodeSpec], cpus: float, margin: float) -> None:
        import numpy as np

        hardware = [hardware_of(node, cpus) for node in nodes]
        self.count = len(nodes)
        self.known = [i for i, row in enumerate(hardware) if row is not None]
        rows = np.log1p(np.array([row for row in hardware if row is not None], dtype=float).reshape(-1, 5))
        low, high = net.low - margin * (net.high - net.low), net.high + margin * (net.high - net.low)
        self.outside: list[bool] = ((rows < low[:5]) | (rows > high[:5])).any(axis=1).tolist()
        self.task_range = list(zip(low[5:].tolist(), high[5:].tolist(), strict=True))
        first = net.weights[0] / net.std[:, None]
        constant = net.biases[0] - net.mean @ first
        self.from_task = with_ones(first[5:], None)
        self.from_nodes = with_ones(rows @ first[:5] + constant, 1.0)
        self.inner = [
            with_bias(weights, bias) for weights, bias in zip(net.weights[1:-1], net.biases[1:-1], strict=True)
        ]
        self.last = np.append(net.weights[-1][:, 0], net.biases[-1][0])
        self.zeros = np.zeros_like(self.from_nodes)
        self.maximum, self.array = np.maximum, np.array

    def __call__(self, task: TaskSpec, /) -> FoldedEstimates:
        """The estimates of a task on each node."""
        work = work_of(task)
        if work is None or not self.known:
            return FoldedEstimates([None] * self.count, (), False)
        flops, batch, parameters, size = work
        log1p = math.log1p
        logs = (log1p(flops), log1p(batch), log1p(parameters), log1p(size))
        hidden = self.array(logs).dot(self.from_task) + self.from_nodes
        self.maximum(hidden, self.zeros, out=hidden)
        for weights in self.inner:
            hidden = hidden.dot(weights)
            self.maximum(hidden, self.zeros, out=hidden)
        exp = math.exp
        # Beyond the bounds, as in `Classifier.probabilities`: exp must not overflow.
        p: list[Any] = [
            1.0 / (1.0 + exp(-z)) if -LARGEST_LOGIT < z < LARGEST_LOGIT else 1.0 / (1.0 + exp(-math.copysign(60.0, z)))
            for z in hidden.dot(self.last).tolist()
        ]
        strange = False
        for x, (low, high) in zip(logs, self.task_range, strict=True):
            if not low <= x <= high:
                strange = True
        if len(self.known) == self.count:
            return FoldedEstimates(p, self.outside, strange)
        return self._spread_out(p, strange)

    def _spread_out(self, p: list[float], strange: bool) -> FoldedEstimates:
        """The answers at their nodes' places, None at those of which a feature is unknown."""
        all_p: list[float | None] = [None] * self.count
        outside = [False] * self.count
        for at, probability, beyond in zip(self.known, p, self.outside, strict=True):
            all_p[at], outside[at] = probability, beyond
        return FoldedEstimates(all_p, outside, strange)


class FoldedEstimates:
    """What `Folded` says of one task: each node's P(GPU), and whether it extrapolates."""

    __slots__ = ("_outside", "_strange", "p_gpu")

    def __init__(self, p_gpu: Sequence[float | None], outside: Sequence[bool], strange: bool) -> None:
        self.p_gpu = p_gpu
        self._outside = outside
        self._strange = strange

    def __getitem__(self, index: int, /) -> Estimate | None:
        p = self.p_gpu[index]
        return None if p is None else Estimate(p, extrapolating=self._strange or self._outside[index])

    def doubts(self, index: int, /) -> str:
        """What one stands on; the net's p has the energy in it."""
        return doubts_of(True, True) if self._strange or self._outside[index] else ""


def with_ones(matrix: Any, last: float | None) -> Any:
    """The matrix with one more column, all `last` (None: zeros)."""
    import numpy as np

    return np.hstack([matrix, np.full((len(matrix), 1), last or 0.0)])


def with_bias(weights: Any, bias: Any) -> Any:
    """A layer as one matrix: the bias as one more row, and one more column that hands the one on."""
    import numpy as np

    whole = np.vstack([weights, bias])
    return np.hstack([whole, np.append(np.zeros(len(weights)), 1.0)[:, None]])
