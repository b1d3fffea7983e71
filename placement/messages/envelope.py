"""The Envelope that a caller sends with a placed task, and the TaskRun that the worker makes of its run."""

from __future__ import annotations

import marshal
from functools import lru_cache
from typing import Any, NamedTuple

from placement.messages.packing import LENGTH, SPEC_FIELDS, pack, plain
from placement.scheduling.candidates import Comparison
from placement.scheduling.decision import Decision
from placement.spec.task import Device, Operation, TaskSpec

ANOTHERS_CUDA = "this worker's CUDA was made for"
"""The beginning of a fallback's reason where the worker, not its GPU, was at fault."""


class Emulated(NamedTuple):
    """Times and energies of a task on an emulated node, all its steps together; None = unknown.

    gpu_utilisation: busy share of the GPU while the task is alone there, 0-1.
    """

    startup_s: float | None = None
    transfer_s: float | None = None
    compute_s: float | None = None
    cpu_joules: float | None = None
    gpu_joules: float | None = None
    cpu_watts: float | None = None
    gpu_watts: float | None = None
    energy_error: float | None = None
    gpu_utilisation: float | None = None


class Envelope(NamedTuple):
    """The spec of a placed task and the decision taken for it.

    repeatable: a GPU failure may be followed by a run on CPU.  key: of the function in the history; "": its name.
    """

    spec: TaskSpec
    decision: Decision
    repeatable: bool = True
    key: str = ""

    def pack(self) -> bytes:
        """The Envelope as bytes, made once for many tasks: marshal's plain tuples, in which nothing can run."""
        d = self.decision
        decision = (
            d.device, d.config, d.configs, d.cpus, d.gpus, d.reason, d.policy, d.selector_version,
            d.snapshot_version, d.probability, d.propensity, d.gpu_busy,
        )  # fmt: skip
        return pack(self.spec, decision, self.repeatable, self.key)


def with_comparison(packed: bytes, comparison: Comparison | None) -> bytes:
    """A packed Envelope, followed by the Comparison of this task alone: the Envelope is the same for many tasks."""
    return packed if comparison is None else packed + marshal.dumps(plain(comparison))


def common(packed: bytes) -> bytes:
    """The part of a packed Envelope that tasks with the same Envelope share."""
    return packed[: LENGTH + int.from_bytes(packed[:LENGTH], "little")]


def comparison_of(packed: bytes) -> Comparison | None:
    """The Comparison made for this task; None where no queue was waited for."""
    own = packed[len(common(packed)) :]
    return Comparison(*marshal.loads(own)) if own else None


_last: tuple[bytes, Any] = b"", None


def unpack(packed: bytes) -> Envelope:
    """The Envelope of `pack`'s bytes. In most calls it is the same as in the last call."""
    global _last
    last = _last  # another thread may unpack too
    if packed != last[0]:
        last = _last = packed, _unpack(common(packed))
    envelope: Envelope = last[1]
    return envelope


@lru_cache(maxsize=4096)
def _unpack(packed: bytes) -> Envelope:
    """The Envelope, cached: every task of one size carries the same."""
    spec, operations, decision, repeatable, key = marshal.loads(packed[LENGTH:])  # from our own caller, over Ray
    ops = None if operations is None else tuple(Operation(*operation) for operation in operations)
    task = TaskSpec(**dict(zip(SPEC_FIELDS, spec, strict=True)), operations=ops)
    return Envelope(task, Decision(*decision), repeatable, key)


class TaskRun(NamedTuple):
    """One finished run of a task, of which the outbox makes a row. Times in seconds.

    startup_s: None where it is part of `seconds` and cannot be told apart: CUDA was initialised during the run.
    cold: the first run of its function in this process, or of any on the GPU, where the process is kept for more.
    visible: the CUDA_VISIBLE_DEVICES of a GPU run, None for one on the CPU.  memory_bytes: most that torch held of the
    device's memory; None where it was not asked.  task_id: Ray's, in bytes.  neighbours, neighbour_utilisation: as in
    `placement.worker.shared_gpu`; None where it had no share of a GPU.
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
    neighbours: int | None = None
    neighbour_utilisation: float | None = None
