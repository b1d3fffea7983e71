"""Results and errors of tasks under placed_remote are what they are under ray.remote."""

from __future__ import annotations

import os
import tempfile
import threading
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import ray
from compared_functions import add
from comparing import Cases, Remote, error_caught, error_of
from conditions import wait_for_file

cases = Cases(__name__)
case = cases.case
pytestmark = pytest.mark.usefixtures("emulated")


def fails(kind: str) -> None:
    if kind == "zero":
        print(1 / 0)
    raise {"value": ValueError, "key": KeyError, "stop": StopIteration}[kind]("mine", 3)


@case
def errors_are_the_users_own(remote: Remote) -> Any:
    f = remote(fails)
    return [error_of(lambda kind=kind: ray.get(f.remote(kind))) for kind in ("zero", "value", "key", "stop")]


@case
def tracebacks_end_in_the_users_code(remote: Remote) -> Any:
    def inner(x: int) -> float:
        return x / (x - x)

    @remote
    def outer(x: int) -> float:
        try:
            return inner(x)
        except ZeroDivisionError as error:
            raise RuntimeError("outer") from error

    try:
        ray.get(outer.remote(1))
    except RuntimeError as error:
        return str(error).split("\n"), raised_line(error), type(error).__name__, type(error.cause).__name__
    return None


def raised_line(error: Any) -> str:
    return str(error).strip().splitlines()[-1]


@case
def errors_with_arguments_that_do_not_pickle(remote: Remote) -> Any:
    class Odd(Exception):
        def __init__(self, a: int, b: int) -> None:
            super().__init__(f"odd {a}")
            self.a, self.b = a, b

    @remote
    def f() -> None:
        raise Odd(1, 2)

    return error_of(lambda: ray.get(f.remote()))


@case
def an_error_in_a_dependency_is_passed_on(remote: Remote) -> Any:
    f, g = remote(fails), remote(lambda x: x)
    return error_of(lambda: ray.get(g.remote(f.remote("value"))))


@case
def system_exit(remote: Remote) -> Any:
    @remote(max_retries=0)
    def f(code: int) -> None:
        raise SystemExit(code)

    try:
        ray.get(f.remote(0))
    except Exception as error:
        return type(error).__name__
    return None


@case
def results_of_all_kinds(remote: Remote) -> Any:
    f = remote(lambda x: x)
    values = [None, 0, "", b"bytes", [1, [2]], {"a": (1,)}, {1, 2}, 1 + 2j, add, int, ..., True]
    back = ray.get([f.remote(value) for value in values])
    array = ray.get(f.remote(np.arange(300_000)))
    return back[:8], back[8](1), back[9:], array.sum().item(), array.flags.writeable


@case
def several_results(remote: Remote) -> Any:
    @remote(num_returns=3)
    def f(n: int = 3) -> Any:
        return list(range(n))

    one, two = f.options(num_returns=1).remote(), f.options(num_returns=2).remote(2)
    none = remote(num_returns=0)(lambda: None).remote()
    few = f.remote(2)
    return ray.get(f.remote()), ray.get(one), ray.get(two), none, [error_of(lambda r=r: ray.get(r)) for r in few]


@case
def num_returns_of_all_kinds(remote: Remote) -> Any:
    return [
        error_of(lambda n=n: remote(num_returns=n)(add).__class__.__mro__[-2].__name__)
        for n in (None, 0, -1, "dynamic", "streaming", "many", 1.5)
    ]


@case
def nested_tasks(remote: Remote) -> Any:
    f = remote(num_cpus=0.1)(add)

    @remote
    def parent(n: int) -> int:
        return sum(ray.get([f.remote(i) for i in range(n)]))

    return ray.get(parent.remote(3))


@case(ways=("plain", "any"))
def recursive_tasks(remote: Remote) -> Any:
    @remote(num_cpus=0.1)
    def factorial(n: int) -> int:
        return 1 if n < 2 else n * ray.get(factorial.remote(n - 1))

    return ray.get(factorial.remote(3))


@case
def refs_as_arguments(remote: Remote) -> Any:
    f = remote(lambda x, y=0, **more: (x, y, more))
    ref = ray.put(5)
    return ray.get([f.remote(ref), f.remote(ref, ref), f.remote(1, y=ref, z=ref), f.remote(f.remote(ref))])


@case
def refs_nested_in_arguments_stay_refs(remote: Remote) -> Any:
    @remote
    def f(refs: Any) -> Any:
        return type(refs["a"][0]).__name__, ray.get(refs["a"])

    return ray.get(f.remote({"a": [ray.put(1), ray.put(2)]}))


@case
def refs_as_results(remote: Remote) -> Any:
    @remote
    def f() -> Any:
        return [ray.put(1), remote(add).remote(1)]

    return ray.get(ray.get(f.remote()))


@case
def wait_and_chains(remote: Remote) -> Any:
    f = remote(add)
    ref = f.remote(0, 1)
    for _ in range(5):
        ref = f.remote(ref, 1)
    ready, rest = ray.wait([ref, f.remote(1)], num_returns=2)
    return len(ready), len(rest), ray.get(ref)


@case
def cancelling(remote: Remote) -> Any:
    with tempfile.TemporaryDirectory() as folder:
        began = Path(folder) / "began"  # cancelled before that it ends otherwise, with Ray too

        @remote(max_retries=0)
        def sleeps() -> None:
            began.touch()
            for _ in range(6000):
                time.sleep(0.05)

        ref = sleeps.remote()
        wait_for_file(began)
        ray.cancel(ref)
        with pytest.raises((ray.exceptions.TaskCancelledError, ray.exceptions.RayTaskError)) as caught:
            ray.get(ref, timeout=300)
        return caught.type.__name__


@case(ways=("plain", "any"))
def retries_of_exceptions(remote: Remote) -> Any:
    @remote(num_cpus=0)
    class Counter:
        def __init__(self) -> None:
            self.n = 0

        def next(self) -> int:
            self.n += 1
            return self.n

    counter = ray.remote(num_cpus=0)(Counter.__ray_metadata__.modified_class.__ray_actor_class__).remote()

    @remote(max_retries=3, retry_exceptions=True)
    def f(least: int) -> int:
        n = ray.get(counter.next.remote())
        if n < least:
            raise ValueError(n)
        return n

    @remote(max_retries=3, retry_exceptions=[KeyError])
    def g() -> None:
        ray.get(counter.next.remote())
        raise ValueError("not retried")

    first = ray.get(f.remote(3))
    error_of(lambda: ray.get(g.remote()))
    return first, ray.get(counter.next.remote())


@case
def objects_that_do_not_pickle(remote: Remote) -> Any:
    lock = threading.Lock()
    f, g = remote(lambda: lock), remote(lambda x: x)
    return (
        type(error_caught(f.remote)).__name__,
        type(error_caught(lambda: g.remote(lock))).__name__,
    )


@case
def futures_and_await(remote: Remote) -> Any:
    import asyncio

    f = remote(add)

    async def main() -> Any:
        return await f.remote(1), await asyncio.gather(f.remote(2), f.remote(3))

    return f.remote(1).future().result(), asyncio.run(main())


@case(ways=("plain", "any"))
def calls_from_many_threads(remote: Remote) -> Any:
    from concurrent.futures import ThreadPoolExecutor

    f = remote(num_cpus=0.1)(add)

    @remote(num_cpus=0.1)
    def from_a_thread_of_a_task() -> Any:
        with ThreadPoolExecutor(2) as pool:
            return list(pool.map(lambda i: ray.get(f.remote(i)), range(3)))

    with ThreadPoolExecutor(4) as pool:
        return list(pool.map(lambda i: ray.get(f.remote(i)), range(8))), ray.get(from_a_thread_of_a_task.remote())


@case
def errors_of_more_kinds(remote: Remote) -> Any:
    class Final(Exception):
        def __init_subclass__(cls) -> None:
            raise TypeError("no subclasses")

    class Holding(Exception):
        def __init__(self) -> None:
            super().__init__("holds a file")
            self.file = open(os.devnull)  # noqa: SIM115

    @remote
    def f(kind: int) -> Any:
        if kind == 5:
            return ValueError("returned")
        raise (
            ExceptionGroup("several", [ValueError(1), KeyError(2)]), Final("final"), Holding(),
            ray.exceptions.RayError("Ray's own"), RecursionError("deep"),
        )[kind]  # fmt: skip

    return [error_of(lambda kind=kind: ray.get(f.remote(kind))) for kind in range(5)], repr(ray.get(f.remote(5)))


@cases.parametrize()
def test_same_as_ray(way: str, name: str) -> None:
    cases.check(way, name)
