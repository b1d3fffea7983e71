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
from placement.spec.autoscaler_types import STARTING_S, checked, planned
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
