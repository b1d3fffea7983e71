"""The paper's selector: nine features -> 16 -> 16 -> one probability that the GPU is worth it."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

from placement.errors import SelectorError
from placement.prediction.estimate import Estimate, Prepared, doubts_of
from placement.prediction.selector_checks import (
    REFIT,
    SCHEMA_VERSION,
    SMALLEST_STD,
    array_of,
    mapping_of,
    notes_of,
    shortened,
    thresholds_of,
    version_of,
)
from placement.spec.features import FEATURES, FEATURES_VERSION, features, hardware_of, work_of
from placement.spec.joint_threshold import JointThreshold
from placement.spec.node import NodeSpec
from placement.spec.task import TaskSpec

LAYERS = (len(FEATURES), 16, 16, 1)
EXTRAPOLATION_MARGIN = 0.05  # of a feature's log range, on either side of it


@dataclass(frozen=True)
class Classifier:
    """The paper's net. weights: per layer an (inputs, outputs) matrix; biases: per layer (outputs,).

    mean, std: of log1p(feature), by which the net's inputs are normalised; low, high: its range in training.
    """

    version: str
    weights: Any
    biases: Any
    mean: Any
    std: Any
    low: Any
    high: Any
    thresholds: JointThreshold = field(default_factory=JointThreshold)
    training: Mapping[str, Any] = field(default_factory=dict)
    metrics: Mapping[str, Any] = field(default_factory=dict)

    def estimate(self, task: TaskSpec, node: NodeSpec, cpus: float) -> Estimate | None:
        """One prediction; None where a feature is unknown."""
        row = features(task, node, cpus)
        if row is None:
            return None
        import numpy as np

        x = np.log1p(np.array(row))
        margin = EXTRAPOLATION_MARGIN * (self.high - self.low)
        outside = bool(((x < self.low - margin) | (x > self.high + margin)).any())
        return Estimate(float(self.probabilities(x)), extrapolating=outside)

    def prepare(self, nodes: tuple[NodeSpec, ...], cpus: float) -> Prepared:
        """Ready to answer for all these nodes at once, tens of times faster than one by one."""
        return PreparedMlp(self, nodes, cpus, EXTRAPOLATION_MARGIN)

    def probabilities(self, log_features: Any) -> Any:
        """P(GPU) of log1p(features), shape (9,) or (n, 9)."""
        import numpy as np

        hidden = (log_features - self.mean) / self.std
        for weight, bias in zip(self.weights[:-1], self.biases[:-1], strict=True):
            hidden = np.maximum(hidden @ weight + bias, 0.0)
        logit = (hidden @ self.weights[-1] + self.biases[-1])[..., 0]
        return 1.0 / (1.0 + np.exp(-np.clip(logit, -60, 60)))

    def to_dict(self) -> dict[str, Any]:
        """The selector file's content."""
        return {
            "schema_version": SCHEMA_VERSION,
            "kind": "classifier",
            "version": self.version,
            "features_version": FEATURES_VERSION,
            "features": list(FEATURES),
            "normalisation": {
                "transform": "log1p",
                **{name: getattr(self, name).tolist() for name in ("mean", "std", "low", "high")},
            },
            "layers": [
                {"weights": weight.tolist(), "bias": bias.tolist()}
                for weight, bias in zip(self.weights, self.biases, strict=True)
            ],
            "thresholds": {"speedup": self.thresholds.speedup, "energy_ratio": self.thresholds.energy_ratio},
            "training": dict(self.training),
            "metrics": dict(self.metrics),
        }


def classifier_of(data: Mapping[str, Any]) -> Classifier:
    """The Classifier of a checked selector file; SelectorError names the first fault of each kind."""
    if data.get("features_version") != FEATURES_VERSION or data.get("features") != list(FEATURES):
        raise SelectorError(
            f"selector file: its features {shortened(data.get('features'))} (version "
            f"{shortened(data.get('features_version'))}) are not "
            f"this package's {list(FEATURES)} (version {FEATURES_VERSION}). {REFIT}"
        )
    scale = mapping_of(data, "normalisation")
    if scale.get("transform") != "log1p":
        raise SelectorError(
            f"selector file: normalisation.transform is {shortened(scale.get('transform'))}, not 'log1p'. {REFIT}"
        )
    mean, std, low, high = (
        array_of(scale.get(n), (LAYERS[0],), f"normalisation.{n}") for n in ("mean", "std", "low", "high")
    )
    if (std < SMALLEST_STD).any():
        raise SelectorError(f"selector file: normalisation.std has entries that are not positive. {REFIT}")
    if (low > high).any():
        raise SelectorError(f"selector file: normalisation.low is above normalisation.high. {REFIT}")
    layers = data.get("layers")
    if not isinstance(layers, list) or len(layers) != len(LAYERS) - 1:
        raise SelectorError(f"selector file: needs {len(LAYERS) - 1} layers of sizes {LAYERS}. {REFIT}")
    shapes = list(pairwise(LAYERS))
    named = [mapping_of({"layer": layer}, "layer") for layer in layers]
    weights, biases = (
        tuple(
            array_of(layer.get(name), shape[cut:], f"layers[{i}].{name}")
            for i, (layer, shape) in enumerate(zip(named, shapes, strict=True))
        )
        for name, cut in (("weights", 0), ("bias", 1))
    )
    return Classifier(
        version=version_of(data),
        weights=weights,
        biases=biases,
        mean=mean, std=std, low=low, high=high,
        thresholds=thresholds_of(data),
        training=notes_of(data, "training"),
        metrics=notes_of(data, "metrics"),
    )  # fmt: skip


LARGEST_LOGIT = 60.0


class PreparedMlp:
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

    def __call__(self, task: TaskSpec, /) -> PreparedEstimates:
        """The estimates of a task on each node."""
        work = work_of(task)
        if work is None or not self.known:
            return PreparedEstimates([None] * self.count, (), False)
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
            return PreparedEstimates(p, self.outside, strange)
        return self._spread_out(p, strange)

    def _spread_out(self, p: list[float], strange: bool) -> PreparedEstimates:
        """The answers at their nodes' places, None at those of which a feature is unknown."""
        all_p: list[float | None] = [None] * self.count
        outside = [False] * self.count
        for at, probability, beyond in zip(self.known, p, self.outside, strict=True):
            all_p[at], outside[at] = probability, beyond
        return PreparedEstimates(all_p, outside, strange)


class PreparedEstimates:
    """Estimates of `PreparedMlp` for one task: each node's P(GPU), and whether it extrapolates."""

    __slots__ = ("_outside", "_strange", "p_gpu")

    def __init__(self, p_gpu: Sequence[float | None], outside: Sequence[bool], strange: bool) -> None:
        self.p_gpu = p_gpu
        self._outside = outside
        self._strange = strange

    def __getitem__(self, index: int, /) -> Estimate | None:
        p = self.p_gpu[index]
        return None if p is None else Estimate(p, extrapolating=self._strange or self._outside[index])

    def doubts(self, index: int, /) -> str:
        """The doubts about one estimate; the net's P(GPU) includes the energy."""
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
