from __future__ import annotations

import enum
import pickle
import types
from typing import Any

import numpy as np
import pytest
from core_builders import TASK

from placement import placed_remote
from placement.errors import OptionError
from placement.scheduling.policies.fixed import CpuOnly
from placement.scheduling.policies.registry import POLICIES
from placement.submission.options import PLACEMENT_OPTIONS, PlacementOptions, spec_function, split


def test_ours_and_rays_are_told_apart_and_copied() -> None:
    given = {"policy": "cpu_only", "max_retries": 2, "device": "cpu", "num_cpus": 3}
    ours, rays = split(given)
    assert ours == {"policy": "cpu_only", "device": "cpu"}
    assert rays == {"max_retries": 2, "num_cpus": 3}
    ours.clear(), rays.clear()
    assert len(given) == 4


def test_every_option_is_ours() -> None:
    assert set(PLACEMENT_OPTIONS) == {
        "spec", "devices", "device", "policy", "strict", "side_effects", "cpu_options", "gpu_options",
        "gpus",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("name", "value", "parts"),
    [
        ("spec", 3, ["TaskSpec", "function"]),
        ("spec", {"flops": 1}, ["TaskSpec", "function"]),
        ("devices", "all", ["'all'", '"any"']),
        ("devices", ["cpu"], ['"any"']),
        ("device", "tpu", ["'tpu'", "cpu", "gpu"]),
        ("device", True, ["cpu", "gpu"]),
        ("policy", "best", ["'best'", *POLICIES]),
        ("policy", 3, [*POLICIES, "choose"]),
        ("policy", CpuOnly, [*POLICIES, "choose"]),  # the class, not an object of it
        ("strict", 1, ["True or False"]),
        ("side_effects", None, ["True or False"]),
        ("cpu_options", [1], ["dict", "list"]),
        ("gpu_options", None, ["dict", "NoneType"]),
        ("cpu_options", {"num_gpus": 1}, ["num_gpus", "gpu_options"]),
        ("device", np.array(["cpu", "gpu"]), ["cpu", "gpu"]),
        ("devices", np.array(["any", "any"]), ['"any"']),
    ],
)
def test_a_wrong_value_is_refused_with_the_valid_ones(name: str, value: Any, parts: list[str]) -> None:
    with pytest.raises(OptionError) as error:
        PlacementOptions(**{name: value})
    assert name in str(error.value)
    assert all(part in str(error.value) for part in parts)


def test_every_fault_is_named_at_once() -> None:
    with pytest.raises(OptionError) as error:
        PlacementOptions(devices="all", device="tpu", policy="best", strict=1)  # type: ignore[arg-type]
    assert all(part in str(error.value) for part in ("devices=", "device=", "policy", "strict="))


@pytest.mark.parametrize(
    ("given", "placeable"),
    [
        ({}, False),
        ({"devices": "any"}, True),
        ({"spec": TASK}, True),
        ({"device": "cpu"}, True),
        ({"strict": True}, False),
    ],
)
def test_a_function_is_placeable_only_when_it_says_so(given: dict[str, Any], placeable: bool) -> None:
    assert PlacementOptions(**given).placeable is placeable


def test_a_copy_changes_what_was_given_alone() -> None:
    first = PlacementOptions(devices="any", policy="cpu_only", strict=True)
    second = first.with_({"policy": None, "strict": False})  # None and False are values too
    assert (second.devices, second.policy, second.strict) == ("any", None, False)
    assert first.policy == "cpu_only"
    assert first.with_({}) is first
    with pytest.raises(OptionError, match="tpu"):
        first.with_({"device": "tpu"})


def test_no_options_say_nothing() -> None:
    assert PlacementOptions(policy=CpuOnly(), cpu_options={"num_gpus": 0}).placeable is False


def test_a_spec_becomes_a_function_of_the_arguments() -> None:
    assert spec_function(None) is None
    constant = spec_function(TASK)
    assert constant is not None
    assert constant(1, two=2) is TASK

    def spec(batch: int) -> int:
        return batch

    assert spec_function(spec) is spec


def test_strings_and_mappings_of_a_config_are_kept_as_pythons_own() -> None:
    class Words(enum.StrEnum):
        ANY = "any"
        GPU = "gpu"
        POLICY = "gpu_only"

    options = PlacementOptions(
        devices=Words.ANY, device=Words.GPU, policy=Words.POLICY, cpu_options=types.MappingProxyType({"num_cpus": 2})
    )
    assert [type(value) for value in (options.devices, options.device, options.policy)] == [str, str, str]
    assert pickle.loads(pickle.dumps(options)) == options


def work(x: int = 0) -> int:
    return x


class Holder:
    pass


class AnswersAll(type):
    def __getattr__(cls, name: str) -> str:
        if name.startswith("_"):  # Ray's own marks of an actor class
            raise AttributeError(name)
        return name


class Odd(metaclass=AnswersAll):
    pass


@pytest.mark.parametrize("body", [work, Holder])
@pytest.mark.parametrize("name", ["cpu_options", "gpu_options"])
@pytest.mark.parametrize(
    ("given", "part"),
    [
        ({"no_such_option": 1}, "no_such_option"),
        ({"num_cpus": "2"}, "num_cpus"),
        ({"num_cpus": -1}, "num_cpus"),
        ({"memory": np.int64(5)}, "memory"),
        ({"resources": types.MappingProxyType({})}, "resources"),
        ({"policy": "gpu_only"}, "policy"),
    ],
)
def test_what_ray_would_refuse_for_one_device_is_refused_early(body: Any, name: str, given: Any, part: str) -> None:
    with pytest.raises(OptionError, match=f"{name}.*{part}"):
        placed_remote(devices="any", **{name: given})(body)
    with pytest.raises(OptionError, match=f"{name}.*{part}"):
        placed_remote(devices="any")(body).options(**{name: given})


def test_max_calls_is_for_the_decoration_alone() -> None:
    f = placed_remote(devices="any", gpu_options={"max_calls": 2})(work)
    assert f.options(policy="cpu_only") is not None
    with pytest.raises(OptionError, match=r"gpu_options.*max_calls"):
        f.options(gpu_options={"max_calls": 2})


def test_a_metaclass_that_answers_to_any_name_declares_no_spec() -> None:
    assert placed_remote(Odd)._placement_options.spec is None
