"""A function means one thing: its first submission's pickle runs on every device, and history knows it by its code."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any

import pytest
import ray
from ray import cloudpickle

from placement import TaskSpec, placed_remote
from placement.messages.envelope import unpack

pytestmark = pytest.mark.usefixtures("emulated")
cloudpickle.register_pickle_by_value(sys.modules[__name__])

SPEC = TaskSpec(flops=1e6, input_bytes=1e3, batch_size=1, parameters=1_000)
rate = 1


def reader(box: list[str]) -> Callable[[], Any]:
    def reads() -> Any:
        return rate, list(box), len(ray.get_gpu_ids())

    return reads


def streamer(box: list[str]) -> Callable[[], Any]:
    def streams() -> Any:
        yield rate, list(box), len(ray.get_gpu_ids())

    return streams


def results(refs: Any) -> Any:
    return ray.get(next(iter(refs)) if isinstance(refs, ray.ObjectRefGenerator) else refs, timeout=600)


@pytest.fixture
def changing() -> Any:
    global rate
    rate = 1
    yield
    rate = 1


@pytest.mark.parametrize("make", [reader, streamer])
@pytest.mark.parametrize("options", [{"devices": "any"}, {"spec": SPEC}])
def test_a_change_after_the_first_task_changes_no_device(make: Any, options: Any, changing: None) -> None:
    global rate
    box = ["first"]
    f = placed_remote(**options)(make(box))
    f.explain()  # submits nothing
    rate = 2
    assert results(f.options(device="cpu").remote()) == (2, ["first"], 0)
    rate = 3
    box.append("later")
    assert results(f.options(device="gpu").remote()) == (2, ["first"], 1)
    assert results(f.options(device="cpu").remote()) == (2, ["first"], 0)
    assert results(f.options(policy="gpu_only").remote()) == (2, ["first"], 1)


def test_a_handle_that_travels_stays_the_function_that_was_sent(changing: None) -> None:
    global rate
    f = placed_remote(spec=SPEC)(reader(["first"]))
    assert results(f.options(device="cpu").remote())[:2] == (1, ["first"])
    rate = 2

    @ray.remote(num_cpus=0)
    def elsewhere(g: Any) -> Any:
        return ray.get(g.options(device="gpu").remote(), timeout=600)

    assert ray.get(elsewhere.remote(f), timeout=600) == (1, ["first"], 1)


def worker(seconds: float) -> Callable[[], float]:
    def work() -> float:
        return seconds

    return work


def key(f: Any) -> str:
    found: str = f.handle.history_key()
    return found


def test_functions_of_one_name_share_no_history() -> None:
    one, other, again = (placed_remote(spec=SPEC)(worker(seconds)) for seconds in (0.1, 0.2, 0.1))
    assert one.name == other.name
    assert key(one) != key(other)
    assert key(one) == key(again)
    first, second = (placed_remote(spec=SPEC)(f) for f in (lambda: 1, lambda: 2))
    assert key(first) != key(second)
    assert one.options(name="a").history_key() != one.options(name="b").history_key() != key(one)


def test_the_key_travels_with_the_task() -> None:
    f = placed_remote(spec=SPEC)(worker(0.7))
    ray.get(f.remote(), timeout=600)
    packed = f.handle._plan((), {}).packed
    assert unpack(packed).key == key(f)
