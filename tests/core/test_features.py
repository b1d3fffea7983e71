from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from core_builders import CPU_NODE, TASK

from placement.spec.features import FEATURES, features, granted_gflops
from placement.spec.node import paper_configs

NODE = paper_configs()["A"]


def test_there_are_nine_with_their_units() -> None:
    assert FEATURES == {
        "cpu_gflops": "GFLOP/s",
        "gpu_gflops": "GFLOP/s",
        "gpu_memory_gb": "GB",
        "cpu_tdp_w": "W",
        "gpu_tdp_w": "W",
        "flops": "FLOP",
        "batch_size": "samples",
        "parameters": "1",
        "input_bytes": "B",
    }
    assert "ram_gb" not in FEATURES  # Table 3 has ten; 449 parameters need nine


def test_the_vector_is_in_the_order_of_the_names() -> None:
    row = features(TASK, NODE, NODE.cpus)
    assert row is not None
    by_name = dict(zip(FEATURES, row, strict=True))
    for name in FEATURES:
        assert by_name[name] == getattr(TASK if hasattr(TASK, name) else NODE, name)


@pytest.mark.parametrize(("cpus", "share"), [(1, 1 / 12), (6, 0.5), (12, 1.0), (24, 1.0), (0, 1 / 12), (0.5, 1 / 12)])
def test_cpu_gflops_are_those_of_the_cpus_granted(cpus: float, share: float) -> None:
    assert NODE.cpu_gflops is not None
    assert granted_gflops(NODE, cpus) == pytest.approx(NODE.cpu_gflops * share)


def test_a_node_that_tells_no_cpus_gives_its_whole_throughput() -> None:
    assert granted_gflops(replace(NODE, cpus=0), 1) == NODE.cpu_gflops
    assert granted_gflops(replace(NODE, cpu_gflops=None), 1) is None


@pytest.mark.parametrize("name", ["flops", "batch_size", "parameters", "input_bytes"])
def test_an_unknown_of_the_task_gives_none(name: str) -> None:
    assert features(replace(TASK, **{name: None}), NODE, 1) is None


@pytest.mark.parametrize("name", ["cpu_gflops", "gpu_gflops", "gpu_memory_gb", "cpu_tdp_w", "gpu_tdp_w"])
def test_an_unknown_of_the_node_gives_none(name: str) -> None:
    unknown: dict[str, Any] = {name: None}
    assert features(TASK, replace(NODE, **unknown), 1) is None


def test_no_flops_are_unknown_not_free() -> None:
    assert features(replace(TASK, flops=0), NODE, 1) is None


def test_a_node_without_a_gpu_has_no_vector() -> None:
    assert features(TASK, CPU_NODE, 1) is None


def test_a_task_without_parameters_or_input_has_one() -> None:
    assert features(replace(TASK, parameters=0, input_bytes=0), NODE, 1) is not None
