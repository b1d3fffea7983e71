"""Tasks under placed_remote are what they are under ray.remote."""

from __future__ import annotations

import functools
import inspect
import pickle
from typing import Any

import pytest
import ray
from compared_functions import add
from comparing import Cases, Remote, error_of
from ray import cloudpickle
from ray.remote_function import RemoteFunction

cases = Cases(__name__)
case = cases.case
pytestmark = pytest.mark.usefixtures("emulated")


GLOBAL = {"factor": 3}


def keyword_only(*, a: int, b: int = 2) -> tuple[int, int]:
    return a, b


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


@cases.parametrize()
def test_same_as_ray(way: str, name: str) -> None:
    cases.check(way, name)
