"""Every task and actor option of Ray, right and wrong, is taken or refused as ray.remote does."""

from __future__ import annotations

from typing import Any

import pytest
import ray
from comparing import Cases, Remote, error_of
from ray._common import ray_option_utils
from ray.util.placement_group import placement_group, remove_placement_group
from ray.util.scheduling_strategies import (
    In,
    NodeAffinitySchedulingStrategy,
    NodeLabelSchedulingStrategy,
    PlacementGroupSchedulingStrategy,
)

cases = Cases(__name__)
case = cases.case
pytestmark = pytest.mark.usefixtures("emulated")

VALUES: dict[str, list[Any]] = {
    "num_cpus": [0, 0.5, 1, -1, "1", 1.00001, None],
    "num_gpus": [0, -1, "1", 1.5, 0.5, None],
    "memory": [1_000_000, -5, 1.5, "1", None],
    "object_store_memory": [None, 1_000, -1],
    "resources": [{}, None, {"CPU": 1}, {"GPU": 1}, {"x": -1}, {"x": 1.00001}, [1], "x"],
    "label_selector": [
        {"config": "A"},
        {"config": "in(A,B)"},
        {"config": "!A"},
        {"config": "A!"},
        {"a b": "c"},
        3,
        None,
    ],
    "fallback_strategy": [[{"label_selector": {"config": "A"}}], [{"num_cpus": 1}], {}, None],
    "accelerator_type": ["T4", None, 3, ["A"]],
    "name": ["n", None, 3],
    "num_returns": [1, 2, 0, None, -1, "streaming", "dynamic", "several", 1.5],
    "max_calls": [0, 1, -1, "1", None],
    "max_retries": [0, 3, -1, -2, None, "x"],
    "retry_exceptions": [True, False, [ValueError], (KeyError,), [3], "yes", None],
    "runtime_env": [{}, None, {"env_vars": {"a": 1}}, {"nonsense": 1}, "x"],
    "scheduling_strategy": ["DEFAULT", "SPREAD", None, 3],
    "placement_group": ["default", None, "other", 3],
    "placement_group_bundle_index": [-1, "0"],
    "placement_group_capture_child_tasks": [None, True, "x"],
    "enable_task_events": [True, False, None],
    "_labels": [{"a": "b"}, None, 3],
    "_generator_backpressure_num_objects": [None, 1, 0, "x"],
    "_num_objects_per_yield": [1, None, 0, 2],
    "concurrency_groups": [{"io": 1}, None, 3],
    "enable_tensor_transport": [None, False, "x"],
    "lifetime": ["detached", "non_detached", None, "eternal"],
    "max_concurrency": [1, 2, 0, -1, "x", None],
    "max_restarts": [0, 1, -1, -2, 2**80, None],
    "max_task_retries": [0, 1, -1, -2, None],
    "max_pending_calls": [-1, 5, -2, None],
    "namespace": [None, "x", 3],
    "get_if_exists": [False, True, 1],
    "allow_out_of_order_execution": [None, True, "x"],
    "_actor_generator_backpressure_num_objects": [None, 5, -1, 0],
    "num_gpu": [1],
    "nonsense": [None],
}


def test_every_option_of_ray_is_tried() -> None:
    assert set(ray_option_utils.valid_options) <= set(VALUES)


def body(x: int = 1) -> int:
    return x


class Body:
    def __init__(self, x: int = 1) -> None:
        self.x = x

    def get(self) -> int:
        return self.x


def shown(made: Any) -> Any:
    options = getattr(made, "_default_options", None)
    return "taken" if options is None else {k: repr(v) for k, v in options.items()}


for option, values in VALUES.items():

    @case
    def at_decoration(remote: Remote, option: str = option, values: list[Any] = values) -> Any:
        return [error_of(lambda v=v: shown(remote(**{option: v})(body))) for v in values]

    @case
    def in_options(remote: Remote, option: str = option, values: list[Any] = values) -> Any:
        f = remote(body)
        return [error_of(lambda v=v: shown(f.options(**{option: v}))) for v in values]

    @case
    def of_a_class(remote: Remote, option: str = option, values: list[Any] = values) -> Any:
        return [error_of(lambda v=v: shown(remote(**{option: v})(Body))) for v in values]

    @case
    def in_options_of_a_class(remote: Remote, option: str = option, values: list[Any] = values) -> Any:
        f = remote(Body)
        return [error_of(lambda v=v: shown(f.options(**{option: v}))) for v in values]

    for made in ("at_decoration", "in_options", "of_a_class", "in_options_of_a_class"):
        cases.all[f"{option}_{made}"] = cases.all.pop(made)


@case
def options_build_on_those_of_the_decoration(remote: Remote) -> Any:
    f = remote(num_returns=2, max_retries=1)(lambda: [1, 2])
    return ray.get(f.remote()), ray.get(f.options(num_returns=1).remote()), ray.get(f.options(max_retries=0).remote())


@case
def what_options_returns(remote: Remote) -> Any:
    made = remote(body).options(num_cpus=0.5)
    return hasattr(made, "remote"), hasattr(made, "bind"), hasattr(made, "options"), callable(made)


@case
def tasks_run_under_every_option(remote: Remote) -> Any:
    f = remote(body)
    given = {
        "num_cpus": 0.5, "memory": 1_000_000, "resources": {}, "label_selector": {"config": "in(A,B,C,D)"},
        "fallback_strategy": [{"label_selector": {"config": "A"}}], "name": "n", "max_retries": 0,
        "retry_exceptions": [KeyError], "scheduling_strategy": "SPREAD", "enable_task_events": False,
        "_labels": {"a": "b"}, "runtime_env": {}, "placement_group": None,
    }  # fmt: skip
    one_by_one = [f.options(**{name: value}).remote(5) for name, value in given.items()]
    return ray.get([*one_by_one, remote(**{**given, "max_calls": 100})(body).remote(6)])


@case
def the_config_label_is_kept(remote: Remote) -> Any:
    @remote
    def where() -> str:
        return ray.get_runtime_context().get_node_labels()["config"]

    selectors = [{"config": "B"}, {"config": "in(C)"}, {"config": "D", "placement.emulated": "true"}]
    return ray.get([where.options(label_selector=selector).remote() for selector in selectors])


@case
def node_affinity_is_kept(remote: Remote) -> Any:
    @remote
    def where() -> str:
        return ray.get_runtime_context().get_node_labels()["config"]

    nodes = {n["Labels"]["config"]: n["NodeID"] for n in ray.nodes() if n["Alive"]}
    hard = [NodeAffinitySchedulingStrategy(nodes[c], soft=False) for c in "AD"]
    labelled = NodeLabelSchedulingStrategy(hard={"config": In("C")})
    return ray.get([where.options(scheduling_strategy=s).remote() for s in (*hard, labelled)])


@case
def a_placement_group_is_kept(remote: Remote) -> Any:
    group = placement_group([{"CPU": 0.5, "GPU": 1}], strategy="PACK")
    try:
        ray.get(group.ready())

        @remote(num_cpus=0.5)
        def inside() -> bool:
            return ray.util.get_current_placement_group() == group

        strategy = PlacementGroupSchedulingStrategy(group)
        return ray.get(
            [inside.options(scheduling_strategy=strategy).remote(), inside.options(placement_group=group).remote()]
        )
    finally:
        remove_placement_group(group)


@case
def errors_at_submission(remote: Remote) -> Any:
    f = remote(body)
    group = placement_group([{"CPU": 0.1}])
    try:
        strategy = PlacementGroupSchedulingStrategy(group)
        beyond = PlacementGroupSchedulingStrategy(group, placement_group_bundle_index=5)
        return [
            error_of(lambda: f.options(num_gpus=1.5).remote()),
            error_of(lambda: f.options(scheduling_strategy=strategy, num_cpus=50).remote()),
            error_of(lambda: f.options(scheduling_strategy=beyond, num_cpus=0.1).remote()),
            error_of(lambda: f.options(scheduling_strategy=strategy, placement_group=group).remote()),
        ]
    finally:
        remove_placement_group(group)


@case
def a_users_own_gpu_is_given(remote: Remote) -> Any:
    @remote(num_gpus=1)
    def ids() -> Any:
        return len(ray.get_gpu_ids())

    @remote(num_gpus=0)
    def none() -> Any:
        return ray.get_gpu_ids()

    f = remote(lambda: len(ray.get_gpu_ids()))
    return ray.get([ids.remote(), none.remote(), f.options(num_gpus=1).remote(), f.options(num_gpus=0.5).remote()])


@cases.parametrize()
def test_same_as_ray(way: str, name: str) -> None:
    cases.check(way, name)
