"""What a task finds in its worker, and leaves there, under placed_remote is what it is under ray.remote."""

from __future__ import annotations

import functools
import importlib
import os
import threading
from collections import Counter
from typing import Any

import pytest
import ray
from compared_functions import add
from comparing import CPU_WAYS, Cases, Remote, error_caught, error_of
from conditions import new_path

cases = Cases(__name__)
case = cases.case
pytestmark = pytest.mark.usefixtures("emulated")


@case
def the_runtime_context_is_the_users(remote: Remote) -> Any:
    @remote
    def named() -> Any:
        context = ray.get_runtime_context()
        return context.get_task_name(), context.get_task_function_name(), context.get_actor_id()

    return ray.get([named.remote(), named.options(name="mine").remote(), remote(name="other")(add).remote(1)])


@case(ways=CPU_WAYS)
def assigned_resources(remote: Remote) -> Any:
    @remote(num_cpus=0.5)
    def f() -> Any:
        return ray.get_runtime_context().get_assigned_resources(), ray.get_gpu_ids()

    return ray.get([f.remote(), f.options(num_cpus=1).remote(), f.options(num_cpus=0).remote()])


class NotThere:
    """What no worker can load: it needs a module of the caller's alone."""

    def __reduce__(self) -> Any:
        return importlib.import_module, ("a_module_of_the_caller",)


@case(ways=("plain", "any", "spec"))
def what_a_worker_cannot_import_is_named(remote: Remote) -> Any:
    missing = NotThere()

    @remote
    def f(*args: Any, **kwargs: Any) -> Any:
        return missing, args, kwargs

    found = [error_of(functools.partial(ray.get, ref)) for ref in (f.remote(1), f.remote(x=1), f.remote())]
    return [(error.types, "No module named 'a_module_of_the_caller'" in error.text) for error in found]


@case(ways=("plain", "gpu"))
def a_worker_that_dies_is_retried(remote: Remote) -> Any:
    @remote(max_retries=1)
    def f(path: str) -> int:
        if not os.path.exists(path):
            open(path, "w").close()
            os._exit(1)
        return 7

    @remote(max_retries=0)
    def dies() -> None:
        os._exit(1)

    path = new_path()
    return ray.get(f.remote(path)), type(error_caught(lambda: ray.get(dies.remote()))).__name__


@case(ways=("plain", "spec"))
def max_calls_is_honoured(remote: Remote) -> Any:
    @remote(max_calls=2)
    def pid() -> int:
        return os.getpid()

    # Which worker is leased is Ray's choice; how often one is, is the option's.
    return max(Counter(ray.get(pid.remote()) for _ in range(4)).values())


@case(ways=("plain", "any"))
def runtime_env(remote: Remote) -> Any:
    env = {"env_vars": {"COMPARED": "yes"}}
    f = remote(runtime_env=env)(lambda: os.environ.get("COMPARED"))
    g = remote(lambda: os.environ.get("COMPARED"))
    return ray.get([f.remote(), g.options(runtime_env=env).remote(), g.remote()])


class Untouchable:
    """Whatever is asked of it fails; it can be pickled."""

    shape = property(lambda self: 1 / 0)

    def fails(self, *_: Any) -> Any:
        raise RuntimeError("own code")

    __len__ = __iter__ = __eq__ = __bool__ = __contains__ = fails
    __hash__ = None  # type: ignore[assignment]
    nbytes = property(fails)

    def __reduce__(self) -> Any:
        return str, ("untouchable",)


class OddList(list):  # type: ignore[type-arg]
    __iter__ = __len__ = Untouchable.fails  # type: ignore[assignment]

    def __reduce__(self) -> Any:
        return list, ()


@case
def arguments_that_cannot_be_measured(remote: Remote) -> Any:
    f = remote(lambda x=None, **more: type(x).__name__)
    loop: list[Any] = []
    loop.append(loop)
    odd = [Untouchable(), OddList([1]), loop, [Untouchable()], {"a": Untouchable()}, object, 10**400, range(10**9), ...]
    refused = [error_of(lambda v=v: f.remote(v)).types for v in (iter_of_its_own(), threading.Lock())]
    return ray.get([f.remote(value) for value in odd]), ray.get(f.remote(x=1, more=Untouchable())), refused


def iter_of_its_own() -> Any:
    yield 1


@case
def arguments_are_asked_nothing(remote: Remote) -> Any:
    asked: list[str] = []

    class Watching:
        def __getattr__(self, name: str) -> Any:
            if not name.startswith("__"):
                asked.append(name)
            raise AttributeError(name)

        def __reduce__(self) -> Any:
            asked.append("pickled")
            return int, ()

        __len__ = __bool__ = __iter__ = __hash__ = lambda self: asked.append("looked")  # type: ignore[assignment]

    f = remote(lambda x, y=0: (x, y))
    return ray.get([f.remote(Watching()), f.remote([Watching()], y=Watching())]), asked


@case(ways=CPU_WAYS)
def threads_of_the_numerical_libraries(remote: Remote) -> Any:
    @remote
    def threads() -> Any:
        return os.environ["OMP_NUM_THREADS"]

    users = {"env_vars": {"OMP_NUM_THREADS": "3"}}
    calls = [threads.remote(), threads.options(num_cpus=0.5).remote(), threads.options(runtime_env=users).remote()]
    return ray.get(calls)


@case
def a_launch_hook_hears_of_each_task(remote: Remote) -> Any:
    heard: list[Any] = []
    ray.remote_function._task_launch_hook = lambda what, resources, strategy: heard.append(
        (what.function_name.rpartition(".")[2], strategy)
    )
    try:
        f = remote(add)
        ray.get([f.remote(1), f.options(num_cpus=0.5).remote(2)])
    finally:
        ray.remote_function._task_launch_hook = None
    return heard


@case
def what_a_task_was_sent_is_let_go(remote: Remote) -> Any:
    import gc
    import weakref

    class Large:
        def __reduce__(self) -> Any:
            return int, ()

    f, value = remote(lambda x: x), Large()
    gone = weakref.ref(value)
    ray.get(f.remote(value))
    del value
    gc.collect()
    return gone() is None


@case
def a_function_is_let_go(remote: Remote) -> Any:
    import gc
    import weakref

    def once() -> Any:
        def f(x: int = 1) -> int:
            return x

        made = remote(f)
        ray.get([made.remote(), made.options(name="n").remote(2)])
        return weakref.ref(f)

    gone = once()
    gc.collect()
    return gone() is None


@cases.parametrize()
def test_same_as_ray(way: str, name: str) -> None:
    cases.check(way, name)
