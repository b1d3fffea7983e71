"""The selector file of a SpeedupSelector (kind "ratio"): plain numbers, checked when it is loaded."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from placement.errors import SelectorError
from placement.prediction.boosted_trees import HARDWARE, NUMBERS, BoostedTrees, SecondsSpread
from placement.prediction.gaussian_process import (
    AMPLITUDES,
    INPUTS,
    GaussianProcess,
    PowerRatio,
    TrainingPoints,
)
from placement.prediction.residual_trees import BOUNDED, SUMS, Region, ResidualTrees
from placement.prediction.selector_checks import (
    REFIT,
    SMALLEST_STD,
    array_of,
    mapping_of,
)
from placement.prediction.tree_ensemble import forest_of

MOST_POINTS = 2000  # of a file: each prediction costs as much


MOST_REGIONS = 200  # each costs a decision for a new size some 0.5 us
DIGITS = 7


def gaussian_process_to_dict(model: GaussianProcess) -> dict[str, Any]:
    """Plain data for JSON, as the selector file has it; an input that was never known has None as its centre."""
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
    """Lists of numbers of DIGITS significant digits: the file's size halves, spreads move by less than 1e-4."""
    import numpy as np

    return np.vectorize(lambda value: float(f"{value:.{DIGITS}g}"), otypes=[float])(array).tolist()


def trees_to_dict(model: BoostedTrees | ResidualTrees) -> dict[str, Any]:
    """Plain data for JSON, as the selector file has it; an input that was never known has None in its place."""
    if isinstance(model, ResidualTrees):
        return residual_trees_to_dict(model)
    return {
        "frameworks": list(model.frameworks),
        "inputs": list(NUMBERS),
        **{name: [None if v != v else v for v in getattr(model, name).tolist()]
           for name in ("centre", "slopes", "low", "high")},
        "within": model.within, "beyond": model.beyond, "power_std": model.power_std,
        "times": None if model.times is None else model.times._asdict(),
        **model.forest.to_dict(),
    }  # fmt: skip


def boosted_trees_of(data: Mapping[str, Any]) -> BoostedTrees:
    """The BoostedTrees of `trees_to_dict`'s content; SelectorError names the first fault."""
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
    return BoostedTrees(frameworks, forest, arrays[0], arrays[1], arrays[2], arrays[3], within, beyond, power, times)


def residual_trees_to_dict(model: ResidualTrees) -> dict[str, Any]:
    """Plain data for JSON, as the selector file has it."""
    return {
        "frameworks": list(model.frameworks),
        "inputs": list(NUMBERS),
        "bounded": list(BOUNDED),
        "regions": [
            {"framework": one.framework, "low": list(one.low), "high": list(one.high), "energies": one.energies,
             "emulated": one.emulated}
            for one in model.regions
        ],
        "power_std": model.power_std,
        **model.forest.to_dict(),
    }  # fmt: skip


def residual_trees_of(data: Mapping[str, Any]) -> ResidualTrees:
    """The ResidualTrees of `residual_trees_to_dict`'s content; SelectorError names the first fault."""
    frameworks = _names(data, "frameworks")
    if data.get("inputs") != list(NUMBERS) or data.get("bounded") != list(BOUNDED):
        raise SelectorError(f"selector file: its trees' inputs are not {list(NUMBERS)}, {list(BOUNDED)}. {REFIT}")
    power = None if data.get("power_std") is None else float(array_of(data["power_std"], (), "power_std"))
    if power is not None and power < SMALLEST_STD:
        raise SelectorError(f"selector file: power_std must be positive. {REFIT}")
    try:
        forest = forest_of(data, len(NUMBERS) + len(frameworks), (len(SUMS),))
    except ValueError as error:
        raise SelectorError(f"selector file: {str(error)[:300]}. {REFIT}") from None
    return ResidualTrees(frameworks, forest, _regions(data), power)


def _regions(data: Mapping[str, Any]) -> tuple[Region, ...]:
    given = data.get("regions")
    if not isinstance(given, list) or len(given) > MOST_REGIONS or not all(isinstance(one, Mapping) for one in given):
        raise SelectorError(f"selector file: regions must be a list of at most {MOST_REGIONS} objects. {REFIT}")
    found = []
    for one in given:
        low, high = (_with_gaps(one, name, len(BOUNDED)).tolist() for name in ("low", "high"))
        framework, flags = one.get("framework"), (one.get("energies"), one.get("emulated"))
        if not (framework is None or isinstance(framework, str)) or not all(isinstance(one, bool) for one in flags):
            raise SelectorError(
                f"selector file: a region's framework must be a name, energies and emulated truth values. {REFIT}"
            )
        ends = [[None if value != value else value for value in side] for side in (low, high)]
        found.append(Region(framework, tuple(ends[0]), tuple(ends[1]), *flags))
    return tuple(found)


def _times(data: Mapping[str, Any]) -> SecondsSpread | None:
    """None in a file whose trees tell no seconds, as all did before they were told."""
    if data.get("times") is None:
        return None
    times = mapping_of(data, "times")
    return SecondsSpread(*(float(array_of(times.get(name), (), f"times.{name}")) for name in SecondsSpread._fields))


def _with_gaps(data: Mapping[str, Any], name: str, count: int) -> Any:
    """A float array, NaN where the file has null."""
    import numpy as np

    given = data.get(name)
    known = [0.0 if v is None else v for v in given] if isinstance(given, list) else given
    array = array_of(known, (count,), name)
    array[[v is None for v in given]] = np.nan  # type: ignore[union-attr]
    return array


def gaussian_process_of(data: Mapping[str, Any]) -> GaussianProcess:
    """The GaussianProcess of `gaussian_process_to_dict`'s content; SelectorError names the first fault."""
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
    return GaussianProcess(
        names["frameworks"], names["cpus"], names["gpus"], ranges["centre"], ranges["low"], ranges["high"], centre,
        points, tuple(array_of([amplitudes[n] for n in AMPLITUDES], (len(AMPLITUDES),), "amplitudes").tolist()),
        array_of(data.get("scales"), (len(names["frameworks"]),), "scales"),
        array_of(data.get("weights"), (count,), "weights"), array_of(factor, (rows, count), "factor"),
        float(array_of(data.get("level"), (), "level")), noise, bounds, _power(data),
    )  # fmt: skip


def _points(data: Mapping[str, Any], names: Mapping[str, tuple[str, ...]]) -> TrainingPoints:
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
    return TrainingPoints(inputs, codes["framework"], codes["device"], gpu, array_of(given, (count,), "points.gflops"))


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
