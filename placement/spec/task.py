"""What a task is, before it runs: plain data, made by `placement.describe` or by hand."""

from __future__ import annotations

import sys
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

from placement.errors import SpecError

Device = Literal["cpu", "gpu"]
DEVICES: tuple[Device, Device] = ("cpu", "gpu")

OperationKind = Literal["matmul", "conv", "grouped_conv", "memory", "tree", "pipeline"]
OPERATION_KINDS: tuple[OperationKind, ...] = ("matmul", "conv", "grouped_conv", "memory", "tree", "pipeline")


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
    """What a task is, before it runs. None means unknown, never zero.

    flops: of one step (a whole batch; forward and backward where it trains), a multiply-add counted as two.
    input_bytes: bytes a step reads as input (a whole batch).
    batch_size: samples in a step.  parameters: of the model.  steps: how many steps the task runs.
    memory_bytes: device memory needed.  kernels: launches of one step.  framework: what runs it ("torch", "xgboost").
    kind: "train", "infer", "preprocess" or "other".
    operations: one step's work by kind, for time models; its flops add up to `flops`.

    Raises SpecError that names every fault at once.
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

    def __post_init__(self) -> None:
        faults = [
            fault
            for name, least, whole in (
                ("flops", 0, False),
                ("input_bytes", 0, False),
                ("batch_size", 1, True),
                ("parameters", 0, True),
                ("memory_bytes", 0, False),
                ("kernels", 0, True),
            )
            if (fault := quantity_fault(name, getattr(self, name), least, whole=whole))
        ]
        if self.steps is None or quantity_fault("steps", self.steps, 1, whole=True):
            faults.append(f"steps={self.steps!r} must be a whole number of at least 1")
        if self.framework is not None and not isinstance(self.framework, str):
            faults.append(f"framework={self.framework!r} must be a string or None")
        if self.kind is not None and self.kind not in KINDS:
            faults.append(f"kind={self.kind!r} must be one of {KINDS} or None")
        faults += operations_faults(self.operations)
        if faults:
            raise SpecError(
                "not a valid TaskSpec: " + "; ".join(faults) + ". Give None for what is not known; "
                "placement.describe makes specs of modules, trees and arguments."
            )


def quantity_fault(name: str, value: Any, least: float, *, whole: bool = False) -> str | None:
    """What is wrong with an optional quantity, or None. whole: a fraction is a fault (8.0 is not)."""
    if value is None:
        return None
    number = _number(value)
    if number is None:
        return f"{name}={value!r} must be a number or None, not {type(value).__name__}"
    if not least <= number <= sys.float_info.max:  # an int may be larger than any float
        return f"{name}={value!r} must be finite and at least {least}"
    if whole and number != int(number):
        return f"{name}={value!r} must be a whole number"
    return None


def _number(value: Any) -> float | None:
    """The value as a number, NumPy's and torch's scalars too; None where it is none (a bool is not a quantity)."""
    if type(value) is int or type(value) is float:
        return value
    # NumPy's bool has __float__ too, and is called `bool` or `bool_` by its version.
    if isinstance(value, str | bytes) or type(value).__name__ in ("bool", "bool_") or not hasattr(value, "__float__"):
        return None
    try:
        return float(value)
    except (TypeError, ValueError, OverflowError, RuntimeError):  # an array of several, a meta tensor
        return None


def operations_faults(operations: Iterable[Operation] | None) -> list[str]:
    """What is wrong with the operations of a spec; empty where nothing is."""
    if operations is None:
        return []
    if not isinstance(operations, tuple):
        return [f"operations must be a tuple of Operation or None, not {type(operations).__name__}"]
    faults = []
    for operation in operations:
        if not isinstance(operation, Operation) or operation.kind not in OPERATION_KINDS:
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
