"""A placed actor's device is chosen once, at construction, and holds for its whole life."""

from __future__ import annotations

import os
import sys
import uuid
from typing import Any

import pytest
import ray
from ray import cloudpickle
from ray.actor import ActorClass

from placement import TaskSpec, current_device, placed_remote
from placement.errors import OptionError, SpecError

pytestmark = pytest.mark.usefixtures("emulated")
cloudpickle.register_pickle_by_value(sys.modules[__name__])

SMALL = TaskSpec(flops=1e6, input_bytes=1e3, batch_size=1, parameters=1_000)


class Model:
    def __init__(self, size: str = "small") -> None:
        self.size = size
        self.at_construction = seen()

    def ask(self) -> Any:
        return self.at_construction, seen()

    def child(self, f: Any) -> str:
        return str(f.explain())


def seen() -> tuple[str, int, str | None]:
    return current_device(), len(ray.get_gpu_ids()), os.environ.get("CUDA_VISIBLE_DEVICES")


def test_on_the_cpu_it_sees_no_gpu_and_holds_no_cpu() -> None:
    a = placed_remote(spec=SMALL, policy="cpu_only")(Model).remote()
    assert ray.get(a.ask.remote()) == (("cpu", 0, ""), ("cpu", 0, ""))
    held = ray.get(a.__ray_call__.remote(lambda self: ray.get_runtime_context().get_assigned_resources()))
    assert held == {}


def test_on_a_gpu_it_holds_the_gpu_and_its_children_are_kept_off_it() -> None:
    a = placed_remote(spec=SMALL, policy="gpu_only")(Model).remote()
    constructed, later = ray.get(a.ask.remote())
    assert constructed == later
    assert constructed[:2] == ("cpu", 1)  # an emulated GPU: the code itself runs on the CPU
    f = placed_remote(spec=SMALL, policy="gpu_only")(seen)
    assert "the calling task holds a GPU" in ray.get(a.child.remote(f))


def test_the_spec_is_asked_with_the_constructors_arguments() -> None:
    asked = []

    def spec(size: str = "small") -> TaskSpec:
        asked.append(size)
        return SMALL

    A = placed_remote(spec=spec)(Model)
    a = A.remote(size="large")
    A.options(num_cpus=0.5).explain("medium")
    assert asked == ["large", "medium"]
    ray.kill(a)
    with pytest.raises(TypeError, match="unexpected keyword argument 'colour'"):
        A.remote(colour="red")
    with pytest.raises(SpecError, match="must return a TaskSpec"):
        placed_remote(spec=lambda: 3)(Model).remote()


def test_a_class_may_declare_its_own_spec() -> None:
    class Declared(Model):
        placement_spec = SMALL

    A = placed_remote(Declared)
    assert A.options(policy="gpu_only").explain().decision.device == "gpu"
    assert A.options(device="cpu").explain().decision.device == "cpu"


def test_an_ordinary_class_is_an_ordinary_actor_until_options_say_otherwise() -> None:
    A = placed_remote(Model)
    assert isinstance(A, ActorClass)
    with pytest.raises(OptionError, match=r'give placed_remote spec= or devices="any"'):
        A.explain()
    a = A.options(spec=SMALL, policy="gpu_only").remote()
    assert ray.get(a.ask.remote())[0][1] == 1


def test_get_if_exists_places_once() -> None:
    A = placed_remote(spec=SMALL, policy="gpu_only")(Model)
    name = f"placed-{uuid.uuid4().hex[:8]}"
    first = A.options(name=name, get_if_exists=True).remote("first")
    again = A.options(name=name, get_if_exists=True, policy="cpu_only").remote("again")
    assert ray.get(again.__ray_call__.remote(lambda self: self.size)) == "first"
    assert ray.get(again.ask.remote())[0][1] == 1
    ray.kill(first)


def test_a_restarted_actor_is_where_it_was() -> None:
    a = placed_remote(spec=SMALL, policy="gpu_only", max_restarts=1, max_task_retries=1)(Model).remote()
    before = ray.get(a.ask.remote())
    ray.kill(a, no_restart=False)
    assert ray.get(a.ask.remote()) == before
