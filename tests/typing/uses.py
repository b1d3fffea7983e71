"""Typed uses of placed_remote, checked by mypy --strict and pyright; never run.

A line marked `# wrong` must be rejected by both; every other line must be accepted.
"""

from __future__ import annotations

from collections.abc import Generator
from typing import assert_type

import ray
from ray import ObjectRef

from placement import Decision, TaskSpec, choose, current_device, placed_remote
from placement.scheduling.explanation import Explanation


@placed_remote
def plain(x: int, y: str = "", *, z: float = 0.0) -> list[str]:
    return [y] * x


@placed_remote(devices="any", num_cpus=2, max_retries=3, gpus="auto")
def anywhere(x: int, y: str = "") -> float:
    return 1.0


@placed_remote(spec=TaskSpec(flops=1.0), policy="cpu_only", gpu_options={"num_gpus": 0.5})
def described(x: int) -> bytes:
    return b""


@placed_remote
def stream(n: int) -> Generator[int, None, None]:
    yield n


@placed_remote
def nothing() -> None: ...


assert_type(plain.remote(1), ObjectRef[list[str]])
assert_type(plain.remote(1, "a", z=2.0), ObjectRef[list[str]])
assert_type(plain.remote(x=1, y="a"), ObjectRef[list[str]])
assert_type(ray.get(anywhere.remote(1)), float)
assert_type(described.options(num_cpus=1, device="gpu").remote(1), ObjectRef[bytes])
assert_type([ray.get(ref) for ref in stream.remote(3)], list[int])
assert_type(nothing.remote(), ObjectRef[None])
assert_type(placed_remote(len).remote("abc"), ObjectRef[int])

number: ObjectRef[int] = ray.put(1)
assert_type(plain.remote(number), ObjectRef[list[str]])
assert_type(anywhere.remote(number, "a"), ObjectRef[float])
assert_type(described.options(name="n").remote(number), ObjectRef[bytes])

assert_type(plain.explain(1, z=1.0), Explanation)
assert_type(list(plain.map([1, 2])), list[list[str]])
assert_type(list(described.map([number], ordered=False, in_flight=2)), list[bytes])
assert_type(list(described.map([1], return_exceptions=True)), list[bytes | Exception])
plain.bind(1, y="a").execute()
plain.bind(described.bind(1))

plain.remote("a")  # wrong: type
plain.remote()  # wrong: missing
plain.remote(1, "a", 2.0)  # wrong: z is keyword-only
plain.remote(1, colour="red")  # wrong: unknown
plain.remote(1, z="a")  # wrong: type of a keyword
anywhere.remote(ray.put("a"))  # wrong: a ref to another type
described.options(num_cpus=1).remote("a")  # wrong: type
described.map(["a"])  # wrong: items
described.options(num_gpu=1)  # wrong: misspelt
described.options(device="tpu")  # wrong: value
placed_remote(devices="all")  # wrong: value
placed_remote(num_gpu=1)  # wrong: misspelt
placed_remote(max_retries="3")  # wrong: type
placed_remote(spec=3)  # wrong: type
text: str = ray.get(anywhere.remote(1))  # wrong: result


class Plain:
    def __init__(self, start: int = 0) -> None:
        self.n = start

    @ray.method
    def add(self, by: int) -> int:
        return self.n + by

    @ray.method(num_returns=1)
    def name(self) -> str:
        return ""


Counter = placed_remote(Plain)
Placed = placed_remote(spec=lambda start=0: TaskSpec(flops=1.0), max_restarts=1)(Plain)
assert_type(Placed.explain(3), Explanation)
Placed.options(name="a", get_if_exists=True, policy="gpu_only").remote(3)
Placed.options(max_restart=1)  # wrong: misspelt
Placed.options(num_returns=2)  # wrong: of tasks only

handle = Counter.remote(3)
assert_type(handle.add.remote(1), ObjectRef[int])
assert_type(Placed.options(num_cpus=1).remote().name.remote(), ObjectRef[str])
handle.add.remote("a")  # wrong: type of a method's argument

assert_type(choose(TaskSpec(flops=1.0), num_cpus=2).ray_options(), dict[str, object])  # wrong: dict[str, Any]
decision: Decision = choose(lambda: TaskSpec())
device: str = current_device()
