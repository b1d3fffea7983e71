"""What travels with a placed task and what comes of it: the Envelope a caller sends, the TaskRun a worker saw."""

from __future__ import annotations

import marshal
from dataclasses import fields
from functools import lru_cache
from typing import Any, NamedTuple

from placement.scheduling.candidates import Comparison
from placement.scheduling.decision import Decision
from placement.spec.task import Device, Operation, TaskSpec

SPEC_FIELDS = tuple(f.name for f in fields(TaskSpec) if f.name != "operations")
LENGTH = 4  # bytes that tell the Envelope's own
ANOTHERS_CUDA = "this worker's CUDA was made for"
"""So begins the fallback of a run whose worker, and not whose GPU, was at fault."""


class Emulated(NamedTuple):
    """What a task would have taken on an emulated node, all its steps together; None = unknown."""

    startup_s: float | None = None
    transfer_s: float | None = None
    compute_s: float | None = None
    cpu_joules: float | None = None
    gpu_joules: float | None = None
    cpu_watts: float | None = None
    gpu_watts: float | None = None
    energy_error: float | None = None


class Envelope(NamedTuple):
    """What travels with a placed task: its spec and the decision taken for it.

    repeatable: a GPU failure may be followed by a run on CPU.
    """

    spec: TaskSpec
    decision: Decision
    repeatable: bool = True

    def pack(self) -> bytes:
        """As bytes that cost nothing to send again. marshal: plain tuples of plain values, nothing that can run."""
        s, d = self.spec, self.decision
        operations = None if s.operations is None else tuple(tuple(operation) for operation in s.operations)
        spec = tuple(getattr(s, name) for name in SPEC_FIELDS)
        decision = (
            d.device, d.config, d.configs, d.cpus, d.gpus, d.reason, d.policy, d.selector_version,
            d.snapshot_version, d.probability, d.propensity,
        )  # fmt: skip
        packed = marshal.dumps(
            (_plain(spec), operations and tuple(_plain(o) for o in operations), decision, self.repeatable)
        )
        return len(packed).to_bytes(LENGTH, "little") + packed


def _plain(values: tuple[Any, ...]) -> tuple[Any, ...]:
    """NumPy's numbers as Python's own; marshal takes no others."""
    return tuple(
        v if v is None or type(v) in (int, float, str, bool) else v.item() if hasattr(v, "item") else float(v)
        for v in values
    )


def with_weighed(packed: bytes, weighed: Comparison | None) -> bytes:
    """The Envelope and, after it, what was compared for this very task: the Envelope itself is the same for many."""
    return packed if weighed is None else packed + marshal.dumps(_plain(weighed))


def common(packed: bytes) -> bytes:
    """What tasks with the same Envelope share."""
    return packed[: LENGTH + int.from_bytes(packed[:LENGTH], "little")]


def weighed_of(packed: bytes) -> Comparison | None:
    """What was compared for this very task; None where nothing had to be waited for."""
    own = packed[len(common(packed)) :]
    return Comparison(*marshal.loads(own)) if own else None


_last: tuple[bytes, Any] = b"", None


def unpack(packed: bytes) -> Envelope:
    """The Envelope of `pack`'s bytes. Mostly it is the last one again."""
    global _last
    last = _last  # another thread may unpack too
    if packed != last[0]:
        last = _last = packed, _unpack(common(packed))
    envelope: Envelope = last[1]
    return envelope


@lru_cache(maxsize=4096)
def _unpack(packed: bytes) -> Envelope:
    """Kept, since the same one comes with every task of a size."""
    spec, operations, decision, repeatable = marshal.loads(packed[LENGTH:])  # from our own caller, over Ray
    ops = None if operations is None else tuple(Operation(*operation) for operation in operations)
    task = TaskSpec(**dict(zip(SPEC_FIELDS, spec, strict=True)), operations=ops)
    return Envelope(task, Decision(*decision), repeatable)


class TaskRun(NamedTuple):
    """One finished task, as the worker saw it; the outbox makes a row of it. Times in seconds.

    startup_s: None where it is part of `seconds` and cannot be told apart: CUDA was initialised during the run.
    cold: the first run of its function in this process, or of any on the GPU.
    visible: the CUDA_VISIBLE_DEVICES of a GPU run, None for one on the CPU.  memory_bytes: most that torch held of the
    device's memory; None where it was not asked.  task_id: Ray's, in bytes.
    """

    function: str
    packed: bytes | None
    began: float
    seconds: float
    cpu_seconds: float
    startup_s: float | None
    device: Device
    cold: bool
    fallback: str | None
    error: str | None
    task_id: bytes | None
    visible: str | None = None
    memory_bytes: float | None = None
