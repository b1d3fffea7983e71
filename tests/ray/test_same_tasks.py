"""Tasks under placed_remote are what they are under ray.remote."""

from __future__ import annotations

import functools
import importlib
import inspect
import os
import pickle
import tempfile
import threading
import time
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import ray
from comparing import CPU_WAYS, Cases, Remote, error_of
from conditions import wait_for_file
from ray import cloudpickle
from ray.remote_function import RemoteFunction

cases = Cases(__name__)
case = cases.case
pytestmark = pytest.mark.usefixtures("emulated")

GLOBAL = {"factor": 3}


def add(x: int, y: int = 10, *rest: int, scale: int = 1, **more: int) -> int:
    """Adds up."""
    return (x + y + sum(rest) + sum(more.values())) * scale


def keyword_only(*, a: int, b: int = 2) -> tuple[int, int]:
    return a, b


def fails(kind: str) -> None:
    if kind == "zero":
        print(1 / 0)
    raise {"value": ValueError, "key": KeyError, "stop": StopIteration}[kind]("mine", 3)


@case
def arguments(remote: Remote) -> Any:
    f = remote(add)
    calls = [f.remote(1), f.remote(1, 2), f.remote(1, y=2), f.remote(1, 2, 3, 4, scale=2), f.remote(1, z=5, scale=3)]
    return ray.get([*calls, f.remote(x=1, y=2), f.remote(*[1, 2], scale=4)])


@case
def keyword_only_arguments(remote: Remote) -> Any:
    f = remote(keyword_only)
    return ray.get([f.remote(a=1), f.remote(b=5, a=1)]), error_of(lambda: f.remote(1)), error_of(f.remote)


@case
def defaults_that_are_none_or_empty(remote: Remote) -> Any:
    @remote
    def f(a: Any = None, b: Any = (), c: Any = "", *d: Any, **e: Any) -> Any:
        return a, b, c, d, e

    return ray.get([f.remote(), f.remote(None), f.remote(b=[]), f.remote(0, 0, 0, 0, self=1, args=2, kwargs=3)])


@case
def parameter_names_of_the_wrapper(remote: Remote) -> Any:
    @remote
    def f(packed: Any, function: Any, name: Any = 1, args: Any = 2, kwargs: Any = 3, task: Any = 4) -> Any:
        return packed, function, name, args, kwargs, task

    return ray.get([f.remote(1, 2), f.remote(packed=b"x", function=len, kwargs={}), f.remote(1, 2, task="t")])


@case
def arguments_that_look_like_what_travels_with_them(remote: Remote) -> Any:
    @remote
    def f(*args: Any, **kwargs: Any) -> Any:
        return args, kwargs

    odd = {"": 1, "a b": 2, "\x00placed=": 3, "__RAY_DUMMY__": 4, "_placement_envelope": 5, "größe": 6}
    like_names = [b"\x00placed:x", b"\x00placed=", b"\x00placed.", b"__RAY_DUMMY__", b"", "__RAY_DUMMY__"]
    ref = ray.put(like_names[1])
    calls = [f.remote(value) for value in like_names] + [f.remote(**{name: 1}) for name in odd]
    return ray.get([*calls, f.remote(ref), f.remote(x=ref, y=ref), f.remote(ref, **odd), f.remote(**odd), f.remote()])


@case
def wrong_signatures_fail_at_the_call(remote: Remote) -> Any:
    f = remote(keyword_only)
    g = remote(add)
    h = remote(lambda x, /: x)
    return [
        error_of(action)
        for action in (
            f.remote, lambda: f.remote(1), lambda: f.remote(a=1, c=2), lambda: g.remote(y=1), lambda: h.remote(x=1),
            lambda: h.remote(), lambda: h.remote(1, 2), lambda: g.remote(1, x=1), lambda: h.options(name="n").remote(),
        )
    ]  # fmt: skip


@case
def a_direct_call_is_refused(remote: Remote) -> Any:
    return error_of(lambda: remote(add)(1)), error_of(lambda: remote(num_cpus=1)(add)())


@case
def async_functions_are_refused(remote: Remote) -> Any:
    async def f() -> int:
        return 1

    return error_of(lambda: remote(f)), error_of(lambda: remote(num_cpus=1)(f))


@case(ways=("plain",))
def misuse(remote: Remote) -> Any:
    return [
        error_of(action)
        for action in (
            lambda: remote(), lambda: remote(3), lambda: remote(add, 3), lambda: remote(add, num_cpus=1),
            lambda: remote("f"), lambda: remote(num_cpus=1)(3), lambda: remote(functools.partial(add, 1)),
            lambda: remote(num_cpus=1)(functools.partial(add, 1)), lambda: remote(len), lambda: remote(None),
            lambda: remote(add.__get__(3)), lambda: isinstance(remote(num_cpus=1)(print), RemoteFunction),
        )
    ]  # fmt: skip


@case
def names_docs_and_signatures(remote: Remote) -> Any:
    f = remote(add)
    return (
        f._function is add, f._function_name, f.remote.__name__, f.remote.__doc__, f.remote.__module__,
        str(inspect.signature(f.remote)), f.remote.__qualname__, isinstance(f, RemoteFunction), f._is_generator,
        f._is_cross_language, hasattr(f, "__name__"), f.__doc__ is not None, callable(f), f.remote.__wrapped__ is add,
    )  # fmt: skip


@case
def private_attributes(remote: Remote) -> Any:
    f = remote(num_cpus=0.5, num_returns=2, max_retries=7, max_calls=3, retry_exceptions=[ValueError], name="n")(add)
    names = (
        "_num_cpus", "_num_gpus", "_num_returns", "_max_retries", "_max_calls", "_retry_exceptions", "_name", "_memory",
        "_resources", "_runtime_env", "_scheduling_strategy", "_label_selector", "_placement_group", "_decorator",
        "_default_options", "_function_signature", "_last_export_cluster_and_job", "_function_descriptor",
        "_accelerator_type", "_fallback_strategy", "_enable_task_events", "_serialized_base_runtime_env_info",
    )  # fmt: skip
    return {name: getattr(f, name) for name in names} | {"uuid": type(f._uuid).__name__}


@case
def exported_attributes(remote: Remote) -> Any:
    f = remote(add)
    ray.get([f.remote(1), f.options(num_cpus=0.5).remote(1)])
    g = remote(num_gpus=0)(add)
    worker = ray._private.worker.global_worker
    descriptor = f._function_descriptor
    key = b"RemoteFunction:" + worker.current_job_id.hex().encode() + b":" + descriptor.function_id.binary()
    return (
        type(f._inject_lock).__name__, g._default_options, f._function is add, f._default_options,
        descriptor.module_name, descriptor.function_name, descriptor.class_name, type(f._pickled_function).__name__,
        f._last_export_cluster_and_job == worker.current_cluster_and_job, [str(p) for p in f._function_signature],
        worker.gcs_client.internal_kv_exists(key, b"fun"),
    )  # fmt: skip


@case
def default_options_are_not_shared(remote: Remote) -> Any:
    decorate = remote(num_cpus=0.5, max_retries=1)
    f, g = decorate(add), decorate(keyword_only)
    f._default_options["max_retries"] = 9
    return g._default_options.get("num_cpus"), ray.get([f.remote(1), g.remote(a=1)])


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
def handles_in_closures_and_arguments(remote: Remote) -> Any:
    f = remote(num_cpus=0.1)(add)
    g = f.options(num_cpus=0.2)

    @remote(num_cpus=0.1)
    def through_closure() -> Any:
        return ray.get([f.remote(1), g.remote(2)])

    @remote(num_cpus=0.1)
    def through_argument(h: Any, others: Any) -> Any:
        return ray.get([h.remote(1), h.options(num_returns=1).remote(2), others[0].remote(3)])

    return ray.get(through_closure.remote()), ray.get(through_argument.remote(f, [f]))


@case
def handles_as_results(remote: Remote) -> Any:
    @remote
    def make() -> Any:
        return remote(add)

    return ray.get(ray.get(make.remote()).remote(1, 2))


@case
def handles_pickle(remote: Remote) -> Any:
    f = remote(max_retries=2)(add)
    before = cloudpickle.loads(cloudpickle.dumps(f))
    ray.get(f.remote(1))
    after = cloudpickle.loads(cloudpickle.dumps(f))
    put = ray.get(ray.put(f))
    return ray.get([g.remote(1, 2) for g in (before, after, put)]), after._default_options, after._function_name


@case
def handles_pickle_with_pickle(remote: Remote) -> Any:
    return error_of(
        lambda: ray.get(pickle.loads(pickle.dumps(remote(add))).remote(1))
    ).types  # Ray refuses: cloudpickle


@case
def globals_and_lambdas(remote: Remote) -> Any:
    @remote
    def f(x: int) -> int:
        return x * GLOBAL["factor"]

    return ray.get([f.remote(2), remote(lambda: 5).remote(), remote(lambda x, **k: k).remote(1, a=2)])


@case
def a_closure_is_taken_at_the_first_call(remote: Remote) -> Any:
    box = [1]

    @remote
    def f() -> list[int]:
        return box

    box.append(2)
    first = ray.get(f.remote())
    box.append(3)
    return first, ray.get(f.remote())


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


@case
def an_invocation_decorator_sees_the_users_arguments(remote: Remote) -> Any:
    def decorator(invocation: Any) -> Any:
        def new(args: Any, kwargs: Any) -> Any:
            return list(args), kwargs, invocation(args, kwargs)

        return new

    def f(x: int, y: int = 2) -> int:
        return x + y

    f.__ray_invocation_decorator__ = decorator
    args, kwargs, ref = remote(f).remote(1, y=5)
    return args, kwargs, ray.get(ref)


@case
def attributes_of_the_function_travel(remote: Remote) -> Any:
    def f() -> int:
        return 1

    f.tag = "x"
    return remote(f)._function.tag, remote(f).remote.tag


@case
def the_underscore_way_in(remote: Remote) -> Any:
    f = remote(add)
    return ray.get(f._remote(args=[1], kwargs={"y": 2})), ray.get(
        remote(lambda: [1, 2])._remote(num_returns=2, num_cpus=0.5)
    )


@case
def bind_in_a_dag(remote: Remote) -> Any:
    f = remote(add)
    once = f.bind(1, f.bind(1, 1))
    from ray.dag import InputNode
    from ray.dag.function_node import FunctionNode

    with InputNode() as given:
        twice = f.bind(given[0], y=f.options(num_cpus=0.5).bind(given.y, 1))
    nested = remote(lambda d: d["a"][0]).bind({"a": [f.bind(1)]})
    return (
        ray.get([once.execute(), once.execute()]),
        ray.get([twice.execute(1, y=2), twice.execute(5, y=6)]),
        type(ray.get(nested.execute())).__name__,
        isinstance(once, FunctionNode),
        str(once).partition(")(")[2].replace("PlacedNode", "FunctionNode"),
    )


@case
def dag_options(remote: Remote) -> Any:
    f = remote(num_returns=2)(lambda: (1, 2))
    return ray.get(f.bind().execute()), ray.get(f.options(num_returns=1).bind().execute())


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

    path = os.path.join(tempfile.mkdtemp(), "was-here")
    return ray.get(f.remote(path)), type(error_caught(lambda: ray.get(dies.remote()))).__name__


def error_caught(action: Any) -> BaseException | None:
    try:
        action()
    except Exception as error:
        return error
    return None


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
def one_function_decorated_twice(remote: Remote) -> Any:
    def cpus() -> Any:
        return ray.get_runtime_context().get_assigned_resources().get("CPU")

    f, g = remote(num_cpus=0.5)(cpus), remote(num_cpus=0.25)(cpus)
    return ray.get([f.remote(), g.remote(), f.options(num_cpus=0.75).remote()])


@case
def a_name_defined_again_is_another_function(remote: Remote) -> Any:
    results = []
    for i in range(2):

        @remote
        def f() -> int:
            return i  # noqa: B023

        results.append(ray.get(f.remote()))
    return results


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
