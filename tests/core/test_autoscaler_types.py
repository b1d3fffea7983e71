"""Types that an autoscaler could start: read, offered, waited for."""

import json
from contextlib import suppress

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from placement.control_plane.cluster_load import Poll, loads
from placement.errors import OptionError
from placement.prediction.selector_file import shipped_selector
from placement.scheduling.decision import AWAITS_NODE, decide
from placement.scheduling.explanation import explain
from placement.scheduling.feasibility import Limits
from placement.scheduling.snapshot import Snapshot
from placement.spec.autoscaler_types import STARTING_S, checked, is_complete, planned
from placement.spec.node import Inventory, NodeKind, NodeSpec, paper_configs
from placement.spec.ray_start_args import ray_start_args
from placement.spec.task import TaskSpec

LARGE = TaskSpec(flops=4e12, input_bytes=2e7, batch_size=64, parameters=25_000_000, steps=50)
SMALL = TaskSpec(flops=1e5, input_bytes=1e3, batch_size=1, parameters=100)
CLUSTER = {
    "head_node_type": "head",
    "available_node_types": {
        "head": {"resources": {"CPU": 2}, "labels": {"config": "head"}},
        "cpu": {"resources": {"CPU": 8}, "labels": {"config": "cpu"}, "max_workers": 2},
        "D": {"resources": {"CPU": 4, "GPU": 1}, "labels": {"config": "D", "placement.emulated": "true"}},
        "unlabelled": {"resources": {"CPU": 4, "GPU": 1}},
        "never": {"resources": {"CPU": 4}, "labels": {"config": "never"}, "max_workers": 0},
    },
}
HEAD = NodeKind(NodeSpec("head", cpus=2), ("n1",))


def snapshot(*kinds: NodeKind) -> Snapshot:
    return Snapshot(1, Inventory((HEAD, *kinds)), shipped_selector())


def test_a_cluster_file_says_what_could_be_started():
    types = checked(CLUSTER)
    assert types == {
        "cpu": {"cpus": 8, "gpus": 0, "emulated": False},
        "D": {"cpus": 4, "gpus": 1, "emulated": True},
    }
    assert json.loads(json.dumps(types)) == types
    assert checked(CLUSTER["available_node_types"]).keys() == {"head", "cpu", "D"}


@pytest.mark.parametrize(
    ("types", "says"),
    [
        (["D"], "node_types"),
        ({"D": 1}, "D=1 must be a mapping"),
        ({"D": {"resources": {"GPU": -1}}}, "GPU=-1"),
        ({"D": {"resources": {"CPU": "four"}}}, "CPU='four'"),
    ],
)
def test_what_are_no_types_is_said(types, says):
    with pytest.raises(OptionError, match=says):
        checked(types)


@settings(max_examples=25)
@given(
    st.recursive(
        st.none() | st.integers() | st.text(max_size=3),
        lambda x: st.dictionaries(st.text(max_size=3), x, max_size=3),
        max_leaves=5,
    )
)
def test_anything_else_is_refused_or_empty(anything):
    with suppress(OptionError):
        assert checked(anything) == {}


AWS = {"node_config": {"InstanceType": "g5.xlarge"}, "labels": {"config": "g5"}, "max_workers": 4}


@pytest.mark.parametrize(
    ("resources", "cpus", "gpus"),
    [
        ({}, None, None),
        (None, None, None),
        ({"CPU": 4}, 4, None),
        ({"GPU": 1}, None, 1),
        ({"CPU": 4, "GPU": None}, 4, None),
    ],
)
def test_resources_that_the_provider_fills_in_are_unknown_not_zero(resources, cpus, gpus):
    types = {"g5": {**AWS, "resources": resources}}
    assert checked(types) == {"g5": {"cpus": cpus, "gpus": gpus, "emulated": False}}
    assert not is_complete(types)
    (*kinds,) = planned(checked(types), [], {})  # GPUs that nobody knows of are not promised, nor refused
    assert [(kind.grants_cpus, kind.grants_gpus) for kind in kinds] == [(cpus, gpus or 0)] * (cpus is not None)
    ran = NodeSpec("g5", cpus=4, gpus=1, gpu_gflops=3e4)
    (kind,) = planned(checked(types), [], {"g5": ran})
    assert (kind.spec, kind.grants_cpus, kind.grants_gpus) == (ran, 4, 1)


def test_types_are_complete_where_each_is_known_and_can_be_named():
    known = {"D": {"resources": {"CPU": 4, "GPU": 1}, "labels": {"config": "D"}}}
    assert is_complete(known)
    assert is_complete({})
    assert not is_complete(CLUSTER)  # a node of the type without a label could serve what no other can
    assert is_complete({"a": {**AWS, "max_workers": 0}, **known})
    assert not is_complete({"available_node_types": {"a": AWS, **known}, "provider": {"type": "aws"}})
    gcp = {**AWS, "resources": {"CPU": 16}}
    assert is_complete({"available_node_types": {"a": gcp}, "provider": {"type": "gcp"}})  # fills in no GPU
    assert is_complete({"head_node_type": "a", "available_node_types": {"a": {"node_config": {"x": 1}}, **known}})


def test_what_runs_is_not_planned_and_what_ran_is_remembered():
    seen = NodeSpec("cpu", cpus=8, cpu_gflops=900.0)
    kinds = planned(checked(CLUSTER), ["head"], {"cpu": seen})
    assert {kind.spec.config: kind.spec for kind in kinds} == {"cpu": seen, "D": paper_configs()["D"]}
    assert all(kind.planned and kind.count == 0 for kind in kinds)
    assert [kind.spec.config for kind in planned(checked(CLUSTER), ["head", "D"], {})] == ["cpu"]


def test_a_task_worth_a_gpu_waits_for_one_and_says_so():
    now = snapshot(*planned(checked(CLUSTER), ["head"], {}))
    decision = decide(LARGE, "f", Limits(), now)
    assert (decision.device, decision.configs) == ("gpu", ("D",))
    assert decision.reason.endswith(AWAITS_NODE)
    small = decide(SMALL, "f", Limits(), now)
    assert small.device == "cpu"
    assert set(small.configs) == {"head", "cpu"}  # no node with a GPU is started for it
    assert AWAITS_NODE not in small.reason
    rows = {(row.config, row.device): row.reason for row in explain(SMALL, "f", Limits(), now).considered}
    assert rows["D", "cpu"] == "a node with a GPU is not started for it"


def test_a_task_too_large_for_what_runs_waits_for_what_could():
    now = snapshot(*planned(checked(CLUSTER), ["head"], {}))
    decision = decide(SMALL, "f", Limits(cpus={"cpu": 6.0, "gpu": 6.0}), now)
    assert (decision.configs, decision.reason) == (("cpu",), f"only_device, {AWAITS_NODE}")
    assert decide(SMALL, "f", Limits(cpus={"cpu": 6.0, "gpu": 6.0}), snapshot()).reason == "no_candidate"


def test_its_queue_starts_when_the_node_does():
    told = loads(Inventory((HEAD, *planned(checked(CLUSTER), ["head"], {}))), Poll({}))
    assert told["D", "gpu"].startup_s == STARTING_S
    assert told["D", "gpu"].slots == 0


def test_the_words_for_ray_start():
    assert ray_start_args("lab-7", 14, 2) == ("--labels=config=lab-7", "--num-cpus=14", "--num-gpus=2")
    assert ray_start_args("D", 1, 1, emulated=True)[0] == "--labels=config=D,placement.emulated=true"


@pytest.mark.parametrize("config", ["", "a b", "a;rm", "$(x)", "-a", "a" * 64, "ä", "a,b=c"])
def test_a_config_that_is_no_label_is_refused(config):
    with pytest.raises(OptionError, match="letters"):
        ray_start_args(config, 1, 0)


def test_all_faults_of_the_words_are_told_at_once():
    with pytest.raises(OptionError, match=r"cpus=-1.*gpus=0.5.*cannot be emulated; valid are \['A', 'B', 'C', 'D'\]"):
        ray_start_args("lab", -1, 0.5, emulated=True)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("visible", "most"), [(None, 9), ("", 0), ("NoDevFiles", 0), ("1", 1), ("0,1", 2), ("GPU-a,MIG-b", 2)]
)
def test_no_more_gpus_than_ray_takes(visible, most):
    assert ray_start_args("lab", 1, most, visible_devices=visible)[2] == f"--num-gpus={most}"
    if visible is not None:
        with pytest.raises(OptionError, match=rf"gpus={most + 1} is more than the {most} that CUDA_VISIBLE_DEVICES="):
            ray_start_args("lab", 1, most + 1, visible_devices=visible)
