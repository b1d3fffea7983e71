"""An Envelope's bytes, made without importing what a decision takes.

marshal: plain tuples of plain values, nothing that can run.
"""

from __future__ import annotations

import marshal
from dataclasses import fields
from typing import Any

from placement.spec.task import TaskSpec

SPEC_FIELDS = tuple(f.name for f in fields(TaskSpec) if f.name != "operations")
LENGTH = 4  # bytes that tell the Envelope's own


def pack(spec: TaskSpec, decision: tuple[Any, ...], repeatable: bool, key: str) -> bytes:
    """The bytes of an Envelope. decision: the fields of a Decision, from `device` to `propensity` or `gpu_busy`."""
    operations = None if spec.operations is None else tuple(tuple(operation) for operation in spec.operations)
    values = tuple(getattr(spec, name) for name in SPEC_FIELDS)
    packed = marshal.dumps(
        (plain(values), operations and tuple(plain(o) for o in operations), decision, repeatable, key)
    )
    return len(packed).to_bytes(LENGTH, "little") + packed


def plain(values: tuple[Any, ...]) -> tuple[Any, ...]:
    """NumPy's numbers as Python's own; marshal takes no others."""
    return tuple(
        v if v is None or type(v) in (int, float, str, bool) else v.item() if hasattr(v, "item") else float(v)
        for v in values
    )
