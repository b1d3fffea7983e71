"""The power model that refit learns from the log's joules."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
import pytest

from placement.prediction.power_model import PowerModel
from placement.spec.features import granted_gflops
from placement.spec.node import NodeSpec, paper_configs
from profiling.learning.fit_power import fit_power

WORK = ("flops", "batch_size", "parameters", "input_bytes", "kernels")


def frame(nodes: list[tuple[NodeSpec, float]], rows: int = 60, noise: float = 0.1) -> pd.DataFrame:
    """Pairs on these nodes with so many CPUs granted: 0.5 W a GFLOP/s on the CPU, 0.4 of the TDP on the GPU."""
    rng = np.random.default_rng(0)
    found: list[dict[str, Any]] = []
    for i in range(rows):
        node, cpus = nodes[i % len(nodes)]
        granted, tdp = granted_gflops(node, cpus) or 0.0, node.gpu_tdp_w or 0.0
        cpu_s, gpu_s = rng.uniform(1, 9), rng.uniform(0.1, 1)
        factors = np.exp(noise * rng.normal(size=2))
        found.append({
            "cpu_gflops": granted, "gpu_gflops": node.gpu_gflops, "gpu_memory_gb": node.gpu_memory_gb,
            "cpu_tdp_w": node.cpu_tdp_w, "gpu_tdp_w": tdp, **dict.fromkeys(WORK, 10.0 + i), "framework": "torch",
            "cpu_seconds": cpu_s, "gpu_seconds": gpu_s, "cpu_censored": False, "gpu_censored": False,
            "cpu_joules": cpu_s * 0.5 * granted * factors[0], "gpu_joules": gpu_s * 0.4 * tdp * factors[1],
        })  # fmt: skip
    return pd.DataFrame(found)


def test_watts_are_learned_for_all_nodes_and_grants() -> None:
    configs = paper_configs()
    model = fit_power(frame([(node, cpus) for node in configs.values() for cpus in (1.0, 4.0, node.cpus)]))
    for node in configs.values():
        power = model.of(node, 4.0)
        assert power.source == "selector"
        assert power.cpu == pytest.approx(0.5 * (granted_gflops(node, 4.0) or 0.0), rel=0.2)
        assert power.gpu == pytest.approx(0.4 * (node.gpu_tdp_w or 0.0), rel=0.2)
        assert 0.05 < power.cpu_std < 0.2
        assert 0.05 < power.gpu_std < 0.2


def test_of_one_kind_of_node_other_nodes_follow_by_proportion() -> None:
    a, d = paper_configs()["A"], paper_configs()["D"]
    power = fit_power(frame([(a, 1.0)])).of(d, 1.0)
    assert power.cpu == pytest.approx(0.5 * (granted_gflops(d, 1.0) or 0.0), rel=0.1)
    assert power.gpu == pytest.approx(0.4 * (d.gpu_tdp_w or 0.0), rel=0.1)


def test_without_energies_the_power_is_assumed_and_says_so() -> None:
    pairs = frame([(paper_configs()["A"], 1.0)])
    pairs["cpu_joules"] = math.nan
    model = fit_power(pairs)
    assert model == PowerModel()
    assert model.of(paper_configs()["A"], 1.0).source == "power model"
    assert model.of(replace(paper_configs()["A"], cpu_tdp_w=None), 1.0).cpu is None
