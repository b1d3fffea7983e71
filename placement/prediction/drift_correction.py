"""A selector whose seconds on some devices are corrected by factors: what a drift of those devices has shown.

It serves from the moment a drift is found until a refit has learned the new times. In a selector file its kind is
"drift_correction"; the selector that it corrects is within.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any, Final

from placement.errors import SelectorError
from placement.prediction.estimate import Basis, Estimate, EstimateList, Estimates, Prepared
from placement.prediction.one_by_one import power_model, prepared
from placement.prediction.posterior import Slowdown, corrected
from placement.prediction.power_model import PowerModel
from placement.prediction.selector import Selector
from placement.prediction.selector_checks import REFIT, SCHEMA_VERSION, mapping_of, shortened, version_of
from placement.spec.joint_threshold import JointThreshold
from placement.spec.node import NodeSpec
from placement.spec.task import Device, TaskSpec

CORRECTED: Final = "drift_correction"
LARGEST_LOG_FACTOR = math.log(1e3)
FACTOR_STD = 0.1  # of the log of a factor: tasks of a device do not all drift by the same one
Factors = tuple[float, float]
"""Logarithms of the factors of a config's seconds on its CPUs and on its GPU."""


@dataclass(frozen=True)
class DriftCorrection:
    """A selector with its seconds corrected by factors found by drift.

    log_factors: config -> the factors of its devices; configs that it lacks are as before.
    """

    version: str
    selector: Selector
    log_factors: Mapping[str, Factors]

    @property
    def thresholds(self) -> JointThreshold:
        """The thresholds of the selector within, which the labels of its fit followed."""
        return self.selector.thresholds

    @property
    def power(self) -> PowerModel:
        """The power model of the selector within."""
        return power_model(self.selector)

    def estimate(self, task: TaskSpec, node: NodeSpec, cpus: float) -> Estimate | None:
        """The corrected estimate; None where the selector within has none."""
        return self._corrected(self.selector.estimate(task, node, cpus), node)

    def prepare(self, nodes: tuple[NodeSpec, ...], cpus: float) -> Prepared:
        """The selector within prepared, its estimates corrected."""
        within = prepared(self.selector, nodes, cpus)

        def estimates(task: TaskSpec, /) -> Estimates:
            found = within(task)
            return EstimateList([self._corrected(found[at], node) for at, node in enumerate(nodes)])

        return estimates

    def to_dict(self) -> dict[str, Any]:
        """The selector file's content."""
        return {
            "schema_version": SCHEMA_VERSION,
            "kind": CORRECTED,
            "version": self.version,
            "selector": self.selector.to_dict(),
            "log_factors": {config: list(factors) for config, factors in self.log_factors.items()},
        }

    def _corrected(self, estimate: Estimate | None, node: NodeSpec) -> Estimate | None:
        factors = self.log_factors.get(node.config)
        found = None if factors is None else corrected(estimate, Slowdown(*factors), self.thresholds, FACTOR_STD)
        if factors is None or found is None:
            return estimate
        cpu_basis, gpu_basis = _widened(found.cpu_basis, factors[0]), _widened(found.gpu_basis, factors[1])
        return replace(found, cpu_basis=cpu_basis, gpu_basis=gpu_basis)


def corrected_by(selector: Selector, config: str, device: Device, log_factor: float) -> DriftCorrection:
    """The selector with one more factor on a device of a config; earlier ones are kept, and multiplied with it."""
    within, known = selector, dict[str, Factors]()
    if isinstance(selector, DriftCorrection):
        within, known = selector.selector, dict(selector.log_factors)
    cpu, gpu = known.get(config, (0.0, 0.0))
    known[config] = (cpu + log_factor, gpu) if device == "cpu" else (cpu, gpu + log_factor)
    known = {name: (_bounded(factors[0]), _bounded(factors[1])) for name, factors in known.items()}
    made = DriftCorrection("", within, known)
    content = {name: value for name, value in made.to_dict().items() if name != "version"}
    return replace(made, version=f"{within.version[:80]}+{version_of(content)}")


def drift_correction_of(data: Mapping[str, Any], read: Callable[[Any], Selector]) -> DriftCorrection:
    """The DriftCorrection of a selector file; read: makes the selector within.

    SelectorError names the first fault.
    """
    within = data.get("selector")
    if isinstance(within, Mapping) and within.get("kind") in (CORRECTED, "trial"):
        raise SelectorError(f"selector file: a selector of kind {within.get('kind')} within a corrected one. {REFIT}")
    factors = {str(config): _factors_of(given) for config, given in mapping_of(data, "log_factors").items()}
    return DriftCorrection(version_of(data), read(within), factors)


def _factors_of(given: Any) -> Factors:
    numbers = list(given) if isinstance(given, list | tuple) else []
    plain = len(numbers) == 2 and all(isinstance(n, int | float) and not isinstance(n, bool) for n in numbers)
    if not plain or not all(abs(n) <= LARGEST_LOG_FACTOR for n in numbers):
        raise SelectorError(
            f"selector file: log_factors {shortened(given)} must be two numbers within {LARGEST_LOG_FACTOR:.3g} of 0. "
            f"{REFIT}"
        )
    return float(numbers[0]), float(numbers[1])


def _bounded(log_factor: float) -> float:
    return min(max(log_factor, -LARGEST_LOG_FACTOR), LARGEST_LOG_FACTOR)


def _widened(basis: Basis, log_factor: float) -> Basis:
    if not log_factor or basis.seconds_std is None:
        return basis
    return basis._replace(seconds_std=math.hypot(basis.seconds_std, FACTOR_STD))
