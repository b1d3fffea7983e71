"""placed_remote on a live cluster: what runs where, what is logged, what is swapped."""

from __future__ import annotations

import os
from dataclasses import replace
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
import ray
from conditions import rows_of, wait_for_quiet, wait_until

import placement
from placement import TaskSpec, current_device, placed_remote
from placement.errors import OptionError, SelectorError, SpecError
from placement.prediction.mlp import LAYERS, Classifier
from placement.prediction.selector_file import shipped_selector

pytestmark = pytest.mark.usefixtures("emulated")

SMALL = TaskSpec(flops=1e6, input_bytes=1e3, batch_size=1, parameters=1_000)
LARGE = TaskSpec(flops=1e13, input_bytes=1e6, batch_size=64, parameters=100_000_000)
SPEC = ("flops", "input_bytes", "batch_size", "parameters", "steps", "kernels", "framework")
TRACED = replace(LARGE, kernels=700, framework="torch")
NEVER_GPU = Classifier(
    "never-gpu", tuple(np.zeros(shape) for shape in pairwise(LAYERS)), (np.zeros(16), np.zeros(16), np.array([-9.0])),
    mean=np.zeros(9), std=np.ones(9), low=np.zeros(9), high=np.full(9, 50.0),
)  # fmt: skip


@placed_remote
def plain(x: int) -> int:
    """Adds one."""
    return x + 1


@placed_remote(spec=lambda task: task, policy="selector")  # the default looks at queues, too: see test_load.py
def described(task: TaskSpec) -> tuple[str, list[int], str | None]:
    return current_device(), ray.get_gpu_ids(), os.environ.get("CUDA_VISIBLE_DEVICES")


@placed_remote(devices="any")
def undescribed(array: Any) -> float:
    return float(array.sum())


def test_an_ordinary_function_is_an_ordinary_task() -> None:
    assert ray.get(plain.remote(1)) == 2
    assert plain.remote.__doc__ == "Adds one."
    with pytest.raises(TypeError, match=r"cannot be called directly"):
        plain(1)
    with pytest.raises(TypeError, match="missing a required argument"):
        plain.remote()


def test_a_large_task_gets_a_gpu_and_a_small_one_does_not(log_uri: str) -> None:
    refs = [described.remote(LARGE), described.remote(SMALL)]
    assert [gpu_ids for _, gpu_ids, _ in ray.get(refs)] == [[0], []]
    large, small = rows_of(log_uri, refs)
    assert (large["device"], large["flops"], large["gpus"]) == ("gpu", LARGE.flops, 1.0)
    assert small["device"] == "cpu"
    assert small["reason"].startswith("gpu_not_worth_it")
    assert all(row["emulated"] and row["time_provenance"] != "measured" for row in (large, small))


def test_by_default_too_where_no_queue_is_in_the_way(quiet: None) -> None:
    by_default = placed_remote(spec=lambda task: task)(lambda _: ray.get_gpu_ids())
    assert by_default.explain(LARGE).decision.policy == "balanced"
    assert ray.get(by_default.remote(LARGE)) == [0]
    wait_for_quiet()
    assert ray.get(by_default.remote(SMALL)) == []


def test_a_task_on_the_cpu_sees_no_gpu() -> None:
    device, ids, visible = ray.get(described.options(policy="cpu_only").remote(LARGE))
    assert (device, ids, visible) == ("cpu", [], "")


def test_an_emulated_gpu_runs_on_the_cpu_and_says_so() -> None:
    assert ray.get(described.options(policy="gpu_only").remote(SMALL))[0] == "cpu"


def test_a_pinned_device_is_taken() -> None:
    assert ray.get(described.options(device="gpu").remote(SMALL))[1] == [0]
    assert ray.get(described.options(device="cpu").remote(LARGE))[1] == []


def test_explain_marks_what_was_taken() -> None:
    explanation = described.explain(LARGE)
    assert explanation.decision.device == "gpu"
    assert {c.config for c in explanation.considered} == {"A", "B", "C", "D"}
    assert all(c.reason for c in explanation.considered)
    assert "gpu_worth_it" in str(explanation)


def test_without_a_spec_the_first_runs_are_cold_starts_on_the_cpu(quiet: None, log_uri: str) -> None:
    ref = undescribed.remote(np.ones(10))
    assert ray.get(ref) == 10.0
    (row,) = rows_of(log_uri, [ref])
    assert (row["device"], row["reason"], row["input_bytes"]) == ("cpu", "cold_start", 80.0)


def test_a_decision_can_be_reproduced_from_the_log(log_uri: str) -> None:
    (row,) = rows_of(log_uri, [described.remote(TRACED)])
    node = placement.inventory().spec(row["config"])
    assert node is not None
    spec = TaskSpec(**{name: row[name] for name in SPEC})
    assert spec == TRACED, "whatever a selector looks at"
    assert row["selector_version"] == shipped_selector().version
    estimate = shipped_selector().estimate(spec, node, row["cpus"])
    assert estimate is not None
    best = max(
        e.p_gpu
        for k in placement.inventory().gpu_kinds
        if (e := shipped_selector().estimate(spec, k.spec, row["cpus"]))
    )
    assert row["probability"] == pytest.approx(best)


def test_a_swapped_selector_decides_the_next_task_and_rolls_back() -> None:
    before = described.explain(LARGE).decision
    assert placement.swap(NEVER_GPU.to_dict()) == "never-gpu"
    try:
        after = described.explain(LARGE).decision
        assert (before.device, after.device) == ("gpu", "cpu")
        assert after.selector_version == "never-gpu"
        assert after.snapshot_version > before.snapshot_version
    finally:
        assert placement.rollback() == before.selector_version
    assert described.explain(LARGE).decision.device == "gpu"


def test_a_broken_selector_leaves_the_one_in_service() -> None:
    version = placement.status()["selector"]
    with pytest.raises(SelectorError, match="schema version"):
        placement.swap({"schema_version": 99})
    assert placement.status()["selector"] == version


def test_other_callers_hear_of_a_swap() -> None:
    @placed_remote
    def version_seen(wait_for: str) -> str:
        from placement.submission.snapshot_client import caller

        wait_until(lambda: caller().current().selector.version == wait_for, "the swap is not heard of")
        return wait_for

    shipped = placement.status()["selector"]
    assert ray.get(version_seen.remote(shipped)) == shipped
    ref = version_seen.remote("another")
    placement.swap({**shipped_selector().to_dict(), "version": "another"})
    try:
        assert ray.get(ref) == "another"
    finally:
        placement.rollback()


@pytest.mark.parametrize(
    ("spec", "fault"),
    [
        (lambda x: {"flops": 1}, "must return a TaskSpec"),
        (lambda x: TaskSpec(flops=-1), "at least 0"),
        (lambda x: TaskSpec(flops=float("nan")), "finite"),
        (lambda x: TaskSpec(batch_size="many"), "must be a number"),
        (lambda x: x.shape, "failed on the task's arguments"),
    ],
)
def test_a_spec_that_makes_no_sense_fails_at_the_call(spec: Any, fault: str) -> None:
    @placed_remote(spec=spec)
    def task(x: Any) -> Any:
        return x

    with pytest.raises(SpecError, match=fault):
        task.remote(1)


def test_a_spec_that_fails_on_a_ref_names_the_remedy() -> None:
    @placed_remote(spec=lambda x: TaskSpec(input_bytes=x.nbytes))
    def task(x: Any) -> Any:
        return x

    with pytest.raises(SpecError, match="pass the sizes"):
        task.remote(ray.put(1))


def test_misuse_names_the_valid_values() -> None:
    with pytest.raises(OptionError, match=r"cpu_only.*flops_rule"):
        placed_remote(policy="fastest")
    with pytest.raises(ValueError, match=r"Invalid option keyword num_gpu .*num_gpus.*strict"):
        placed_remote(num_gpu=1)(lambda: None)
    with pytest.raises(ValueError, match="Invalid option keyword"):
        described.options(nonsense=1)
    with pytest.raises(AssertionError, match="must be applied"):  # Ray's own words and type
        placed_remote(3)  # type: ignore[call-overload]
    with pytest.raises(TypeError, match="either a function or a class"):
        placed_remote(devices="any")(3)  # type: ignore[call-overload]


def test_errors_are_the_users_own() -> None:
    @placed_remote(spec=SMALL)
    def fails() -> None:
        raise KeyError("mine")

    with pytest.raises(KeyError, match="mine"):
        ray.get(fails.remote())


def test_generators_stream() -> None:
    @placed_remote(spec=LARGE)
    def counts(n: int) -> Any:
        for i in range(n):  # noqa: UP028 - Ray sends statistics into generators, which a range cannot take
            yield i

    assert [ray.get(ref) for ref in counts.remote(3)] == [0, 1, 2]


def test_the_child_of_a_gpu_task_is_kept_off_the_gpu_that_its_parent_holds() -> None:
    @placed_remote(spec=LARGE, device="gpu")
    def parent() -> str:
        return str(described.explain(LARGE))

    table = ray.get(parent.remote())
    assert "the calling task holds a GPU" in table


def test_a_policy_may_be_the_users_own_object() -> None:
    class LastConfig:
        def choose(self, task: Any, candidates: Any) -> Any:
            from placement.scheduling.candidates import Choice

            last = [c for c in candidates if c.device == "gpu"][-1]
            return Choice("gpu", (last.config,), "last")

    decision = described.options(policy=LastConfig()).explain(SMALL).decision
    assert (decision.device, decision.policy, decision.reason) == ("gpu", "LastConfig", "last")


def test_disabled_it_is_ray_remote(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PLACEMENT_DISABLE", "1")

    def body() -> int:
        return 1

    assert type(placed_remote(body)) is type(ray.remote(body))
