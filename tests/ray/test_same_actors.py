"""Actors under placed_remote are what they are under ray.remote."""

from __future__ import annotations

import asyncio
import contextlib
import os
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import ray
from comparing import CPU_WAYS, Cases, Remote, error_caught, error_of
from conditions import new_path, wait_for_file, wait_until
from ray import cloudpickle
from ray._private import state
from ray.actor import ActorClass
from ray.util import ActorPool

cases = Cases(__name__)
case = cases.case
pytestmark = pytest.mark.usefixtures("emulated")

FEW = ("plain", "any")
"""Ways for cases that create many actors: each is a process."""


class Base:
    kind = "base"

    def __init__(self, start: int = 0, *, step: int = 1) -> None:
        self.n = start
        self.step = step

    def inherited(self) -> str:
        return self.kind


class Counter(Base):
    """Counts."""

    kind = "counter"

    def add(self, by: int = 1, *more: int, **named: int) -> int:
        """Adds."""
        self.n += self.step * (by + sum(more) + sum(named.values()))
        return self.n

    @ray.method(num_returns=2)
    def two(self) -> tuple[int, int]:
        return self.n, -self.n

    @staticmethod
    def static(x: int) -> int:
        return x + 1

    @classmethod
    def of_class(cls) -> str:
        return cls.kind

    def fails(self) -> None:
        raise ValueError("mine")

    def stream(self, n: int) -> Any:
        yield 0
        yield n

    def me(self) -> Any:
        return ray.get_runtime_context().current_actor

    def names(self) -> Any:
        context = ray.get_runtime_context()
        return context.get_task_name(), context.get_task_function_name(), context.get_actor_name()

    def _private(self) -> str:
        return "private"

    def __len__(self) -> int:
        return 5


@case
def calls_of_all_kinds(remote: Remote) -> Any:
    a = remote(Counter).remote(10, step=2)
    one, two = a.two.remote()
    return (
        ray.get([a.add.remote(), a.add.remote(1, 2, x=3), a.add.remote(by=ray.put(4)), one, two]),
        ray.get([a.inherited.remote(), a.static.remote(1), a.of_class.remote(), a._private.remote()]),
        error_of(lambda: ray.get(a.fails.remote())),
        [ray.get(ref) for ref in a.stream.remote(3)],
        ray.get([a.two.options(num_returns=1).remote(), a.__ray_ready__.remote(), a.__len__.remote()]),
        ray.get(a.__ray_call__.remote(lambda self, x: self.n + x, 1)),
        ray.get([a.names.remote(), a.names.options(name="mine").remote()]),
        ray.get(ray.get(a.me.remote()).add.remote(0)),
        [error_of(action) for action in (a.add, lambda: a.nothing, lambda: a.two(1))],
        [error_of(action) for action in (lambda: a.static.remote(), lambda: a.inherited.remote(1))],
        sorted(n for n in dir(a) if not n.startswith("_")),
        repr(a).split("(")[0],
    )


@case
def constructors(remote: Remote) -> Any:
    class Nothing:
        def get(self) -> int:
            return 1

    class Failing:
        def __init__(self) -> None:
            raise RuntimeError("in the constructor")

        def get(self) -> int:
            return 1

    A = remote(Counter)
    failing = remote(Failing).remote()
    return (
        error_of(lambda: A.remote(1, 2)), error_of(lambda: A.remote(unknown=1)),
        error_of(lambda: remote(Nothing).remote(1)),
        ray.get(remote(Nothing).remote().get.remote()),
        error_of(lambda: ray.get(failing.get.remote())),
    )  # fmt: skip


@case
def what_a_class_becomes(remote: Remote) -> Any:
    A = remote(Counter)
    given = remote(num_cpus=0.5, max_restarts=1, max_task_retries=2)(Counter)
    return (
        isinstance(A, ActorClass), A.__class__.__name__, A.__doc__, A.kind, A.static(1), A.__module__,
        given._default_options, A._default_options, A.__ray_metadata__.class_name, A.__ray_metadata__.max_restarts,
        given.__ray_metadata__.max_restarts, given.__ray_metadata__.num_cpus, A.__ray_metadata__.is_cross_language,
        sorted(A.__ray_metadata__.method_meta.methods), isinstance(A, Counter),
        {k: str(v) for k, v in A.__ray_metadata__.method_meta.signatures.items()},
        A.__ray_metadata__.modified_class.__name__, A.__ray_metadata__.modified_class.__ray_actor_class__ is Counter,
        [error_of(A), error_of(lambda: A(1))],
    )  # fmt: skip


@case
def inheriting_from_an_actor_class_is_refused(remote: Remote) -> Any:
    A = remote(Counter)

    def inherit() -> None:
        class B(A):  # type: ignore[misc, valid-type]
            pass

    return error_of(inherit)


@case
def a_class_that_inherits_becomes_an_actor(remote: Remote) -> Any:
    @remote
    class Child(Counter):
        def __init__(self, start: int) -> None:
            super().__init__(start, step=3)

        def add(self, by: int = 1) -> int:
            return -super().add(by)

    a = Child.remote(1)
    return ray.get([a.add.remote(), a.inherited.remote()])


@case(ways=FEW)
def async_actors(remote: Remote) -> Any:
    @remote
    class Async:
        def __init__(self) -> None:
            self.event = asyncio.Event()
            self.running = 0

        async def wait(self) -> int:
            self.running += 1
            await self.event.wait()
            return self.running

        async def fire(self, n: int) -> None:
            while self.running < n:
                await asyncio.sleep(0.01)
            self.event.set()

        async def stream(self, n: int) -> Any:
            for i in range(n):
                await asyncio.sleep(0)
                yield i

        def plain(self) -> str:
            return "plain"

    a = Async.options(max_concurrency=8).remote()
    refs = [a.wait.remote() for _ in range(4)]
    a.fire.remote(4)
    return ray.get(refs), [ray.get(ref) for ref in a.stream.remote(3)], ray.get(a.plain.remote())


@case(ways=FEW)
def concurrency_groups(remote: Remote) -> Any:
    @remote(concurrency_groups={"io": 2})
    class Threads:
        @ray.method(concurrency_group="io")
        def waits(self, path: str) -> bool:
            wait_for_file(path)
            return True

        def writes(self, path: str) -> None:
            open(path, "w").close()

    path = new_path()
    a = Threads.remote()
    refs = [a.waits.remote(path), a.waits.options(concurrency_group="io").remote(path)]
    a.writes.remote(path)
    return (
        ray.get(refs),
        error_of(lambda: Threads.options(concurrency_groups={"a": 1})),
        error_of(lambda: Threads.bind().execute()),
    )


@case(ways=FEW)
def threaded_actors(remote: Remote) -> Any:
    @remote(max_concurrency=3)
    class Threaded:
        def waits(self, path: str) -> bool:
            wait_for_file(path)
            return True

        def writes(self, path: str) -> None:
            open(path, "w").close()

    path = new_path()
    a = Threaded.remote()
    refs = [a.waits.remote(path), a.waits.remote(path)]
    a.writes.remote(path)
    return ray.get(refs)


@case(ways=CPU_WAYS)
def named_actors(remote: Remote) -> Any:
    A, name = remote(Counter), f"named-{uuid.uuid4().hex[:8]}"
    a = A.options(name=name).remote(5)
    again = A.options(name=name, get_if_exists=True).remote(50)
    found = ray.get_actor(name)
    result = (
        ray.get([a.add.remote(), again.add.remote(), found.add.remote()]),
        type(error_caught(lambda: A.options(name=name).remote())).__name__,
        error_of(lambda: A.options(get_if_exists=True)), error_of(lambda: A.options(name="").remote()),
        error_of(lambda: A.options(name=3).remote()), error_of(lambda: A.options(namespace="").remote()),
        error_of(lambda: A.options(lifetime="x")), ray.get(found.names.remote())[:2],
    )  # fmt: skip
    ray.kill(a)
    return result


@case(ways=FEW)
def detached_actors(remote: Remote) -> Any:
    name, namespace = f"detached-{uuid.uuid4().hex[:8]}", "elsewhere"
    options = {"name": name, "namespace": namespace, "lifetime": "detached", "get_if_exists": True}
    A = remote(Counter)
    first = A.options(**options).remote(1)
    ray.get(first.add.remote())
    del first
    again = A.options(**options).remote(100)
    n = ray.get(again.add.remote())
    ray.kill(again)
    return n, error_of(lambda: ray.get_actor(name + "x"))[0]


@case(ways=FEW)
def ends(remote: Remote) -> Any:
    A = remote(Counter)
    killed, terminated = A.remote(), A.remote()
    ray.get([killed.add.remote(), terminated.add.remote()])
    ray.kill(killed)
    terminated.__ray_terminate__.remote()
    names = []
    for actor in (killed, terminated):
        error = wait_until(lambda a=actor: error_caught(lambda: ray.get(a.add.remote())), "the actor does not end")
        names.append(type(error).__name__)
    return names


@case(ways=FEW)
def restarts(remote: Remote) -> Any:
    @remote(max_restarts=1, max_task_retries=-1)
    class Dies:
        def __init__(self) -> None:
            self.n = 0

        def add(self) -> int:
            self.n += 1
            return self.n

        @ray.method(max_task_retries=0)
        def die(self) -> None:
            os._exit(1)

    a = Dies.remote()
    ray.get([a.add.remote(), a.add.remote()])
    died = type(error_caught(lambda: ray.get(a.die.remote()))).__name__
    return died, ray.get(a.add.remote())


@case(ways=FEW)
def exit_actor(remote: Remote) -> Any:
    @remote
    class Leaves:
        def leave(self) -> None:
            ray.actor.exit_actor()

    a = Leaves.remote()
    return type(error_caught(lambda: ray.get(a.leave.remote()))).__name__, error_of(ray.actor.exit_actor)


@case(ways=FEW)
def retried_methods(remote: Remote) -> Any:
    @remote
    class Tries:
        def __init__(self) -> None:
            self.n = 0

        @ray.method(max_task_retries=3, retry_exceptions=[ValueError])
        def third(self) -> int:
            self.n += 1
            if self.n < 3:
                raise ValueError(self.n)
            return self.n

    return ray.get(Tries.remote().third.remote())


@case(ways=FEW)
def handles_travel(remote: Remote) -> Any:
    a = remote(Counter).remote()

    @remote(num_cpus=0.1)
    def use(handle: Any, nested: Any) -> Any:
        return ray.get([handle.add.remote(), nested["a"][0].add.remote(), a.add.remote()])

    copy = cloudpickle.loads(cloudpickle.dumps(a))
    method = a.add
    return ray.get(use.remote(a, {"a": [a]})), ray.get([copy.add.remote(), method.remote()])


@case(ways=FEW)
def classes_travel(remote: Remote) -> Any:
    A = remote(Counter)
    copy = cloudpickle.loads(cloudpickle.dumps(A))

    @remote(num_cpus=0.1)
    def make(given: Any) -> Any:
        return ray.get([given.remote(1).add.remote(), A.options(num_cpus=0).remote(2).add.remote()])

    return ray.get(make.remote(A)), ray.get(copy.remote(3).add.remote())


@case(ways=FEW)
def actors_make_actors(remote: Remote) -> Any:
    A = remote(Counter)

    @remote
    class Parent:
        def __init__(self) -> None:
            self.child = A.remote(7)

        def ask(self) -> int:
            return ray.get(self.child.add.remote())

    return ray.get(Parent.remote().ask.remote())


@case(ways=FEW)
def an_actor_pool(remote: Remote) -> Any:
    A = remote(Counter)
    pool = ActorPool([A.remote(), A.remote()])
    return sorted(pool.map_unordered(lambda a, x: a.static.remote(x), range(5))), list(
        pool.map(lambda a, x: a.static.remote(x), range(4))
    )


@case(ways=FEW)
def bind_in_a_dag(remote: Remote) -> Any:
    from ray.dag import InputNode
    from ray.dag.class_node import ClassNode

    A, f = remote(Counter), remote(lambda x, y: x + y)
    node = A.bind(10)
    with InputNode() as given:
        dag = f.bind(node.add.bind(given), A.options(num_cpus=0).bind(1).add.bind(1))
    bound = A.remote(100)
    return (
        ray.get(dag.execute(1)), ray.get(dag.execute(2)), isinstance(node, ClassNode), str(node).partition(")(")[2],
        ray.get(bound.add.bind(5).execute()), error_of(lambda: node.nothing), error_of(lambda: A.bind(InputNode())),
    )  # fmt: skip


@case(ways=FEW)
def options_build_on_those_of_the_decoration(remote: Remote) -> Any:
    A = remote(num_cpus=0.5, max_concurrency=2)(Counter)

    def granted(self: Any) -> Any:
        return ray.get_runtime_context().get_assigned_resources()

    plain, less = A.remote(), A.options(num_cpus=0.25).remote()
    return ray.get([plain.__ray_call__.remote(granted), less.__ray_call__.remote(granted)])


@case(ways=FEW)
def a_default_actor_holds_no_cpu(remote: Remote) -> Any:
    def held(actor_class: Any) -> Any:
        a = actor_class.remote()
        return ray.get(a.__ray_call__.remote(lambda self: ray.get_runtime_context().get_assigned_resources()))

    A = remote(Counter)
    # With num_gpus=0 an actor holds a CPU for life.
    return held(A), held(A.options(num_gpus=0)), held(remote(num_gpus=0)(Counter)), held(A.options(num_cpus=0))


@case(ways=("plain",))
def a_users_own_gpu_is_given(remote: Remote) -> Any:
    def ids(self: Any) -> Any:
        return len(ray.get_gpu_ids()), os.environ.get("CUDA_VISIBLE_DEVICES") is not None

    a = remote(num_gpus=0.5)(Counter).remote()
    b = remote(Counter).options(num_gpus=1).remote()
    return ray.get([a.__ray_call__.remote(ids), b.__ray_call__.remote(ids)])


@case(ways=FEW)
def out_of_scope(remote: Remote) -> Any:
    A = remote(Counter)
    name = f"scoped-{uuid.uuid4().hex[:8]}"
    a = A.options(name=name).remote()
    ray.get(a.add.remote())
    del a
    return type(wait_until(lambda: error_caught(lambda: ray.get_actor(name)), "the actor stays")).__name__


@case(ways=FEW)
def pending_calls_are_limited(remote: Remote) -> Any:
    @remote(max_pending_calls=2)
    class Slow:
        def wait(self, end: str) -> None:
            wait_for_file(end)

    a, end = Slow.remote(), new_path()
    refs = [a.wait.remote(end) for _ in range(2)]
    refused = error_caught(lambda: a.wait.remote(end))
    Path(end).touch()
    return type(refused).__name__, ray.get(refs)


@case(ways=FEW)
def cancelling_a_method(remote: Remote) -> Any:
    @remote
    class Async:
        async def sleep(self, began: str) -> None:
            Path(began).touch()
            await asyncio.sleep(600)

    began = new_path()
    ref = Async.remote().sleep.remote(began)
    wait_for_file(began)
    ray.cancel(ref)
    return type(error_caught(lambda: ray.get(ref, timeout=300))).__name__


@case(ways=FEW)
def bad_actors_are_refused(remote: Remote) -> Any:
    @remote
    class Async:
        async def f(self) -> None:
            pass

    return (
        error_of(lambda: Async.options(allow_out_of_order_execution=False).remote()),
        error_of(lambda: remote(Counter).options(max_concurrency=2, allow_out_of_order_execution=False).remote()),
        error_of(lambda: remote(num_returns=2)(Counter)),
        error_of(lambda: remote(max_retries=2)(Counter)),
        error_of(lambda: remote(Counter).options(num_returns=2)),
    )


@pytest.fixture(autouse=True)
def no_actor_is_left() -> Iterator[None]:
    """Ends the actors that a case leaves behind: Ray keeps those of a DAG, and of handles that workers hold.

    What the control plane may have started meanwhile is detached.
    """
    before = set(state.actors())
    yield
    core = ray._private.worker.global_worker.core_worker
    for actor_id, actor in state.actors().items():
        if actor_id not in before and not actor["IsDetached"] and actor["State"] != "DEAD":
            with contextlib.suppress(ValueError):  # another actor's own, which ends with it
                core.kill_actor(ray.ActorID.from_hex(actor_id), True)


@cases.parametrize()
def test_same_as_ray(way: str, name: str) -> None:
    cases.check(way, name)
