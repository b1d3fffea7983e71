"""What the tests of the core are built of: nodes, clusters and selectors made by hand."""

from __future__ import annotations

from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

import numpy as np

from placement.prediction.estimate import Estimate, Spread
from placement.prediction.mlp import LAYERS, Classifier
from placement.prediction.runtime_history import History
from placement.scheduling.candidates import Policy, has
from placement.scheduling.feasibility import Limits
from placement.scheduling.policies.registry import policy_of
from placement.scheduling.snapshot import Snapshot
from placement.spec.node import Inventory, NodeKind, NodeSpec, paper_configs
from placement.spec.task import TaskSpec

CPU_NODE = NodeSpec("cpu-only", cpus=8, cpu_gflops=400.0, cpu_tdp_w=65.0, ram_gb=32.0)
TASK = TaskSpec(flops=1e10, input_bytes=1e6, batch_size=8, parameters=10_000_000, memory_bytes=2e9)


def net(seed: int = 0, **changed: Any) -> Classifier:
    """A Classifier of random weights, different for every seed, that answers both ways over ordinary tasks."""
    rng = np.random.default_rng(seed)
    values = {
        "version": f"net-{seed}",
        "weights": tuple(rng.normal(size=shape) * 0.7 for shape in pairwise(LAYERS)),
        "biases": tuple(rng.normal(size=size) * 0.1 for size in LAYERS[1:]),
        "mean": np.full(LAYERS[0], 10.0),
        "std": np.full(LAYERS[0], 5.0),
        "low": np.zeros(LAYERS[0]),
        "high": np.full(LAYERS[0], 40.0),
        "training": {"rows": 100, "provenance": "emulated"},
        "metrics": {"accuracy": 0.9},
    }
    return Classifier(**{**values, **changed})


@dataclass(frozen=True)
class Told:
    """A selector that says what it was told of each config, and knows nothing of the others."""

    p_gpu: dict[str, float] = field(default_factory=dict)
    energy: Spread | None = None
    version: str = "told"

    def estimate(self, task: TaskSpec, node: NodeSpec, cpus: float) -> Estimate | None:
        p = self.p_gpu.get(node.config)
        return None if p is None else Estimate(p, energy_ratio=self.energy)

    def to_dict(self) -> dict[str, Any]:
        return {}


def cluster(*extra: NodeSpec, configs: str = "ABCD") -> Inventory:
    """The paper's configurations named, two nodes of each, and the others given."""
    specs = [*(paper_configs()[name] for name in configs), *extra]
    return Inventory(tuple(NodeKind(spec, (f"{spec.config}-0", f"{spec.config}-1")) for spec in specs))


def snapshot(selector: Any = None, inventory: Inventory | None = None, **given: Any) -> Snapshot:
    given.setdefault("history", History())
    return Snapshot(7, cluster() if inventory is None else inventory, selector or net(), **given)


def limits(cpu: float = 1.0, gpu: float = 1.0, **given: Any) -> Limits:
    return Limits(cpus={"cpu": cpu, "gpu": gpu}, **given)


def seeded(name: str) -> Policy:
    """The policy of a name, with a seed where it draws."""
    policy = policy_of(name)
    return type(policy)(seed=0) if has(policy, "draws") else policy  # type: ignore[call-arg]
