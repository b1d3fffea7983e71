"""The demo's stream: its mix, its checks of results, and that one failing task does not lose the rest."""

from __future__ import annotations

from collections import Counter
from types import SimpleNamespace

import pytest
import ray
from hypothesis import given
from hypothesis import strategies as st

import workloads
from profiling.demo import task_stream
from workloads import Batch, Outcome


def test_the_mix_has_twenty_of_each_workload_and_two_hundred_in_all():
    counts = Counter(workloads.preset(name).workload for name in task_stream.mixed())
    assert set(counts) == set(task_stream.FUNCTIONS)
    assert min(counts.values()) >= 20
    assert counts.total() >= 200


@pytest.mark.parametrize("name", ["bert_infer_b1_l16_w1.0", "timesformer_infer_b1_f1_s112_w1.0"])
def test_the_mix_has_the_full_networks(name):
    assert task_stream.MIX[name] >= 1
    assert workloads.preset(name).spec().parameters > 100e6


def test_the_order_is_mixed_and_the_seed_gives_it():
    assert task_stream.mixed() == task_stream.mixed()
    assert task_stream.mixed() != task_stream.mixed(seed=1)
    assert Counter(task_stream.mixed()) == task_stream.MIX


def test_functions_are_placeable_where_their_presets_have_a_gpu_implementation():
    for name in task_stream.MIX:
        preset = workloads.preset(name)
        assert (preset.workload in task_stream.PLACEABLE) == preset.has_gpu
        assert task_stream.FUNCTIONS[preset.workload].name.endswith(preset.workload)


@pytest.mark.parametrize(
    ("outcome", "fault"),
    [
        (Outcome(1.0, 8), None),
        (Outcome(float("nan"), 8), "not finite"),
        (Outcome(float("inf"), 8), "not finite"),
        (Outcome(1.0, 7), "7 samples, not 8"),
        (None, "NoneType, not an Outcome"),
    ],
)
def test_a_result_is_checked(outcome, fault):
    found = task_stream.fault_of("jpeg_resize_b8_s224", outcome)
    assert found is None if fault is None else fault in found


def test_rows_of_a_table_are_its_samples():
    assert task_stream.fault_of("xgboost_train_r150_t20_d3", Outcome(0.1, 150)) is None


def test_equal_tasks_must_give_equal_results_where_nothing_is_drawn_at_random():
    streamed = task_stream.StreamCounts()
    for value in (100.0, 100.01, 101.0):
        streamed.take("jpeg_resize_b1_s64", Outcome(value, 1))
    for value in (1.0, 2.0):
        streamed.take("bert_infer_b1_l16_w1.0", Outcome(value, 1))
    assert streamed.done == {"jpeg_resize": 2, "bert_imdb": 2}
    assert [(name, "gave 101.0" in what) for name, what in streamed.failures] == [("jpeg_resize_b1_s64", True)]


def made_up_why(**devices):
    """preset -> an Explanation as far as `balanced` looks at it; FLOPs rise in the order given."""
    return {
        name: SimpleNamespace(decision=SimpleNamespace(device=device), task=SimpleNamespace(flops=float(number)))
        for number, (name, device) in enumerate(devices.items())
    }


@given(st.integers(0, 60), st.integers(0, 60), st.integers(0, 30))
def test_a_balanced_mix_gives_each_device_its_share(cpu, gpu, unplaceable):
    why = made_up_why(a="cpu", b="gpu")
    names = ["a"] * cpu + ["b"] * gpu + ["t"] * unplaceable
    filled = task_stream.balanced(names, why, 0.25)
    assert Counter(filled) >= Counter(names)
    assert set(filled) - set(names) <= {"a", "b"}
    if cpu + gpu:
        assert min(task_stream.device_shares(filled, why).values()) >= 0.25
    if min(cpu, gpu) * 3 >= max(cpu, gpu):
        assert Counter(filled) == Counter(names)


def test_a_mix_is_filled_up_with_the_smallest_tasks_in_turn():
    why = made_up_why(small="cpu", middle="cpu", large="cpu", largest="cpu", deep="gpu")
    added = Counter(task_stream.balanced(["deep"] * 27, why, 0.25)) - Counter(["deep"] * 27)
    assert added == {"small": 3, "middle": 3, "large": 3}


def test_where_the_selector_sends_nothing_to_a_device_nothing_is_added():
    assert task_stream.balanced(["a"] * 5, made_up_why(a="cpu"), 0.25) == ["a"] * 5


@pytest.mark.usefixtures("emulated")
def test_a_failing_task_does_not_lose_the_rest(tmp_path):
    good, broken = "parse_table_b1000", "jpeg_resize_b1_s64"
    batches = task_stream.batches_of([good], tmp_path)
    batches[broken] = ray.put(Batch("imagenet100", True, files=(b"no picture",), names=("broken.JPEG",), labels=(0,)))
    seen = []
    streamed = task_stream.send([good, broken, good], batches, seen.append)
    assert streamed.done == {"parse_table": 2}
    assert [name for name, _ in streamed.failures] == [broken]
    assert "broken.JPEG" in streamed.failures[0][1]
    assert sorted(seen) == sorted([good, broken, good])


@pytest.mark.usefixtures("emulated")
def test_a_task_that_cannot_be_sent_is_counted_too(tmp_path):
    streamed = task_stream.send(
        ["parse_table_b1000", "parse_table_b10000"], task_stream.batches_of(["parse_table_b1000"], tmp_path)
    )
    assert streamed.done == {"parse_table": 1}
    assert "was not sent: KeyError" in streamed.failures[0][1]


@pytest.mark.usefixtures("emulated")
def test_only_placeable_presets_are_explained_and_their_shares_add_up():
    names = ["xgboost_train_r150_t20_d3", "parse_table_b1000", "xgboost_train_r150_t20_d3"]
    why = task_stream.explained(names, dict.fromkeys(names))
    assert list(why) == ["xgboost_train_r150_t20_d3"]
    assert sum(task_stream.device_shares(names, why).values()) == pytest.approx(1.0)
