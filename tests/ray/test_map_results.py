"""map: every result once, in order or as it comes, a bounded number in flight, and a clean stop."""

from __future__ import annotations

import contextlib
import gc
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import ray
from conditions import wait_for_file
from ray import cloudpickle

from placement import TaskSpec, placed_remote
from placement.errors import OptionError

pytestmark = pytest.mark.usefixtures("emulated")
cloudpickle.register_pickle_by_value(sys.modules[__name__])

SMALL = TaskSpec(flops=1e6, input_bytes=1e3, batch_size=1, parameters=1_000)


def square(x: int) -> int:
    if x == 13:
        raise ValueError("unlucky")
    return x * x


@pytest.fixture(params=["plain", "any", "spec"])
def placed(request: pytest.FixtureRequest) -> Any:
    ours = {"plain": {}, "any": {"devices": "any"}, "spec": {"spec": lambda x: SMALL}}[request.param]
    return placed_remote(**ours)(square) if ours else placed_remote(square)


def test_all_results_in_order(placed: Any) -> None:
    assert list(placed.map(x for x in range(10))) == [x * x for x in range(10)]
    assert list(placed.options(num_cpus=0.5).map(range(5), in_flight=1)) == [x * x for x in range(5)]
    assert list(placed.map([])) == []


def test_all_results_as_they_come(placed: Any) -> None:
    assert sorted(placed.map(range(12), ordered=False, in_flight=3)) == [x * x for x in range(12)]


def test_as_they_come_the_quick_do_not_wait_for_the_slow(tmp_path: Any) -> None:
    go = tmp_path / "go"

    @placed_remote(num_cpus=0.1)
    def wait(slow: bool) -> bool:
        if slow:
            wait_for_file(go)
        return slow

    results = wait.map([True, False], ordered=False)
    assert next(results) is False
    go.touch()
    assert next(results) is True


@pytest.mark.parametrize("ordered", [True, False])
def test_an_error_surfaces_at_its_own_result_and_loses_no_other(placed: Any, ordered: bool) -> None:
    results, seen, errors = placed.map(range(10, 17), ordered=ordered, in_flight=3), [], 0
    while True:
        try:
            seen.append(next(results))
        except StopIteration:
            break
        except ValueError:
            errors += 1
    assert sorted(seen) == [x * x for x in range(10, 17) if x != 13]
    assert errors == 1


def test_errors_may_be_results() -> None:
    results = list(placed_remote(square).map([1, 13, 2], return_exceptions=True))
    assert (results[0], results[2]) == (1, 4)
    assert isinstance(results[1], ValueError)


def test_items_are_read_as_tasks_are_sent(placed: Any) -> None:
    read = []

    def items() -> Iterator[int]:
        for x in range(1_000_000):
            read.append(x)
            yield x % 10

    results = placed.map(items(), in_flight=4)
    assert [next(results) for _ in range(5)] == [0, 1, 4, 9, 16]
    assert len(read) <= 9
    results.close()
    assert list(results) == []


@pytest.mark.parametrize("stop", ["close", "with", "dropped"])
def test_what_is_in_flight_is_cancelled_when_the_caller_stops(stop: str, tmp_path: Path) -> None:
    go, marks = tmp_path / "go", tmp_path / "marks"
    marks.mkdir()

    @placed_remote(num_cpus=0.5, max_retries=0)
    def mark(x: int) -> int:
        if x:
            wait_for_file(go, 300)
        (marks / str(x)).touch()
        return x

    results = mark.map(range(100), in_flight=40)
    assert next(results) == 0
    in_flight = list(results._pending)
    assert in_flight
    if stop == "with":
        with results:
            pass
    elif stop == "close":
        results.close()
    else:
        del results
        gc.collect()
    # After a moment's grace; and Ray tries again after 2 s to cancel what had not begun in its worker.
    ray.wait(in_flight, num_returns=len(in_flight), timeout=600, fetch_local=False)
    for ref in in_flight:
        with pytest.raises(ray.exceptions.TaskCancelledError):
            ray.get(ref, timeout=0)
    go.touch()
    assert [path.name for path in marks.iterdir()] == ["0"]


def test_an_error_of_the_items_comes_after_the_results_before_it() -> None:
    def items() -> Iterator[int]:
        yield 1
        yield 2
        raise KeyError("no more")

    results = placed_remote(square).map(items())
    assert [next(results), next(results)] == [1, 4]
    with pytest.raises(KeyError, match="no more"):
        next(results)
    assert list(results) == []


def test_several_results_and_none() -> None:
    assert list(placed_remote(num_returns=2)(lambda x: (x, -x)).map([1, 2])) == [[1, -1], [2, -2]]
    assert list(placed_remote(num_returns=0)(lambda x: None).map([1, 2])) == [None, None]


def test_misuse_is_named() -> None:
    with pytest.raises(OptionError, match="in_flight=0"):
        placed_remote(square).map([1], in_flight=0)
    with pytest.raises(OptionError, match="streams"):
        next(placed_remote(iter_of).map([1]))
    with pytest.raises(TypeError, match="not iterable"):
        placed_remote(square).map(3)  # type: ignore[arg-type]


def iter_of(x: int) -> Iterator[int]:
    yield x


@pytest.mark.soak  # a time says something on an idle machine alone
def test_it_is_no_slower_than_a_loop() -> None:
    """By this process's own CPU time, which other work on the machine adds little to."""
    f = placed_remote(lambda x: x)

    def loop() -> float:
        start = time.process_time()
        ray.get([f.remote(x) for x in range(400)])
        return time.process_time() - start

    def mapped() -> float:
        start = time.process_time()
        with contextlib.closing(f.map(range(400))) as results:
            assert len(list(results)) == 400
        return time.process_time() - start

    ratios: list[float] = []
    while not ratios or min(ratios) >= 1.25:
        assert len(ratios) < 20, ratios
        ratios.append(mapped() / loop())
