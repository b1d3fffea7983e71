"""The ratio selector in service, and its selector file (kind "ratio"): plain numbers, checked on load.

Curves (`placement.prediction.gaussian_process`), trees (`placement.prediction.boosted_trees`), or the mean of both, as
its file says."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from placement.errors import SelectorError
from placement.prediction.boosted_trees import HARDWARE, NUMBERS, Ready, Times, TreeModel, mixed
from placement.prediction.estimate import Estimate, Listed, Prepared, Spread, energy_of, probability_worth, seconds_told
from placement.prediction.gaussian_process import (
    AMPLITUDES,
    INPUTS,
    Place,
    Points,
    PowerRatio,
    RatioModel,
    cpu_device,
    gpu_device,
)
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
from placement.prediction.tree_ensemble import forest_of
from placement.spec.features import granted_gflops
from placement.spec.joint_threshold import JointThreshold
from placement.spec.node import NodeSpec
from placement.spec.task import TaskSpec

MOST_POINTS = 2000  # of a file: each prediction costs as much
DIGITS = 7
OTHER_FRAMEWORK = ""  # stands for every framework that was not among those fitted on


@dataclass(frozen=True)
class SpeedupSelector:
    """Curves and trees as a Selector: its estimates tell speed-up and energy ratio with their spread, and seconds:
    the curves', where it has some.

    model: the curves, None where the trees have it all.  trees: None where there are none.  share: of the trees.
    """

    version: str
    model: RatioModel | None
    thresholds: JointThreshold = field(default_factory=JointThreshold)
    training: Mapping[str, Any] = field(default_factory=dict)
    metrics: Mapping[str, Any] = field(default_factory=dict)
    trees: TreeModel | None = None
    share: float = 0.0

    def estimate(self, task: TaskSpec, node: NodeSpec, cpus: float) -> Estimate | None:
        """None where the FLOPs are unknown (0 counts as unknown), or the node has no GPU."""
        return self.prepare((node,), cpus)(task)[0]

    def prepare(self, nodes: tuple[NodeSpec, ...], cpus: float) -> Prepared:
        """Ready for all these nodes, each with so many CPUs granted; 0.05 ms for trees alone."""
        if self.model is None:
            if self.trees is None:
                raise SelectorError(f"this selector has neither curves nor trees. {REFIT}")
            return Ready(self.trees, nodes, cpus, self.thresholds)
        return PreparedCurves(self, self.model, nodes, cpus)

    def to_dict(self) -> dict[str, Any]:
        """The selector file's content."""
        return {
            "schema_version": SCHEMA_VERSION,
            "kind": "ratio",
            "version": self.version,
            "inputs": list(INPUTS),
            "model": None if self.model is None else model_to_dict(self.model),
            "trees": None if self.trees is None else trees_to_dict(self.trees),
            "share": self.share,
            "thresholds": {"speedup": self.thresholds.speedup, "energy_ratio": self.thresholds.energy_ratio},
            "training": dict(self.training),
            "metrics": dict(self.metrics),
        }


class PreparedCurves:
    """Curves, and trees where there are some, ready for some nodes; the nodes are gone through one by one."""

    def __init__(self, selector: SpeedupSelector, model: RatioModel, nodes: tuple[NodeSpec, ...], cpus: float) -> None:
        self._model, self._thresholds, self._share = model, selector.thresholds, selector.share
        self._nodes = nodes
        self._devices = [
            (cpu_device(node.cpu_name, node.config, cpus), gpu_device(node.gpu_name, node.config),
             granted_gflops(node, cpus), node.gpu_gflops)
            for node in nodes
        ]  # fmt: skip
        self._trees = [
            None if selector.trees is None else Ready(selector.trees, (node,), cpus, selector.thresholds)
            for node in nodes
        ]
        self._places: dict[str | None, list[Place]] = {}

    def __call__(self, task: TaskSpec, /) -> Listed:
        """The estimates of a task on each node."""
        if not task.flops:
            return Listed([None] * len(self._nodes))
        places = self._places_of(task.framework)
        return Listed([self._estimate(task, i, places[i]) if n.gpus else None for i, n in enumerate(self._nodes)])

    def _places_of(self, framework: str | None) -> list[Place]:
        known = framework if framework is None or framework in self._model.frameworks else OTHER_FRAMEWORK
        places = self._places.get(known)
        if places is None:
            places = self._places[known] = [self._model.place(known, *devices) for devices in self._devices]
        return places

    def _estimate(self, task: TaskSpec, at: int, place: Place) -> Estimate:
        found = self._model.predict_at(place, [getattr(task, name) for name in INPUTS])
        speedup, power, trees = (
            Spread(found.log_speedup, found.log_speedup_std),
            self._model.power_spread,
            self._trees[at],
        )
        if trees is not None:
            by_trees, power = trees.spreads_of(task)
            speedup = mixed(found, by_trees, self._share)
        energy = energy_of(speedup, power)
        p_gpu, energy_decides = probability_worth(speedup, energy, power.std if power else 0.0, self._thresholds)
        return Estimate(
            p_gpu,
            speedup=speedup,
            energy_ratio=energy,
            cpu_seconds=seconds_told(math.log(task.steps) + found.log_cpu_seconds),
            gpu_seconds=seconds_told(math.log(task.steps) + found.log_gpu_seconds),
            extrapolating=found.extrapolating,
            energy_decides=energy_decides,
        )


def model_to_dict(model: RatioModel) -> dict[str, Any]:
    """JSON-able; an input that was never known has None as its centre."""
    points = model.points
    return {
        "frameworks": list(model.frameworks),
        "cpus": list(model.cpus),
        "gpus": list(model.gpus),
        **{name: [None if v != v else v for v in getattr(model, name).tolist()] for name in ("centre", "low", "high")},
        "gflops_centre": list(model.gflops_centre),
        "points": {
            "inputs": points.inputs.tolist(),
            "framework": points.framework.tolist(),
            "device": points.device.tolist(),
            "gpu": points.gpu.tolist(),
            "gflops": points.gflops.tolist(),
        },
        "amplitudes": dict(zip(AMPLITUDES, model.amplitudes, strict=True)),
        "scales": model.scales.tolist(),
        "weights": model.weights.tolist(),
        "factor": _rounded(model.factor),
        "level": model.level,
        "noise": list(model.noise),
        "bounds": list(model.bounds),
        "power": None if model.power is None else {"mean": model.power.mean, "std": model.power.std},
    }


def _rounded(array: Any) -> Any:
    """As lists of numbers of DIGITS significant digits: the file's size halves, spreads move by less than 1e-4."""
    import numpy as np

    return np.vectorize(lambda value: float(f"{value:.{DIGITS}g}"), otypes=[float])(array).tolist()


def speedup_selector_of(data: Mapping[str, Any]) -> SpeedupSelector:
    """The SpeedupSelector of a selector file; SelectorError names the first fault."""
    if data.get("inputs") != list(INPUTS):
        raise SelectorError(
            f"selector file: its inputs {shortened(data.get('inputs'))} are not {list(INPUTS)}. {REFIT}"
        )
    trees = None if data.get("trees") is None else trees_of(mapping_of(data, "trees"))
    model = None if data.get("model") is None and trees is not None else model_of(mapping_of(data, "model"))
    share = float(array_of(data.get("share", 0.0), (), "share"))
    if not 0 <= share <= 1 or (share < 1 and model is None):
        raise SelectorError(f"selector file: share {share:g} of the trees must be from 0 to 1, and 1 alone. {REFIT}")
    return SpeedupSelector(
        version_of(data),
        model,
        thresholds_of(data),
        notes_of(data, "training"),
        notes_of(data, "metrics"),
        trees,
        share,
    )


def trees_to_dict(model: TreeModel) -> dict[str, Any]:
    """JSON-able; an input that was never known has None in its place."""
    return {
        "frameworks": list(model.frameworks),
        "inputs": list(NUMBERS),
        **{name: [None if v != v else v for v in getattr(model, name).tolist()]
           for name in ("centre", "slopes", "low", "high")},
        "within": model.within, "beyond": model.beyond, "power_std": model.power_std,
        "times": None if model.times is None else model.times._asdict(),
        **model.forest.to_dict(),
    }  # fmt: skip


def trees_of(data: Mapping[str, Any]) -> TreeModel:
    """The TreeModel of `trees_to_dict`'s content; SelectorError names the first fault."""
    frameworks = _names(data, "frameworks")
    if data.get("inputs") != list(NUMBERS):
        raise SelectorError(f"selector file: its trees' inputs are not {list(NUMBERS)}. {REFIT}")
    sizes = {"centre": len(HARDWARE), "slopes": len(HARDWARE), "low": len(NUMBERS), "high": len(NUMBERS)}
    arrays = [_with_gaps(data, name, size) for name, size in sizes.items()]
    within, beyond = (float(array_of(data.get(name), (), name)) for name in ("within", "beyond"))
    power = None if data.get("power_std") is None else float(array_of(data["power_std"], (), "power_std"))
    times = _times(data)
    if min(within, beyond, 1.0 if power is None else power, *(times or ())) < SMALLEST_STD:
        raise SelectorError(f"selector file: within, beyond, power_std and times must be positive. {REFIT}")
    sums = (2, 3) if times is None else (3, 4)
    try:
        forest = forest_of(data, len(NUMBERS) + len(frameworks), sums)
    except ValueError as error:
        raise SelectorError(f"selector file: {str(error)[:300]}. {REFIT}") from None
    return TreeModel(frameworks, forest, arrays[0], arrays[1], arrays[2], arrays[3], within, beyond, power, times)


def _times(data: Mapping[str, Any]) -> Times | None:
    """None in a file whose trees tell no seconds, as all did before they were told."""
    if data.get("times") is None:
        return None
    times = mapping_of(data, "times")
    return Times(*(float(array_of(times.get(name), (), f"times.{name}")) for name in Times._fields))


def _with_gaps(data: Mapping[str, Any], name: str, count: int) -> Any:
    """A float array, NaN where the file has null."""
    import numpy as np

    given = data.get(name)
    known = [0.0 if v is None else v for v in given] if isinstance(given, list) else given
    array = array_of(known, (count,), name)
    array[[v is None for v in given]] = np.nan  # type: ignore[union-attr]
    return array


def model_of(data: Mapping[str, Any]) -> RatioModel:
    """The RatioModel of `model_to_dict`'s content; SelectorError names the first fault."""
    names = {name: _names(data, name) for name in ("frameworks", "cpus", "gpus")}
    points = _points(mapping_of(data, "points"), names)
    count, inputs = len(points.gflops), len(INPUTS)
    amplitudes = mapping_of(data, "amplitudes")
    if set(amplitudes) != set(AMPLITUDES):
        raise SelectorError(f"selector file: amplitudes must be of {list(AMPLITUDES)}. {REFIT}")
    factor = data.get("factor")
    rows = len(factor) if isinstance(factor, list) else 0
    ranges = {name: _with_gaps(data, name, inputs) for name in ("centre", "low", "high")}
    noise, bounds, centre = (_pair(data, name) for name in ("noise", "bounds", "gflops_centre"))
    if min(noise) <= 0 or bounds[0] > bounds[1]:
        raise SelectorError(f"selector file: noise must be positive and bounds in order. {REFIT}")
    return RatioModel(
        names["frameworks"], names["cpus"], names["gpus"], ranges["centre"], ranges["low"], ranges["high"], centre,
        points, tuple(array_of([amplitudes[n] for n in AMPLITUDES], (len(AMPLITUDES),), "amplitudes").tolist()),
        array_of(data.get("scales"), (len(names["frameworks"]),), "scales"),
        array_of(data.get("weights"), (count,), "weights"), array_of(factor, (rows, count), "factor"),
        float(array_of(data.get("level"), (), "level")), noise, bounds, _power(data),
    )  # fmt: skip


def _points(data: Mapping[str, Any], names: Mapping[str, tuple[str, ...]]) -> Points:
    import numpy as np

    given = data.get("gflops")
    count = len(given) if isinstance(given, list) else 0
    if not 0 < count <= MOST_POINTS:
        raise SelectorError(f"selector file: {count} points; from 1 to {MOST_POINTS} are valid. {REFIT}")
    gpu = array_of(data.get("gpu"), (count,), "points.gpu") != 0
    codes = {name: array_of(data.get(name), (count,), f"points.{name}").astype(int) for name in ("framework", "device")}
    most = np.where(gpu, len(names["gpus"]), len(names["cpus"]))
    if (codes["framework"] >= len(names["frameworks"])).any() or (codes["device"] >= most).any():
        raise SelectorError(f"selector file: a point names a framework or device that is not listed. {REFIT}")
    inputs = array_of(data.get("inputs"), (count, len(INPUTS)), "points.inputs")
    return Points(inputs, codes["framework"], codes["device"], gpu, array_of(given, (count,), "points.gflops"))


def _power(data: Mapping[str, Any]) -> PowerRatio | None:
    if data.get("power") is None:
        return None
    power = mapping_of(data, "power")
    return PowerRatio(*(float(array_of(power.get(name), (), f"power.{name}")) for name in ("mean", "std")))


def _pair(data: Mapping[str, Any], name: str) -> tuple[float, float]:
    first, second = array_of(data.get(name), (2,), name).tolist()
    return first, second


def _names(data: Mapping[str, Any], name: str) -> tuple[str, ...]:
    given = data.get(name)
    if not isinstance(given, list) or not all(isinstance(one, str) for one in given):
        raise SelectorError(f"selector file: {name} must be a list of names. {REFIT}")
    return tuple(given)
