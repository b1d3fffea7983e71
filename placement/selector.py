"""The paper's selector: nine features -> 16 -> 16 -> one probability that the GPU is worth it; and the selector file.

A selector file is JSON, checked on load: nothing of it is ever executed or unpickled. 9 -> 16 -> 16 -> 1 has
9*16+16 + 16*16+16 + 16+1 = 449 parameters and 2*(9*16 + 16*16 + 16) = 832 FLOPs, the paper's two numbers.
"""

from __future__ import annotations

import hashlib
import json
import math
import reprlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields
from importlib import resources
from itertools import pairwise
from typing import Any, Protocol, runtime_checkable

from placement.errors import OptionError, SelectorError
from placement.estimate import Estimate as Estimate
from placement.estimate import Prepared
from placement.estimate import Spread as Spread
from placement.estimate import probability_worth as probability_worth
from placement.features import FEATURES, FEATURES_VERSION, features
from placement.folded import Folded
from placement.node import NodeSpec
from placement.rule import JointThreshold
from placement.task import TaskSpec

SCHEMA_VERSION = 1
LAYERS = (len(FEATURES), 16, 16, 1)
PARAMETERS = sum(a * b + b for a, b in pairwise(LAYERS))
FLOPS = sum(2 * a * b for a, b in pairwise(LAYERS))
LARGEST_FILE_BYTES = 16 * 2**20
LARGEST_NUMBER = 1e6  # of a weight or a scale in a file: what is beyond overflows into NaN, and no fit gives it
SMALLEST_STD = 1e-6
REFIT = "Refit it: placement refit LOG -o FILE."  # the next step wherever a file is no good
EXTRAPOLATION_MARGIN = 0.05  # of a feature's log range, on either side of it


@runtime_checkable
class Selector(Protocol):
    """Features -> Estimate. Its version goes with every decision and record.

    One that can answer for many kinds of node at once also has `prepare(nodes, cpus) -> placement.estimate.Prepared`.
    """

    @property
    def version(self) -> str:
        """Names the fitted weights."""
        ...

    @property
    def thresholds(self) -> JointThreshold:
        """What P(GPU) is the probability of."""
        ...

    def estimate(self, task: TaskSpec, node: NodeSpec, cpus: float) -> Estimate | None:
        """The estimate, or None where a feature that it needs is unknown."""
        ...

    def to_dict(self) -> dict[str, Any]:
        """The selector file's content."""
        ...


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
        return Folded(self, nodes, cpus, EXTRAPOLATION_MARGIN)

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
            f"selector file: its features {_short(data.get('features'))} (version "
            f"{_short(data.get('features_version'))}) are not "
            f"this package's {list(FEATURES)} (version {FEATURES_VERSION}). {REFIT}"
        )
    scale = _mapping(data, "normalisation")
    if scale.get("transform") != "log1p":
        raise SelectorError(
            f"selector file: normalisation.transform is {_short(scale.get('transform'))}, not 'log1p'. {REFIT}"
        )
    mean, std, low, high = (
        _array(scale.get(n), (LAYERS[0],), f"normalisation.{n}") for n in ("mean", "std", "low", "high")
    )
    if (std < SMALLEST_STD).any():
        raise SelectorError(f"selector file: normalisation.std has entries that are not positive. {REFIT}")
    if (low > high).any():
        raise SelectorError(f"selector file: normalisation.low is above normalisation.high. {REFIT}")
    layers = data.get("layers")
    if not isinstance(layers, list) or len(layers) != len(LAYERS) - 1:
        raise SelectorError(f"selector file: needs {len(LAYERS) - 1} layers of sizes {LAYERS}. {REFIT}")
    shapes = list(pairwise(LAYERS))
    named = [_mapping({"layer": layer}, "layer") for layer in layers]
    weights, biases = (
        tuple(
            _array(layer.get(name), shape[cut:], f"layers[{i}].{name}")
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
        training=_notes(data, "training"),
        metrics=_notes(data, "metrics"),
    )  # fmt: skip


def thresholds_of(data: Mapping[str, Any]) -> JointThreshold:
    """The thresholds a selector file was fitted for."""
    given = _mapping(data, "thresholds")
    names = [f.name for f in fields(JointThreshold)]
    if sorted(given) != sorted(names):
        raise SelectorError(f"selector file: thresholds {_short(dict(given))} must give {names}, no more. {REFIT}")
    try:
        return JointThreshold(**given)
    except OptionError as error:
        raise SelectorError(f"selector file: thresholds are not valid: {str(error)[:200]} {REFIT}") from None


def version_of(data: Mapping[str, Any]) -> str:
    """The name of the fitted weights: given in the file, else the first 12 hex digits of its SHA-256."""
    version = data.get("version")
    if version is None:
        text = _json({**data, "version": None}, "what it holds")
        return hashlib.sha256(text.encode()).hexdigest()[:12]
    if not isinstance(version, str) or not 0 < len(version) <= 100 or not version.isprintable():
        raise SelectorError(
            f"selector file: version {_short(version)} must be a name of at most 100 characters. {REFIT}"
        )
    return version


def _ratio_of(data: Mapping[str, Any]) -> Selector:
    from placement.ratio_selector import ratio_of  # stands on this module

    return ratio_of(data)


READERS: Mapping[str, Callable[[Mapping[str, Any]], Selector]] = {"classifier": classifier_of, "ratio": _ratio_of}
"""Kind of selector -> the function that makes it of a file's content."""


def selector_of(data: Any) -> Selector:
    """The selector of a file's content; SelectorError says what is wrong with it."""
    if not isinstance(data, Mapping):
        raise SelectorError(f"selector file: must hold one JSON object, not {type(data).__name__}. {REFIT}")
    version = data.get("schema_version")
    if version != SCHEMA_VERSION:
        newer = isinstance(version, int) and version > SCHEMA_VERSION
        hint = "It is newer: upgrade ray-placement." if newer else REFIT
        raise SelectorError(f"selector file: schema version {_short(version)} is not {SCHEMA_VERSION}. {hint}")
    kind = data.get("kind")
    if not isinstance(kind, str) or kind not in READERS:
        raise SelectorError(f"selector file: kind {_short(kind)} is not one of {sorted(READERS)}. {REFIT}")
    return READERS[kind](data)


def parse_selector(text: str | bytes, name: str = "selector file") -> Selector:
    """The selector of a file's text; SelectorError says what is wrong with it."""
    if len(text) > LARGEST_FILE_BYTES:
        raise SelectorError(
            f"{name}: {len(text)} bytes is more than the {LARGEST_FILE_BYTES} a selector file may have. {REFIT}"
        )
    try:
        return selector_of(json.loads(text, parse_constant=_refuse_constant, parse_float=_finite))
    except SelectorError:
        raise
    except (ValueError, RecursionError) as error:
        raise SelectorError(f"{name}: not JSON ({str(error)[:200]}). {REFIT}") from None


def shipped_selector() -> Selector:
    """The selector that serves where none is given: fitted on emulated A-D data, as its file says."""
    return parse_selector(resources.files("placement").joinpath("data/selector.json").read_bytes(), "shipped selector")


def _refuse_constant(name: str) -> float:
    raise ValueError(f"{name} is not a number")


def _finite(digits: str) -> float:
    number = float(digits)
    if not math.isfinite(number):
        raise ValueError(f"{digits} is too large a number")
    return number


def _short(value: Any) -> str:
    """What was found, cut short: a broken file may hold megabytes in one field."""
    return reprlib.repr(value)


def _mapping(data: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    value = data.get(name, {})
    if not isinstance(value, Mapping):
        raise SelectorError(f"selector file: {name} must be an object, not {type(value).__name__}. {REFIT}")
    return value


def _notes(data: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    """What a file tells of its making: anything that a file can hold."""
    value = _mapping(data, name)
    _json(value, name)
    return value


def _json(value: Any, name: str) -> str:
    """As text; SelectorError where a selector was given as a dict that no file could hold."""
    try:
        return json.dumps(value, sort_keys=True, allow_nan=False)
    except (TypeError, ValueError, RecursionError) as error:
        raise SelectorError(f"selector file: {name} cannot be written as JSON ({str(error)[:200]}). {REFIT}") from None


def _array(value: Any, shape: tuple[int, ...], name: str) -> Any:
    """A finite float array of that shape, or SelectorError."""
    import numpy as np

    try:
        array = np.array(value, dtype=np.float64)
    except (TypeError, ValueError, OverflowError):
        raise SelectorError(f"selector file: {name} is not an array of numbers of shape {shape}. {REFIT}") from None
    if array.shape != shape:
        raise SelectorError(f"selector file: {name} must be of shape {shape}, not {array.shape}. {REFIT}")
    if not (np.abs(array) <= LARGEST_NUMBER).all():
        raise SelectorError(
            f"selector file: {name} holds numbers that are not finite or beyond {LARGEST_NUMBER:g}. {REFIT}"
        )
    return array
