from __future__ import annotations

import enum
import math
from decimal import Decimal
from fractions import Fraction
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from placement.errors import PlacementError, SpecError
from placement.log.schema import table_of
from placement.messages.envelope import Envelope, unpack
from placement.prediction.runtime_history import size_of
from placement.scheduling.decision import Decision
from placement.spec.task import KINDS, OPERATION_KINDS, Operation, TaskSpec
from placement.spec.task_record import TaskRecord

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
    ...,
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


class Framework(enum.StrEnum):
    TORCH = "torch"


class Kind(str, enum.Enum):  # noqa: UP042 - its str() is not its value
    TRAIN = "train"


class Batch(enum.IntEnum):
    SMALL = 8


class Named(str):
    __slots__ = ()


@pytest.mark.parametrize(
    ("name", "value", "plain"),
    [
        ("framework", Framework.TORCH, "torch"),
        ("framework", Named("torch"), "torch"),
        ("framework", np.str_("torch"), "torch"),
        ("kind", Kind.TRAIN, "train"),
        ("batch_size", Batch.SMALL, 8),
        ("batch_size", 8.0, 8),
        ("batch_size", np.float64(8), 8),
        ("parameters", np.uint64(2**63 - 1), 2**63 - 1),
        ("steps", np.int32(3), 3),
        ("steps", Fraction(6, 2), 3),
        ("flops", np.float32(1e6), 1e6),
        ("flops", np.array(1e6), 1e6),
        ("flops", Decimal("0.5"), 0.5),
        ("flops", Fraction(1, 2), 0.5),
        ("flops", np.int64(2**62 + 1), 2**62 + 1),
        ("flops", 10**30, 10**30),
    ],
    ids=repr,
)
def test_values_of_other_types_are_kept_as_pythons_own(name: str, value: Any, plain: Any) -> None:
    kept = getattr(TaskSpec(**{name: value}), name)
    assert (type(kept), kept) == (type(plain), plain)


def test_an_operation_holds_pythons_own_values_too() -> None:
    kind: Any = enum.StrEnum("K", {"MATMUL": "matmul"}).MATMUL  # type: ignore[attr-defined]
    operations = TaskSpec(operations=(Operation(kind, np.float32(2), Decimal(3), np.int64(4)),)).operations  # type: ignore[arg-type]
    assert operations == (Operation("matmul", 2.0, 3.0, 4),)
    assert [type(value) for value in operations[0]] == [str, float, float, int]


@pytest.mark.parametrize("name", COUNTS)
def test_a_count_that_the_log_cannot_hold_is_refused(name: str) -> None:
    with pytest.raises(SpecError, match=name):
        TaskSpec(**{name: 2**63})


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("framework", "\ud800"),
        ("framework", b"torch"),
        ("kind", np.array(["train", "infer"])),
        ("flops", np.array("8")),
        ("flops", np.array(True)),
        ("flops", np.complex64(1 + 2j)),
        ("flops", np.timedelta64(3, "s")),
        ("operations", (Operation(np.array(["conv"]), 1, 1, 1),)),  # type: ignore[arg-type]
    ],
    ids=repr,
)
def test_values_that_cannot_be_sent_or_written_are_refused(name: str, value: Any) -> None:
    with pytest.raises(SpecError, match=name):
        TaskSpec(**{name: value})


NUMBERS = st.one_of(
    st.integers(), st.floats(), st.decimals(), st.fractions(), st.booleans(), st.complex_numbers(), st.text(max_size=3),
    st.integers(0, 2**31 - 1).map(np.int32), st.integers(0, 2**64 - 1).map(np.uint64),
    st.floats(width=32).map(np.float32),
    st.floats(width=16).map(np.float16), st.floats().map(np.array), st.integers(-9, 9).map(lambda n: np.array([n])),
    st.sampled_from([Batch.SMALL, Framework.TORCH, Kind.TRAIN, np.datetime64(1, "s"), np.True_, object(), None]),
)  # fmt: skip
TEXTS = st.one_of(
    st.text(max_size=4), st.sampled_from([*KINDS, Framework.TORCH, Kind.TRAIN, np.str_("infer"), None, 3])
)


@settings(max_examples=300)
@given(
    st.fixed_dictionaries({}, optional=dict.fromkeys(QUANTITIES, NUMBERS) | dict.fromkeys(("framework", "kind"), TEXTS))
)
def test_a_spec_that_is_accepted_can_be_sent_and_written(given: dict[str, Any]) -> None:
    try:
        spec = TaskSpec(**given)
    except SpecError:
        return
    decision = Decision("cpu", "A", ("A",), 1.0, 0.0, "selector", "selector", "v1", 1)
    assert unpack(Envelope(spec, decision).pack()).spec == spec
    size_of(spec)
    columns = {name: getattr(spec, name) for name in (*QUANTITIES, "framework", "kind")}
    assert table_of([TaskRecord(run_id="r", source="production", function="f", device="cpu", **columns)]).num_rows == 1
