"""TaskSpec: a task before it runs, as plain data made by `placement.describe` or by hand."""

from __future__ import annotations

import operator
import sys
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

from placement.errors import SpecError

Device = Literal["cpu", "gpu"]
DEVICES: tuple[Device, Device] = ("cpu", "gpu")
OTHER_DEVICE: dict[Device, Device] = {"cpu": "gpu", "gpu": "cpu"}

OperationKind = Literal["matmul", "conv", "grouped_conv", "memory", "tree", "pipeline"]
OPERATION_KINDS: tuple[OperationKind, ...] = ("matmul", "conv", "grouped_conv", "memory", "tree", "pipeline")


Execution = Literal["eager", "compiled"]
EXECUTIONS: tuple[Execution, ...] = ("eager", "compiled")
MemoryFormat = Literal["channels_first", "channels_last"]
MEMORY_FORMATS: tuple[MemoryFormat, ...] = ("channels_first", "channels_last")

TaskKind = Literal["train", "infer", "preprocess", "other"]
KINDS: tuple[TaskKind, ...] = ("train", "infer", "preprocess", "other")


class Operation(NamedTuple):
    """All operations of one kind in one step, summed.

    kind: one of OPERATION_KINDS. `memory` is work bound by bandwidth (element-wise, normalisation, pooling,
        copies); `pipeline` runs on the CPU whichever the device (decoding a batch's files) and overlaps with the rest.
    flops: floating-point operations, a multiply-add counted as two; bytes: read plus written; launches: kernels.
    """

    kind: OperationKind
    flops: float
    bytes: float
    launches: int


@dataclass(frozen=True, slots=True)
class TaskSpec:
    """The size of a task, before it runs. None means unknown, never zero.

    flops: of one step (a whole batch; forward and backward where it trains), a multiply-add counted as two.
    input_bytes: bytes a step reads as input (a whole batch).
    batch_size: samples in a step.  parameters: of the model.  steps: how many steps the task runs.
    memory_bytes: device memory needed.  kernels: launches of one step.  framework: what runs it ("torch", "xgboost").
    kind: "train", "infer", "preprocess" or "other".
    operations: one step's work by kind, for time models; its flops add up to `flops`.
    inputs_on_device: True where the inputs are made or kept on the device that runs the task, so that nothing is copied
    to a GPU.
    execution: "eager" or "compiled" (torch.compile).  memory_format: "channels_first" or "channels_last", of images.

    Numbers of other libraries (NumPy, torch, Decimal, Fraction, IntEnum) and strings of other classes (StrEnum,
    NumPy's) are kept as Python's own of the same value. Raises SpecError that names every fault at once.
    """

    flops: float | None = None
    input_bytes: float | None = None
    batch_size: int | None = None
    parameters: int | None = None
    steps: int = 1
    memory_bytes: float | None = None
    kernels: int | None = None
    framework: str | None = None
    kind: TaskKind | None = None
    operations: tuple[Operation, ...] | None = None
    inputs_on_device: bool | None = None
    execution: Execution | None = None
    memory_format: MemoryFormat | None = None

    def __post_init__(self) -> None:
        faults = [
            fault for name, least, whole in QUANTITIES
            if (fault := quantity_fault(name, getattr(self, name), least, whole=whole))
        ]  # fmt: skip
        if self.steps is None or quantity_fault("steps", self.steps, 1, whole=True):
            faults.append(f"steps={self.steps!r} must be a whole number of at least 1 and at most {LARGEST_COUNT}")
        if self.framework is not None and not _is_text(self.framework):
            faults.append(f"framework={self.framework!r} must be a string (of valid Unicode) or None")
        for name, valid in CHOICES:
            value = getattr(self, name)
            if value is not None and not (isinstance(value, str) and value in valid):
                faults.append(f"{name}={value!r} must be one of {valid} or None")
        if not (self.inputs_on_device is None or isinstance(self.inputs_on_device, bool)):
            faults.append(f"inputs_on_device={self.inputs_on_device!r} must be True, False or None")
        faults += operations_faults(self.operations)
        if faults:
            raise SpecError(
                "not a valid TaskSpec: " + "; ".join(faults) + ". Give None for what is not known; "
                "placement.describe makes specs of modules, trees and arguments."
            )
        self._make_plain()

    def _make_plain(self) -> None:
        """Replaces values of other libraries' types by Python's own, which every later stage can send and write."""
        for name, _, whole in (*QUANTITIES, ("steps", 1, True)):
            value = getattr(self, name)
            if type(value) is not int and value is not None and (whole or type(value) is not float):
                object.__setattr__(self, name, _plain_number(value, whole=whole))
        for name in ("framework", *(name for name, _ in CHOICES)):
            value = getattr(self, name)
            if value is not None and type(value) is not str:
                object.__setattr__(self, name, str.__str__(value))
        if self.operations is not None:
            object.__setattr__(self, "operations", tuple(_plain_operation(one) for one in self.operations))


QUANTITIES: tuple[tuple[str, int, bool], ...] = (
    ("flops", 0, False),
    ("input_bytes", 0, False),
    ("batch_size", 1, True),
    ("parameters", 0, True),
    ("memory_bytes", 0, False),
    ("kernels", 0, True),
)
"""(name, least value, whole numbers only) of the quantities of a TaskSpec that may be unknown."""
CHOICES: tuple[tuple[str, tuple[str, ...]], ...] = (
    ("kind", KINDS),
    ("execution", EXECUTIONS),
    ("memory_format", MEMORY_FORMATS),
)
"""(name, valid values) of the fields of a TaskSpec that take one of a few words, or None."""
LARGEST_COUNT = 2**63 - 1
"""Largest whole quantity: the log keeps counts as 64-bit integers."""


def quantity_fault(name: str, value: Any, least: float, *, whole: bool = False) -> str | None:
    """The fault of an optional quantity in words, or None. whole: a fraction is a fault (8.0 is not)."""
    if value is None:
        return None
    number = _number(value)
    if number is None:
        return f"{name}={value!r} must be a number or None, not {type(value).__name__}"
    if not least <= number <= sys.float_info.max:  # an int may be larger than any float
        return f"{name}={value!r} must be finite and at least {least}"
    if whole and number != int(number):
        return f"{name}={value!r} must be a whole number"
    if whole and _plain_number(value, whole=True) > LARGEST_COUNT:
        return f"{name}={value!r} must be at most {LARGEST_COUNT} (2**63 - 1)"
    return None


def _number(value: Any) -> float | None:
    """The value as a number, NumPy's and torch's scalars too; None where it is none (a bool is not a quantity)."""
    if type(value) is int or type(value) is float:
        return value
    if isinstance(value, str | bytes | bool) or not hasattr(value, "__float__"):
        return None
    dtype = getattr(value, "dtype", None)
    if getattr(dtype, "kind", None) in NOT_NUMBERS or str(dtype).endswith("bool"):
        return None  # NumPy makes numbers of its bools, texts, times and complex numbers
    try:
        return float(value)
    except Exception:  # an array of several, a meta tensor, a number larger than any float, a class of anybody's
        return None


NOT_NUMBERS = tuple("bcSUOMm")
"""Kinds of NumPy's dtypes that are no real numbers: bool, complex, texts, objects, times."""


def _plain_number(value: Any, *, whole: bool) -> float:
    """A valid quantity as Python's int or float; integers of other types stay exact."""
    try:
        return operator.index(value)
    except TypeError:
        return int(value) if whole else float(value)


def _is_text(value: Any) -> bool:
    """A string that can be written as UTF-8; a lone surrogate cannot."""
    try:
        return isinstance(value, str) and value.encode() is not None
    except UnicodeEncodeError:
        return False


def _plain_operation(one: Operation) -> Operation:
    kind: Any = str.__str__(one.kind)
    numbers: Any = [_plain_number(value, whole=False) for value in one[1:]]
    return Operation(kind, *numbers)


def operations_faults(operations: Iterable[Operation] | None) -> list[str]:
    """The faults of the operations of a spec in words; empty where there is none."""
    if operations is None:
        return []
    if not isinstance(operations, tuple):
        return [f"operations must be a tuple of Operation or None, not {type(operations).__name__}"]
    faults = []
    for operation in operations:
        known = isinstance(operation, Operation) and isinstance(operation.kind, str)
        if not known or operation.kind not in OPERATION_KINDS:
            faults.append(f"operations holds {operation!r}; each must be an Operation of kind {OPERATION_KINDS}")
            continue
        for name in ("flops", "bytes", "launches"):
            value = getattr(operation, name)
            fault = quantity_fault(f"operations[{operation.kind}].{name}", value, 0)
            if value is None:
                faults.append(f"operations[{operation.kind}].{name}=None must be a number")
            elif fault:
                faults.append(fault)
    return faults
