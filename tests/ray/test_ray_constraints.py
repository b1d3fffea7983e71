"""A user's own options are never overridden: they narrow the candidates, and explain() says so."""

from __future__ import annotations

import sys
from dataclasses import replace
from typing import Any

import pytest
import ray
from conditions import wait_until
from ray import cloudpickle
from ray.util.placement_group import placement_group, remove_placement_group
from ray.util.scheduling_strategies import (
    DoesNotExist,
    Exists,
    In,
    NodeAffinitySchedulingStrategy,
    NodeLabelSchedulingStrategy,
    NotIn,
    PlacementGroupSchedulingStrategy,
)

from placement import TaskSpec, placed_remote
from placement.control_plane.load_monitor import poll
from placement.errors import NotServedError
from placement.scheduling.queue_model import Backlog
from placement.spec.node import Inventory, NodeKind, NodeSpec
from placement.submission.ray_constraints import matches
from placement.submission.snapshot_client import caller

pytestmark = pytest.mark.usefixtures("emulated")
cloudpickle.register_pickle_by_value(sys.modules[__name__])

SMALL = TaskSpec(flops=1e6, input_bytes=1e3, batch_size=1, parameters=1_000)


@placed_remote(spec=SMALL, policy="gpu_only")
def where() -> tuple[str, int]:
    return ray.get_runtime_context().get_node_labels()["config"], len(ray.get_gpu_ids())


def node_of(config: str) -> str:
    return next(str(n["NodeID"]) for n in ray.nodes() if n["Alive"] and n["Labels"]["config"] == config)


def reasons(table: Any, config: str) -> set[str]:
    return {c.reason for c in table.considered if c.config == config}


@pytest.mark.parametrize(
    ("options", "configs", "said"),
    [
        ({"label_selector": {"config": "B"}}, {"B"}, "your label_selector={'config': 'B'}"),
        ({"label_selector": {"config": "in(A,C)"}}, {"A", "C"}, "your label_selector"),
        ({"label_selector": {"config": "!A"}}, {"B", "C", "D"}, "your label_selector"),
        ({"label_selector": {"placement.emulated": "true"}}, {"A", "B", "C", "D"}, ""),
        (
            {"label_selector": {"config": "A"}, "fallback_strategy": [{"label_selector": {"config": "D"}}]},
            {"A", "D"},
            "or its fallbacks",
        ),
        ({"scheduling_strategy": NodeLabelSchedulingStrategy(hard={"config": In("C")})}, {"C"}, "NodeLabel"),
        ({"scheduling_strategy": NodeLabelSchedulingStrategy(hard={"config": NotIn("C")})}, {*"ABD"}, "NodeLabel"),
        ({"scheduling_strategy": NodeLabelSchedulingStrategy(hard={"config": Exists()})}, {"A", "B", "C", "D"}, ""),
        ({"scheduling_strategy": "SPREAD"}, {"A", "B", "C", "D"}, ""),
    ],
)  # fmt: skip
def test_options_narrow_the_configs(options: dict[str, Any], configs: set[str], said: str) -> None:
    table = where.options(**options).explain()
    assert set(table.decision.configs) == configs
    for config in {"A", "B", "C", "D"} - configs:
        assert all(said in reason for reason in reasons(table, config))
    assert ray.get(where.options(**options).remote())[0] in configs


def test_a_node_named_by_the_user_is_the_one() -> None:
    f = where.options(scheduling_strategy=NodeAffinitySchedulingStrategy(node_of("C"), soft=False))
    assert f.explain().decision.configs == ("C",)
    assert any("NodeAffinity" in reason for reason in reasons(f.explain(), "A"))
    assert ray.get(f.remote()) == ("C", 1)


def test_a_resource_that_no_node_has_leaves_no_candidate() -> None:
    table = where.options(resources={"sunshine": 1}).explain()
    assert table.considered
    assert not any(c.taken for c in table.considered)
    assert all("no node satisfies your resources={'sunshine': 1}" in c.reason for c in table.considered)
    table = where.options(accelerator_type="V100").explain()
    assert table.considered
    assert all("your accelerator_type='V100'" in c.reason for c in table.considered)


def test_a_users_own_num_gpus_decides_the_device() -> None:
    two = where.options(policy="cpu_only", num_gpus=1)
    assert ray.get(two.remote())[1] == 1
    assert any("your num_gpus=1 asks for a GPU" in c.reason for c in two.explain().considered)
    none = where.options(num_gpus=0)
    assert ray.get(none.remote())[1] == 0
    assert any("your num_gpus=0 asks for none" in c.reason for c in none.explain().considered)


def test_gpus_that_no_node_has_are_waited_for_as_under_ray_and_that_is_said(caplog: pytest.LogCaptureFixture) -> None:
    ref = where.options(num_gpus=8).remote()
    wait_until(lambda: any(one.shape.get("GPU") == 8 for one in poll().waiting), "the task does not wait for its GPUs")
    ray.cancel(ref)
    assert "D gpu: needs 8 GPUs, the node has 1" in caplog.text
    assert "placement.start(node_types=)" in caplog.text


def test_where_the_autoscalers_types_are_known_what_none_can_serve_fails_at_once() -> None:
    """The session's cluster is told of no types; a snapshot of its own is."""
    seen = caller().current()
    known = replace(seen, inventory=replace(seen.inventory, complete=True))
    placer = where.options(num_gpus=8)._placer
    with pytest.raises(NotServedError, match=r"no node can take .*where: .*D gpu: needs 8 GPUs, the node has 1.*less"):
        placer.decide(TaskSpec(), known, None)
    assert where.options(num_gpus=1)._placer.decide(TaskSpec(), known, None).device == "gpu"


GONE = "ab" * 28


def soft(node_id: str) -> NodeAffinitySchedulingStrategy:
    return NodeAffinitySchedulingStrategy(node_id, soft=True)


def test_a_soft_wish_for_a_node_holds_where_it_can() -> None:
    f = where.options(scheduling_strategy=soft(node_of("C")))
    assert f.explain().decision.configs == ("C",)
    assert ray.get(f.remote()) == ("C", 1)


@pytest.mark.parametrize("device", [None, "cpu", "gpu"])
def test_a_soft_wish_for_a_node_that_has_gone_is_no_demand(device: Any, caplog: pytest.LogCaptureFixture) -> None:
    f = where.options(scheduling_strategy=soft(GONE), device=device)
    assert len(f.explain().decision.configs) == 4
    assert ray.get(f.remote())[1] == (device != "cpu")
    assert "no node can take" not in caplog.text


def test_a_soft_wish_that_this_very_task_cannot_have_gives_way() -> None:
    """A GPU with too little memory is no candidate, however much the node is wished for."""
    needs = replace(SMALL, memory_bytes=13e9)
    f = where.options(spec=needs, device="gpu", scheduling_strategy=soft(node_of("A")))
    decision = f.explain().decision
    assert decision.device == "gpu"
    assert decision.configs
    assert "A" not in decision.configs


@pytest.mark.parametrize("types_known", [False, True])
def test_a_task_for_a_node_that_has_gone_fails_as_ray_has_it(types_known: bool, caplog: Any) -> None:
    f = where.options(scheduling_strategy=NodeAffinitySchedulingStrategy(GONE, soft=False))
    snapshot = complete() if types_known else caller().current()
    assert f._placer.decide(SMALL, snapshot, None).reason == "no_candidate"
    with pytest.raises(ray.exceptions.TaskUnschedulableError):
        ray.get(f.remote(), timeout=300)
    assert "waits for one" not in caplog.text


def test_soft_labels_are_wishes() -> None:
    def labels(hard: Any, wish: Any) -> Any:
        return where.options(scheduling_strategy=NodeLabelSchedulingStrategy(hard=hard, soft=wish))

    assert labels({"config": NotIn("C")}, {"config": In("B")}).explain().decision.configs == ("B",)
    assert set(labels({"config": NotIn("C")}, {"config": In("none")}).explain().decision.configs) == set("ABD")
    assert ray.get(labels({}, {"config": In("none")}).remote())[1] == 1


def test_an_actors_soft_wish_gives_way_too() -> None:
    class Holder:
        def gpus(self) -> int:
            return len(ray.get_gpu_ids())

    A = placed_remote(spec=SMALL, policy="gpu_only")(Holder)
    a = A.options(scheduling_strategy=soft(GONE)).remote()
    assert ray.get(a.gpus.remote(), timeout=300) == 1
    ray.kill(a)


def complete(*kinds: Any) -> Any:
    """The cluster's snapshot as it would be where the autoscaler's types are known."""
    seen = caller().current()
    return replace(seen, inventory=Inventory((*seen.inventory.kinds, *kinds), complete=True))


def test_nothing_is_refused_for_what_is_not_known() -> None:
    planned = NodeKind(NodeSpec("Z", 64, 8), ray_cpus=64, ray_gpus=8, planned=True)
    wish = where.options(resources={"sunshine": 1})._placer
    with pytest.raises(NotServedError):
        wish.decide(SMALL, complete(), None)
    assert wish.decide(SMALL, complete(planned), None).configs == ("Z",)  # its other resources are not known
    soft_one = where.options(scheduling_strategy=soft(GONE))._placer
    assert len(soft_one.decide(SMALL, complete(), None).configs) == 4
    # a node that is alive and not probed yet may be of any kind
    known = complete()
    fewer = replace(known, inventory=Inventory(known.inventory.kinds[1:], complete=True))
    decision = where.options(num_gpus=8)._placer.decide(SMALL, fewer, None)
    assert (decision.device, decision.reason) == ("gpu", "no_candidate")
    # other programs may give memory back
    taken = Inventory(tuple(replace(kind, gpu_free_gb=0.1) for kind in known.inventory.kinds), complete=True)
    needs = replace(SMALL, memory_bytes=1e9)
    decision = where.options(device="gpu")._placer.decide(needs, replace(known, inventory=taken), None)
    assert (decision.device, decision.reason) == ("gpu", "no_candidate")


@pytest.mark.parametrize("cpus", [0, 0.25])
def test_a_task_of_less_than_a_cpu_is_placed_and_counted_as_what_it_is(cpus: float) -> None:
    f = where.options(policy="min_time", num_cpus=cpus, device="cpu")
    assert ray.get([f.remote() for _ in range(4)])
    backlog = caller().current().backlog
    assert isinstance(backlog, Backlog)
    _, told = backlog.enqueued_since(0.0)
    assert all(slots > 0 for slots, _ in told.values())
    estimates = {c.config: c.estimate.p_gpu for c in f.explain().considered if c.estimate is not None}
    whole = {c.config: c.estimate.p_gpu for c in where.explain().considered if c.estimate is not None}
    assert estimates == whole  # it runs on one thread


def test_a_placement_group_without_a_gpu_takes_the_task_on_the_cpu() -> None:
    group = placement_group([{"CPU": 1}])
    try:
        ray.get(group.ready())
        strategy = PlacementGroupSchedulingStrategy(group)
        f = where.options(scheduling_strategy=strategy)
        assert f.explain().decision.device == "cpu"
        assert any("no bundle of your placement group has 1 CPU, 1 GPU" in c.reason for c in f.explain().considered)
        assert ray.get(f.remote())[1] == 0
        old = where.options(placement_group=group)
        assert ray.get(old.remote())[1] == 0
    finally:
        remove_placement_group(group)


def test_a_placement_group_with_a_gpu_takes_it_on_the_groups_node() -> None:
    group = placement_group([{"CPU": 1, "GPU": 1}], bundle_label_selector=[{"config": "B"}])
    try:
        ray.get(group.ready())
        f = where.options(scheduling_strategy=PlacementGroupSchedulingStrategy(group))
        assert f.explain().decision.configs == ("B",)
        assert ray.get(f.remote()) == ("B", 1)
    finally:
        remove_placement_group(group)


def test_inside_a_captured_placement_group_only_shapes_that_fit_are_chosen() -> None:
    group = placement_group([{"CPU": 1}, {"CPU": 1}])
    try:
        ray.get(group.ready())

        @ray.remote(num_cpus=1)
        def parent() -> Any:
            inside = ray.get(where.remote())
            outside = where.options(scheduling_strategy="DEFAULT").explain().decision.device
            return inside, str(where.explain()), outside

        strategy = PlacementGroupSchedulingStrategy(group, placement_group_capture_child_tasks=True)
        inside, table, outside = ray.get(parent.options(scheduling_strategy=strategy).remote())
        assert inside[1] == 0
        assert "no bundle of the placement group that captures its caller's children has 1 CPU, 1 GPU" in table
        assert outside == "gpu"
    finally:
        remove_placement_group(group)


@pytest.mark.parametrize(
    ("selector", "found"),
    [
        ({"a": "x"}, True), ({"a": "y"}, False), ({"a": "!y"}, True), ({"a": "in(x,y)"}, True),
        ({"a": "in(y, z)"}, False), ({"a": "!in(y,z)"}, True), ({"b": "x"}, False), ({"b": "!x"}, True), ({}, True),
        ({"a": "x", "b": "x"}, False),
    ],
)  # fmt: skip
def test_label_selectors_are_read_as_ray_reads_them(selector: dict[str, str | None], found: bool) -> None:
    assert matches({"a": "x"}, selector) is found


def test_a_label_that_must_not_be_there() -> None:
    strategy = NodeLabelSchedulingStrategy(hard={"region": DoesNotExist()})
    assert len(where.options(scheduling_strategy=strategy).explain().decision.configs) == 4
