"""The worker's outbox: finished runs become rows and leave in numbered batches, kept until the actor has them.

One daemon thread for each worker process; a task's own time pays for an append to a deque.
"""

from __future__ import annotations

import contextlib
import importlib
import logging
import os
import threading
import time
import uuid
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache
from itertools import islice
from typing import TYPE_CHECKING, Any, NamedTuple

from placement.execution import ANOTHERS_CUDA, Emulated, Envelope, Run, unpack
from placement.features import granted_gflops
from placement.history import Key, Place, size_of
from placement.node import EMULATED, NodeSpec
from placement.task import Device, TaskSpec

if TYPE_CHECKING:
    from placement.meters import Energy

BATCH_ROWS = 2_000
LARGEST_OUTBOX = 200_000  # rows kept while the actor cannot be reached; what is more is counted as lost
FLUSH_EVERY_S = 0.25
PATIENCE_S = 30.0
SHORTEST_WINDOW_S = 0.05  # the meters are read at 20 Hz: nothing shorter can be told
LAST_PATIENCE_S = 2.0
CONTEXT_PATIENCE_S = 10.0
CONTEXT_KEPT_S = 30.0  # after this a worker asks again, so that it hears of a log set later

Emulator = Callable[[TaskSpec, NodeSpec, Device, float], Emulated]
Observation = tuple[Key, Place, float, float | None, float, float | None]
Unfit = tuple[Key, str, str]

logger = logging.getLogger("placement")


@dataclass(frozen=True)
class NodeContext:
    """What a worker must know of the node it runs on.

    emulator: "module:function" that gives an emulated node its times, None elsewhere.
    compression: emulated seconds are waited for, divided by this; None: not waited for.
    logs: rows of functions that are not placed are wanted too.  generation: rises when any of this changes.
    """

    node_id: str | None = None
    spec: NodeSpec | None = None
    emulated: bool = False
    emulator: str | None = None
    compression: float | None = None
    logs: bool = False
    run_id: str = "unknown"
    generation: int = -1

    def emulate(self, envelope: Envelope, device: Device) -> Emulated | None:
        """The emulated times of a task on this node; None on a real node or without an emulator."""
        if not self.emulated or self.emulator is None or self.spec is None:
            return None
        return emulator_of(self.emulator)(envelope.spec, self.spec, device, envelope.decision.cpus)

    def wait_for_emulated_time(self, envelope: Envelope, run: Run) -> None:
        """In a timing run a task takes its emulated seconds, compressed by the stated factor."""
        if self.compression is None:
            return
        emulated = self.emulate(envelope, run.device)
        if emulated is not None and emulated.compute_s is not None:
            wanted = ((emulated.transfer_s or 0.0) + emulated.compute_s) / self.compression
            time.sleep(max(0.0, wanted - run.seconds))


@cache
def emulator_of(name: str) -> Emulator:
    """The function of "module:function"."""
    module, _, function = name.partition(":")
    found: Emulator = getattr(importlib.import_module(module), function)
    return found


class Batch(NamedTuple):
    """What one call carries. Made once, and sent again unchanged until the actor has it."""

    number: int
    runs: int
    rows: list[tuple[Any, ...]]
    observations: list[Observation]
    unfit: list[Unfit]
    lost: int

    @property
    def empty(self) -> bool:
        """It tells the actor nothing."""
        return not (self.rows or self.observations or self.unfit or self.lost)


class Outbox:
    """The runs of this process on their way to the actor."""

    def __init__(self) -> None:
        self.writer = f"{os.getpid()}-{uuid.uuid4().hex[:12]}"
        self.runs: deque[Run] = deque()
        self.lost = 0
        self._number = 0
        self._batch: Batch | None = None
        self._sending = threading.Lock()
        threading.Thread(target=self._send_for_ever, name="placement-outbox", daemon=True).start()

    def add(self, run: Run) -> None:
        """Called in the task's own time: an append. With the actor long gone the newest runs are lost, and counted."""
        if len(self.runs) < LARGEST_OUTBOX:
            self.runs.append(run)
        else:
            self.lost += 1

    def _send_for_ever(self) -> None:
        while True:
            time.sleep(FLUSH_EVERY_S)
            if self.runs:
                try:
                    self.send(PATIENCE_S)
                except Exception as error:  # the actor restarts: what is unsent stays here and is sent again
                    logger.debug("records wait in the outbox: %s", error)

    def send_last(self) -> None:
        """A worker that retires sends what it still has; where the cluster is gone there is nobody to send it to."""
        with contextlib.suppress(Exception):
            self.send(LAST_PATIENCE_S)

    def send(self, timeout_s: float) -> None:
        """Sends what is there, in batches; one is dropped here only once the actor has it in a durable file."""
        from placement.control import actor_exists, call

        with self._sending:
            if all(run.packed is None for run in self.runs) and not actor_exists():
                self.runs.clear()  # ordinary tasks of a program that started no control plane: nobody keeps a log
                return
            waiting = len(self.runs)  # what comes meanwhile goes with the next: a call for every few tasks costs more
            while waiting > 0:
                batch = self._batch or self._next()
                self._batch = batch
                if not batch.empty:
                    generation = call("report", self.writer, *batch[:1], *batch[2:], timeout_s=timeout_s)
                    if generation != node_context().generation:
                        forget_context()
                for _ in range(batch.runs):
                    self.runs.popleft()
                waiting -= batch.runs
                self._batch = None

    def _next(self) -> Batch:
        runs = list(islice(self.runs, BATCH_ROWS))
        lost, self.lost = self.lost, 0
        self._number += 1
        context = fresh_context()
        name = f"{self.writer}:{self._number}"
        return Batch(self._number, len(runs), *made(runs, context, energies(runs, context), name), lost)


def energies(runs: list[Run], context: NodeContext) -> dict[int, Energy]:
    """What the node's meters tell of the runs long enough to be told, by position."""
    if context.emulated or context.node_id is None:
        return {}
    long = [i for i, run in enumerate(runs) if run.seconds >= SHORTEST_WINDOW_S]
    if not long:
        return {}
    from placement.agent import Window, energies_of

    windows = [Window(r.began, r.began + r.seconds, r.cpu_seconds, r.visible) for r in (runs[i] for i in long)]
    told = energies_of(context.node_id, windows, PATIENCE_S)
    return {i: energy for i, energy in zip(long, told, strict=True) if energy is not None}


def made(
    runs: list[Run], context: NodeContext, energy: Mapping[int, Energy], batch_id: str | None = None
) -> tuple[list[tuple[Any, ...]], list[Observation], list[Unfit]]:
    """(rows of the log, warm timings for the history, what failed on a GPU) of finished runs.

    batch_id: by which a reader counts a batch sent twice once.
    """
    from placement.record import row

    rows, observations, unfit = [], [], []
    told: dict[tuple[str, bytes], tuple[Envelope, dict[str, Any], Key]] = {}  # many runs came with the same Envelope
    config = context.spec.config if context.spec else None
    for i, run in enumerate(runs):
        if run.packed is None:
            if context.logs:
                rows.append(row(**_common(run, context, batch_id), **_times(run, None, context, energy.get(i))))
            continue
        same = told.get((run.function, run.packed))
        if same is None:
            envelope = unpack(run.packed)
            same = envelope, _placed(envelope, context), (run.function, size_of(envelope.spec))
            told[run.function, run.packed] = same
        envelope, placed, key = same
        emulated = context.emulate(envelope, run.device)
        rows.append(row(**_common(run, context, batch_id), **placed, **_times(run, emulated, context, energy.get(i))))
        if config is None:
            continue
        seconds = _warm_seconds(run, emulated, context)
        if seconds is not None:
            measured = emulated or energy.get(i)
            error = (measured.energy_error if isinstance(measured, Emulated) else measured.error) if measured else None
            place = Place(config, run.device, envelope.decision.cpus)
            observations.append((key, place, seconds, _joules(run, measured), error or 0.0, run.memory_bytes))
        if run.fallback is not None and not run.fallback.startswith(ANOTHERS_CUDA):
            unfit.append((key, config, run.fallback))
    return rows, observations, unfit


def _warm_seconds(run: Run, emulated: Emulated | None, context: NodeContext) -> float | None:
    if run.error is not None or run.fallback is not None:
        return None
    if context.emulated:
        known = emulated is not None and emulated.compute_s is not None
        return (emulated.transfer_s or 0.0) + emulated.compute_s if known else None  # type: ignore[union-attr, operator]
    return None if run.cold else run.seconds


def _common(run: Run, context: NodeContext, batch_id: str | None) -> dict[str, Any]:
    node = context.spec
    return {
        "run_id": context.run_id, "batch_id": batch_id, "source": "production", "function": run.function,
        "workload": run.function.rsplit(".", 1)[-1], "config": node.config if node else None,
        "node_id": context.node_id, "emulated": context.emulated, "device": run.device, "repeats": 1,
        "time_utc": run.began, "error": run.error, "fallback": run.fallback,
        "task_id": run.task_id, "peak_memory_bytes": run.memory_bytes,
    }  # fmt: skip


def _placed(envelope: Envelope, context: NodeContext) -> dict[str, Any]:
    spec, decision, node = envelope
    del node
    columns: dict[str, Any] = {
        "kind": spec.kind or "other", "framework": spec.framework, "cpus": decision.cpus, "gpus": decision.gpus,
        "flops": spec.flops, "batch_size": spec.batch_size, "parameters": spec.parameters,
        "input_bytes": spec.input_bytes, "memory_bytes": spec.memory_bytes, "kernels": spec.kernels,
        "steps": spec.steps, "probability": decision.probability, "propensity": decision.propensity,
        "policy": decision.policy, "selector_version": decision.selector_version,
        "snapshot_version": str(decision.snapshot_version), "reason": decision.reason,
    }  # fmt: skip
    if context.spec is not None:
        columns |= {
            name: getattr(context.spec, name)
            for name in ("gpu_gflops", "gpu_memory_gb", "cpu_tdp_w", "gpu_tdp_w", "ram_gb", "cpu_name", "gpu_name")
        }
        columns |= {"cpu_gflops": granted_gflops(context.spec, decision.cpus), "gflops_basis": "sustained"}
    return columns


def _joules(run: Run, told: Emulated | Energy | None) -> float | None:
    """Eq. 2's energy of a run: the CPU's, and the GPU's where it ran there; None where a part is unknown."""
    if told is None or told.cpu_joules is None:
        return None
    if run.device == "cpu":
        return told.cpu_joules
    return None if told.gpu_joules is None else told.cpu_joules + told.gpu_joules


def _times(run: Run, emulated: Emulated | None, context: NodeContext, energy: Energy | None) -> dict[str, Any]:
    if context.emulated:
        # Real seconds of a host that plays another machine say nothing of that machine.
        provenances = {"time_provenance": "emulated", "energy_provenance": "emulated"}
        return {} if emulated is None else {**emulated._asdict(), **provenances}
    times = {"startup_s": run.startup_s, "compute_s": run.seconds, "time_provenance": "measured"}
    if energy is None or energy.provenance is None:
        return times
    told = ("cpu_joules", "gpu_joules", "cpu_watts", "gpu_watts", "cpu_utilisation", "gpu_utilisation")
    return {
        **times, **{name: getattr(energy, name) for name in told},
        "energy_provenance": energy.provenance, "energy_error": energy.error,
    }  # fmt: skip


_outbox: Outbox | None = None
_context: NodeContext | None = None
_context_until = 0.0
_making = threading.Lock()


def report(run: Run, *, last: bool = False) -> None:
    """Hands a finished run to the outbox. last: the process ends after this one, so the outbox is emptied at once."""
    global _outbox
    if _outbox is None:
        with _making:
            _outbox = _outbox or Outbox()
    _outbox.add(run)
    if last:
        _outbox.send_last()


def node_context() -> NodeContext:
    """What this worker knows of its node. The first task asks the actor; later the outbox's thread does, now and then.

    With no actor to be had a task must run all the same: its node's labels then say whether the node is emulated.
    """
    return _context or _ask_context()


def fresh_context() -> NodeContext:
    """The same, asked anew where what is known is old; not in a task's own time."""
    return _context if _context is not None and time.monotonic() <= _context_until else _ask_context()


def _ask_context() -> NodeContext:
    global _context, _context_until
    from placement.control import call, own_label, own_node_id

    try:
        _context = call("context", own_node_id(), timeout_s=CONTEXT_PATIENCE_S)
    except Exception as error:
        logger.warning("the placement actor told nothing of this node: %s", error)
        _context = _context or NodeContext(own_node_id(), emulated=own_label(EMULATED) == "true")
    _context_until = time.monotonic() + CONTEXT_KEPT_S
    return _context


def forget_context() -> None:
    """The next batch asks the actor anew."""
    global _context_until
    _context_until = 0.0
