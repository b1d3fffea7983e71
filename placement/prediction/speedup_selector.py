"""The speed-up selector: residual trees on the roofline (kind "roofline", which ships), or curves, trees or the mean of
both (kind "ratio").
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from placement.errors import SelectorError
from placement.prediction.boosted_trees import BoostedTrees, mixed
from placement.prediction.estimate import (
    SELECTOR,
    Basis,
    Estimate,
    EstimateList,
    Prepared,
    Spread,
    energy_of,
    probability_worth,
    seconds_of_log,
)
from placement.prediction.gaussian_process import (
    INPUTS,
    DevicePair,
    GaussianProcess,
    cpu_device,
    gpu_device,
)
from placement.prediction.interference import ASSUMED, Interference, interference_of
from placement.prediction.power_model import PowerModel, power_model_of
from placement.prediction.prepared_residuals import PreparedResiduals
from placement.prediction.prepared_trees import PreparedTrees
from placement.prediction.residual_trees import ResidualTrees
from placement.prediction.selector_checks import (
    REFIT,
    SCHEMA_VERSION,
    array_of,
    mapping_of,
    notes_of,
    shortened,
    thresholds_of,
    version_of,
)
from placement.prediction.speedup_model_file import (
    boosted_trees_of,
    gaussian_process_of,
    gaussian_process_to_dict,
    residual_trees_of,
    trees_to_dict,
)
from placement.spec.features import granted_gflops
from placement.spec.joint_threshold import JointThreshold
from placement.spec.node import NodeSpec
from placement.spec.task import TaskSpec

RATIO, ROOFLINE = "ratio", "roofline"
"""Kinds of file: ROOFLINE where its trees correct the roofline, RATIO where they tell the speed-up, as all did."""
OTHER_FRAMEWORK = ""  # stands for every framework that was not among those fitted on


@dataclass(frozen=True)
class SpeedupSelector:
    """Curves and trees as a Selector: its estimates tell speed-up and energy ratio with their spread, seconds (the
    curves', where it has some) and joules.

    model: the curves, None where the trees have it all.  trees: None where there are none.  share: of the trees.
    power: watts, which make joules of seconds.  interference: of tasks that share a GPU.
    """

    version: str
    model: GaussianProcess | None
    thresholds: JointThreshold = field(default_factory=JointThreshold)
    training: Mapping[str, Any] = field(default_factory=dict)
    metrics: Mapping[str, Any] = field(default_factory=dict)
    trees: BoostedTrees | ResidualTrees | None = None
    share: float = 0.0
    power: PowerModel = field(default_factory=PowerModel)
    interference: Interference = ASSUMED

    def estimate(self, task: TaskSpec, node: NodeSpec, cpus: float) -> Estimate | None:
        """None where the node has no GPU, or the spec tells neither FLOPs (0 counts as unknown) nor launches."""
        return self.prepare((node,), cpus)(task)[0]

    def prepare(self, nodes: tuple[NodeSpec, ...], cpus: float) -> Prepared:
        """Trees prepared for all these nodes, each with so many CPUs granted; 0.05 ms for trees alone."""
        if self.model is None:
            if self.trees is None:
                raise SelectorError(f"this selector has neither curves nor trees. {REFIT}")
            return prepared_trees(self.trees, nodes, cpus, self.thresholds, self.power)
        return PreparedGaussianProcess(self, self.model, nodes, cpus)

    def to_dict(self) -> dict[str, Any]:
        """The selector file's content."""
        return {
            "schema_version": SCHEMA_VERSION,
            "kind": ROOFLINE if isinstance(self.trees, ResidualTrees) else RATIO,
            "version": self.version,
            "inputs": list(INPUTS),
            "model": None if self.model is None else gaussian_process_to_dict(self.model),
            "trees": None if self.trees is None else trees_to_dict(self.trees),
            "share": self.share,
            "power": self.power.to_dict(),
            "interference": self.interference.to_dict(),
            "thresholds": {"speedup": self.thresholds.speedup, "energy_ratio": self.thresholds.energy_ratio},
            "training": dict(self.training),
            "metrics": dict(self.metrics),
        }


class PreparedGaussianProcess:
    """Curves, and trees where there are some, ready for some nodes; the nodes are gone through one by one."""

    def __init__(
        self, selector: SpeedupSelector, model: GaussianProcess, nodes: tuple[NodeSpec, ...], cpus: float
    ) -> None:
        self._model, self._thresholds, self._share = model, selector.thresholds, selector.share
        self._nodes = nodes
        self._devices = [
            (cpu_device(node.cpu_name, node.config, cpus), gpu_device(node.gpu_name, node.config),
             granted_gflops(node, cpus), node.gpu_gflops)
            for node in nodes
        ]  # fmt: skip
        self._trees = [
            None
            if selector.trees is None
            else prepared_trees(selector.trees, (node,), cpus, selector.thresholds, selector.power)
            for node in nodes
        ]
        self._watts = [selector.power.of(node, cpus) for node in nodes]
        self._pairs: dict[str | None, list[DevicePair]] = {}

    def __call__(self, task: TaskSpec, /) -> EstimateList:
        """The estimates of a task on each node."""
        if not task.flops:
            return EstimateList([None] * len(self._nodes))
        pairs = self._pairs_of(task.framework)
        return EstimateList([self._estimate(task, i, pairs[i]) if n.gpus else None for i, n in enumerate(self._nodes)])

    def _pairs_of(self, framework: str | None) -> list[DevicePair]:
        known = framework if framework is None or framework in self._model.frameworks else OTHER_FRAMEWORK
        pairs = self._pairs.get(known)
        if pairs is None:
            pairs = self._pairs[known] = [self._model.device_pair(known, *devices) for devices in self._devices]
        return pairs

    def _estimate(self, task: TaskSpec, at: int, pair: DevicePair) -> Estimate:
        found = self._model.predict_at(pair, [getattr(task, name) for name in INPUTS])
        speedup, power = Spread(found.log_speedup, found.log_speedup_std), self._model.power_spread
        trees, watts = self._trees[at], self._watts[at]
        if power is None and watts.ratio_std is not None:
            power = Spread(watts.log_ratio, watts.ratio_std)
        if trees is not None:
            by_trees, power = trees.spreads_of(task)
            speedup = mixed(found, by_trees, self._share)
        energy = energy_of(speedup, power)
        p_gpu, energy_decides = probability_worth(speedup, energy, power.std if power else 0.0, self._thresholds)
        steps = math.log(task.steps)
        cpu, gpu = seconds_of_log(steps + found.log_cpu_seconds), seconds_of_log(steps + found.log_gpu_seconds)
        cpu_joules = None if watts.cpu is None else watts.cpu * cpu
        gpu_joules = None if watts.cpu is None or power is None else watts.cpu * seconds_of_log(power.mean) * gpu
        std = found.log_speedup_std  # the curves tell no spread of each device's seconds: that of their ratio stands in
        return Estimate(
            p_gpu, speedup, energy, cpu, gpu, cpu_joules, gpu_joules, found.extrapolating, SELECTOR, energy_decides,
            Basis(std, math.hypot(std, watts.cpu_std), watts.cpu_idle, SELECTOR, watts.source),
            Basis(std, math.hypot(std, watts.gpu_std), watts.gpu_idle, SELECTOR, watts.source),
        )  # fmt: skip


def prepared_trees(
    trees: BoostedTrees | ResidualTrees, nodes: tuple[NodeSpec, ...], cpus: float, thresholds: JointThreshold,
    watts: PowerModel,
) -> PreparedTrees | PreparedResiduals:  # fmt: skip
    """Trees of either kind, prepared for some nodes."""
    if isinstance(trees, ResidualTrees):
        return PreparedResiduals(trees, nodes, cpus, thresholds, watts)
    return PreparedTrees(trees, nodes, cpus, thresholds, watts)


def speedup_selector_of(data: Mapping[str, Any]) -> SpeedupSelector:
    """The SpeedupSelector of a selector file; SelectorError names the first fault."""
    if data.get("inputs") != list(INPUTS):
        raise SelectorError(
            f"selector file: its inputs {shortened(data.get('inputs'))} are not {list(INPUTS)}. {REFIT}"
        )
    read = residual_trees_of if data.get("kind") == ROOFLINE else boosted_trees_of
    trees = None if data.get("trees") is None else read(mapping_of(data, "trees"))
    model = None if data.get("model") is None and trees is not None else gaussian_process_of(mapping_of(data, "model"))
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
        power_model_of(data.get("power")),
        interference_of(data.get("interference")),
    )
