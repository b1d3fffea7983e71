"""Generator tasks and generator methods under placed_remote are what they are under ray.remote."""

from __future__ import annotations

import asyncio
import os
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import ray
from comparing import Cases, Remote, error_of
from conditions import new_path, wait_for_file

cases = Cases(__name__)
case = cases.case
pytestmark = pytest.mark.usefixtures("emulated")


def counts(n: int, fail_at: int = -1) -> Any:
    """Counts."""
    for i in range(n):
        if i == fail_at:
            raise ValueError(f"at {i}")
        yield i


def drained(generator: Any) -> Any:
    """The values, and the error in the place of the one that failed."""
    return [error_of(lambda ref=ref: ray.get(ref)) for ref in generator]


@case
def streaming_by_default(remote: Remote) -> Any:
    made = remote(counts).remote(3)
    return type(made).__name__, drained(made)


@case
def streaming_when_said(remote: Remote) -> Any:
    f = remote(num_returns="streaming")(counts)
    return drained(f.remote(3)), drained(remote(counts).options(num_returns="streaming").remote(2))


@case
def nothing_yielded(remote: Remote) -> Any:
    return drained(remote(counts).remote(0))


@case
def an_error_comes_in_its_place(remote: Remote) -> Any:
    return drained(remote(counts).remote(4, 2)), drained(remote(counts).remote(2, 0))


@case
def a_fixed_number_of_results(remote: Remote) -> Any:
    f = remote(num_returns=3)(counts)
    return ray.get(f.remote(3)), drained(f.remote(2)), ray.get(f.options(num_returns=1).remote(1))


@case
def dynamic(remote: Remote) -> Any:
    f = remote(num_returns="dynamic")(counts)
    made = ray.get(f.remote(3))
    return type(made).__name__, ray.get(list(made)), len(made)


@case
def next_and_completed(remote: Remote) -> Any:
    made = remote(counts).remote(3)
    first = ray.get(next(made))
    return first, ray.get(made.completed()), [ray.get(ref) for ref in made], error_of(lambda: next(made))


@case
def anext(remote: Remote) -> Any:

    async def main() -> Any:
        return [await ref async for ref in remote(counts).remote(3)]

    return asyncio.run(main())


@case
def backpressure(remote: Remote) -> Any:
    return drained(remote(_generator_backpressure_num_objects=1)(counts).remote(4))


@case
def grouped_yields(remote: Remote) -> Any:
    @remote(_num_objects_per_yield=2)
    def pairs() -> Any:
        for i in range(2):
            yield i, -i

    return error_of(lambda: drained(pairs.remote()))


@case
def a_return_value_is_dropped(remote: Remote) -> Any:
    @remote
    def f() -> Any:
        yield 1
        return 2

    return drained(f.remote())


@case
def yield_from(remote: Remote) -> Any:
    @remote
    def f() -> Any:
        yield from counts(2)
        yield from counts(1)

    return drained(f.remote())


@case
def large_items(remote: Remote) -> Any:
    @remote
    def f() -> Any:
        for i in range(3):
            yield np.full(200_000, i)

    return [int(ray.get(ref).sum()) for ref in f.remote()]


@case
def an_async_generator(remote: Remote) -> Any:
    @remote
    async def f(n: int) -> Any:
        for i in range(n):
            yield i

    return f._is_generator, drained(f.remote(3))


@case
def a_function_that_returns_a_generator(remote: Remote) -> Any:
    f = remote(lambda: counts(2))
    several = remote(num_returns=2)(lambda: counts(2))
    return type(error_of(lambda: ray.get(f.remote()))).__name__, ray.get(several.remote())


@case
def streaming_of_no_generator_is_refused(remote: Remote) -> Any:
    f = remote(lambda: 1)
    return error_of(lambda: remote(num_returns="streaming")(len)), error_of(lambda: f.options(num_returns="streaming"))


@case
def a_generator_is_an_argument(remote: Remote) -> Any:
    @remote
    def total(generator: Any) -> int:
        return sum(ray.get(ref) for ref in generator)

    return error_of(lambda: ray.get(total.remote(remote(counts).remote(4))))


@case
def close_and_cancel(remote: Remote) -> Any:
    @remote
    def endless() -> Any:
        i = 0
        while True:
            time.sleep(0.02)
            yield i
            i += 1

    made = endless.remote()
    first = ray.get(next(made))
    ray.cancel(made)
    last = None
    for ref in made:
        try:
            ray.get(ref)
        except Exception as error:
            last = type(error).__name__
            break
    # The stream ends, with the cancellation's error or without: under plain Ray too it is one or the other.
    return first, last in (None, "TaskCancelledError", "RayTaskError(TaskCancelledError)")


@case
def retried_from_the_start(remote: Remote) -> Any:
    path = new_path()

    @remote(max_retries=2, retry_exceptions=True)
    def f() -> Any:
        yield 0
        if not os.path.exists(path):
            open(path, "w").close()
            raise ValueError("once")
        yield 1

    return drained(f.remote())


@case
def tracebacks(remote: Remote) -> Any:
    refs = list(remote(counts).remote(2, 1))
    with pytest.raises(ValueError, match="at 1") as caught:
        ray.get(refs[-1])
    return str(caught.value)


@case
def names(remote: Remote) -> Any:
    f = remote(counts)
    return f.remote.__doc__, f._is_generator, f.remote.__name__


@case
def wait_on_a_generator(remote: Remote) -> Any:
    made = remote(counts).remote(2)
    ready, rest = ray.wait([made], timeout=300)
    return len(ready), len(rest), drained(made)


@case(ways=("plain", "any"))
def a_worker_that_dies_between_items(remote: Remote) -> Any:
    arrived = Path(new_path())

    @remote(max_retries=0)
    def f() -> Any:
        yield 1
        wait_for_file(arrived)  # an item is reported while the task goes on: at once, it may go with the worker
        os._exit(1)

    made = f.remote()
    first = ray.get(next(made))
    arrived.touch()
    return first, error_of(lambda: ray.get(next(made))).types


@case
def async_for_with_an_error(remote: Remote) -> Any:
    async def main() -> Any:
        seen = []
        async for ref in remote(counts).remote(3, 1):
            try:
                seen.append(await ref)
            except ValueError as error:
                seen.append(type(error).__name__)
        return seen

    return asyncio.run(main())


@case
def items_as_arguments_of_other_tasks(remote: Remote) -> Any:
    total = remote(lambda *items: sum(items))
    return ray.get(total.remote(*remote(counts).remote(4)))


@cases.parametrize()
def test_same_as_ray(way: str, name: str) -> None:
    cases.check(way, name)
