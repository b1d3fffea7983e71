from __future__ import annotations

import json
import math
from itertools import permutations
from typing import Any

import pytest
from core_builders import CPU_NODE, cluster

from placement.errors import SpecError
from placement.spec.node import QUANTITIES, Inventory, NodeKind, NodeSpec, paper_configs


@pytest.mark.parametrize("name", [*QUANTITIES, "cpus", "gpus"])
@pytest.mark.parametrize("value", [-1, math.nan, math.inf, True, "8", [8]], ids=repr)
def test_nonsense_is_refused_by_name(name: str, value: Any) -> None:
    with pytest.raises(SpecError, match=name):
        NodeSpec(**{"config": "X", "cpus": 4, name: value})


@pytest.mark.parametrize("name", ["cpus", "gpus"])
@pytest.mark.parametrize("value", [None, 1.5])
def test_cpus_and_gpus_are_whole_and_known(name: str, value: Any) -> None:
    with pytest.raises(SpecError, match=name):
        NodeSpec(**{"config": "X", "cpus": 4, name: value})


@pytest.mark.parametrize("config", ["", None, 3])
def test_a_config_has_a_name(config: Any) -> None:
    with pytest.raises(SpecError, match="must be a name"):
        NodeSpec(config, 4)


def test_every_fault_is_named_at_once() -> None:
    with pytest.raises(SpecError) as error:
        NodeSpec("", cpus=-1, gpus=True, cpu_gflops=math.nan, ram_gb="much")  # type: ignore[arg-type]
    assert all(name in str(error.value) for name in ("config", "cpus=-1", "gpus=True", "cpu_gflops=nan", "ram_gb"))


def test_a_node_survives_json() -> None:
    node = NodeSpec("X", 4, 1, gpu_gflops=1e4, probes={"matmul": 0.5}, estimated=("cpu_tdp_w",), emulated=True)
    assert NodeSpec.from_dict(json.loads(json.dumps(node.to_dict()))) == node


@pytest.mark.parametrize(
    ("data", "part"),
    [({"config": "X", "cpus": 1, "colour": 1}, "colour"), ({"cpus": 1}, "config"), ({"config": "X"}, "cpus")],
)
def test_fields_unknown_or_missing_are_named(data: dict[str, Any], part: str) -> None:
    with pytest.raises(SpecError, match=part):
        NodeSpec.from_dict(data)


def test_the_papers_configurations_are_complete_and_say_that_they_are_emulated() -> None:
    configs = paper_configs()
    assert list(configs) == ["A", "B", "C", "D"]
    for name, node in configs.items():
        assert node.config == name
        assert node.emulated
        assert node.gpus == 1
        assert all(getattr(node, quantity) for quantity in QUANTITIES)


def test_paper_hardware_is_table_4s() -> None:
    names = {name: (node.cpu_name or "", node.gpu_name or "") for name, node in paper_configs().items()}
    expected = {"A": ("12400", "3060"), "B": ("5800X", "3090"), "C": ("7950X", "4070 Ti"), "D": ("7950X", "4090")}
    for config, (cpu, gpu) in expected.items():
        assert cpu in names[config][0]
        assert gpu in names[config][1]


def test_an_inventory_has_one_order_largest_gpu_first() -> None:
    kinds = cluster(CPU_NODE, configs="AD").kinds
    assert {Inventory(order) for order in permutations(kinds)} == {Inventory(kinds)}
    assert [kind.spec.config for kind in kinds] == ["D", "A", "cpu-only"]


def test_an_inventory_names_each_config_once() -> None:
    with pytest.raises(SpecError, match="once"):
        Inventory((NodeKind(CPU_NODE), NodeKind(CPU_NODE)))


def test_an_inventory_tells_its_kinds() -> None:
    inventory = cluster(CPU_NODE, configs="A")
    assert [kind.spec.config for kind in inventory.gpu_kinds] == ["A"]
    assert inventory.spec("cpu-only") == CPU_NODE
    assert inventory.spec("Z") is None
    assert inventory.kinds[0].count == 2
    assert Inventory().kinds == ()
