"""The facts of a node that its workers need; made by the placement actor, kept by the worker."""

from __future__ import annotations

import importlib
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache

from placement.messages.envelope import Emulated, Envelope, TaskRun
from placement.spec.node import NodeSpec
from placement.spec.task import Device

Emulator = Callable[..., Emulated]
"""Takes (TaskSpec, NodeSpec, device, cpus) and, of a task that shares its GPU, how busy the others keep it."""


@dataclass(frozen=True)
class NodeContext:
    """The facts of a node that its workers need.

    emulator: "module:function" that gives an emulated node its times, None elsewhere.
    compression: emulated seconds are waited for, divided by this; None: not waited for.
    logs: a log is kept, so that rows of functions that are not placed are sent as well.
    generation: rises when any of this changes.
    """

    node_id: str | None = None
    spec: NodeSpec | None = None
    emulated: bool = False
    emulator: str | None = None
    compression: float | None = None
    logs: bool = False
    run_id: str = "unknown"
    generation: int = -1

    def emulate(self, envelope: Envelope, device: Device, others: float | None = None) -> Emulated | None:
        """The emulated times of a task on this node; None on a real node or without an emulator.

        others: how busy the task's neighbours keep its GPU.
        """
        if not self.emulated or self.emulator is None or self.spec is None:
            return None
        shared = (others,) if others else ()
        return emulator_of(self.emulator)(envelope.spec, self.spec, device, envelope.decision.cpus, *shared)

    def wait_for_emulated_time(self, envelope: Envelope, run: TaskRun) -> None:
        """Sleeps in a timing run until the task has taken its emulated seconds divided by `compression`."""
        if self.compression is None:
            return
        emulated = self.emulate(envelope, run.device, run.neighbour_utilisation)
        if emulated is not None and emulated.compute_s is not None:
            wanted = ((emulated.transfer_s or 0.0) + emulated.compute_s) / self.compression
            time.sleep(max(0.0, wanted - run.seconds))


@cache
def emulator_of(name: str) -> Emulator:
    """The function named by "module:function"."""
    module, _, function = name.partition(":")
    found: Emulator = getattr(importlib.import_module(module), function)
    return found
