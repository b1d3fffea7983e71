from __future__ import annotations

import math
from decimal import Decimal
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from placement.errors import PlacementError, SpecError
from placement.spec.task import KINDS, OPERATION_KINDS, Operation, TaskSpec

QUANTITIES = ("flops", "input_bytes", "batch_size", "parameters", "memory_bytes", "kernels", "steps")
COUNTS = ("batch_size", "parameters", "kernels", "steps")
NONSENSE = [
    -1,
    10**400,
    math.nan,
    math.inf,
    -math.inf,
    True,
    "8",
    b"8",
    [8],
    (8,),
    {},
    object(),
    1j,
    np.array([1, 2]),
    np.True_,
]


def test_a_spec_says_nothing_by_default_and_runs_one_step() -> None:
    spec = TaskSpec()
    assert spec.steps == 1
    assert all(getattr(spec, name) is None for name in QUANTITIES if name != "steps")


@pytest.mark.parametrize("name", QUANTITIES)
@pytest.mark.parametrize("value", NONSENSE, ids=repr)
def test_nonsense_is_refused_by_name(name: str, value: Any) -> None:
    with pytest.raises(SpecError, match=name):
        TaskSpec(**{name: value})


@pytest.mark.parametrize("name", COUNTS)
def test_a_fraction_of_a_count_is_refused(name: str) -> None:
    with pytest.raises(SpecError, match=f"{name}=2.5 must be a whole number"):
        TaskSpec(**{name: 2.5})


@pytest.mark.parametrize("name", QUANTITIES)
@pytest.mark.parametrize("value", [3, 3.0, np.float32(3), np.int64(3), np.array(3), Decimal(3)], ids=repr)
def test_whole_numbers_of_any_library_are_taken(name: str, value: Any) -> None:
    assert getattr(TaskSpec(**{name: value}), name) == 3


def test_numbers_too_large_for_a_float_are_refused() -> None:
    class Huge:
        def __float__(self) -> float:
            raise OverflowError

    for value in (Huge(), Decimal("1e999")):
        with pytest.raises(SpecError, match="flops"):
            TaskSpec(flops=value)  # type: ignore[arg-type]


@pytest.mark.parametrize(("name", "value"), [("batch_size", 0), ("steps", 0), ("steps", None)])
def test_there_is_no_step_of_nothing(name: str, value: Any) -> None:
    with pytest.raises(SpecError, match="at least 1"):
        TaskSpec(**{name: value})


def test_zero_is_a_value_where_it_can_be() -> None:
    spec = TaskSpec(flops=0, input_bytes=0, parameters=0, memory_bytes=0, kernels=0)
    assert (spec.flops, spec.parameters) == (0, 0)


def test_every_fault_is_named_at_once_with_the_next_step() -> None:
    with pytest.raises(SpecError) as error:
        TaskSpec(flops=-1, input_bytes="x", batch_size=0, kind="play", framework=3, steps=0)  # type: ignore[arg-type]
    for part in ("flops=-1", "input_bytes='x'", "batch_size=0", "kind='play'", "framework=3", "steps=0", "None for"):
        assert part in str(error.value)
    assert all(kind in str(error.value) for kind in KINDS)


def test_a_spec_error_is_a_value_error_of_the_tree() -> None:
    assert issubclass(SpecError, ValueError)
    assert issubclass(SpecError, PlacementError)


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_is_taken(kind: Any) -> None:
    assert TaskSpec(kind=kind).kind == kind


def test_a_spec_cannot_be_changed_and_is_a_key() -> None:
    spec = TaskSpec(flops=1.0, operations=(Operation("matmul", 1.0, 2.0, 1),))
    with pytest.raises(AttributeError):
        spec.flops = 2.0  # type: ignore[misc]
    assert {spec: 1}[TaskSpec(flops=1.0, operations=(Operation("matmul", 1.0, 2.0, 1),))] == 1


@pytest.mark.parametrize("kind", OPERATION_KINDS)
def test_operations_of_every_kind_are_taken(kind: Any) -> None:
    assert TaskSpec(operations=(Operation(kind, 1.0, 2.0, 3),)).operations is not None


@pytest.mark.parametrize(
    ("operations", "part"),
    [
        ([Operation("matmul", 1, 1, 1)], "must be a tuple"),
        (Operation("matmul", 1, 1, 1), "must be an Operation"),
        ((("matmul", 1, 1, 1),), "must be an Operation"),
        ((Operation("dance", 1, 1, 1),), "pipeline"),  # type: ignore[arg-type]
        ((Operation("matmul", -1, 1, 1),), r"operations\[matmul\]\.flops=-1"),
        ((Operation("matmul", 1, math.nan, 1),), r"operations\[matmul\]\.bytes=nan"),
        ((Operation("matmul", 1, 1, None),), r"operations\[matmul\]\.launches=None"),  # type: ignore[arg-type]
    ],
)
def test_nonsense_operations_are_refused(operations: Any, part: str) -> None:
    with pytest.raises(SpecError, match=part):
        TaskSpec(operations=operations)


ANYTHING = st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=3), st.lists(st.integers()))


@settings(max_examples=100)
@given(st.fixed_dictionaries({}, optional=dict.fromkeys(TaskSpec.__dataclass_fields__, ANYTHING)))
def test_any_arguments_give_a_spec_or_a_spec_error(given: dict[str, Any]) -> None:
    try:
        spec = TaskSpec(**given)
    except SpecError:
        return
    for name in QUANTITIES:
        value = getattr(spec, name)
        assert value is None or (value >= 0 and math.isfinite(value) and not isinstance(value, bool))
