"""BatchRun: one batch of a stage's, from its begin to its record, in a process that holds its device for many."""

from __future__ import annotations

from time import perf_counter, process_time, time

from placement.messages.envelope import Envelope, TaskRun
from placement.ray_internals.connection import running_task_id
from placement.spec.task import Device
from placement.worker import device, outbox
from placement.worker.numeric_libraries import gpu_memory_peak

_seen: set[tuple[str, Device]] = set()


class BatchRun:
    """A context in which a batch is computed; leaving it makes the batch's row of the log.

    On an emulated node it also takes the batch's emulated time. seconds: of the run, once it has been left.
    """

    def __init__(self, name: str, envelope: Envelope, on: Device) -> None:
        self._name, self._envelope, self._device = name, envelope, on
        self._context = outbox.node_context()
        self.seconds = 0.0

    def __enter__(self) -> BatchRun:
        self._on_gpu = self._device == "gpu" and not self._context.emulated
        if self._on_gpu:
            gpu_memory_peak()
        self._began, self._start, self._cpu = time(), perf_counter(), process_time()
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        seconds, cpu_seconds = perf_counter() - self._start, process_time() - self._cpu
        key = (self._name, self._device)
        cold = key not in _seen
        _seen.add(key)
        startup = None if cold and self._on_gpu else 0.0
        run = TaskRun(
            self._name, self._envelope.pack(), self._began, seconds, cpu_seconds, startup, self._device, cold, None,
            None if kind is None else kind.__name__, running_task_id(),
            (device.visible() or "") if self._on_gpu else None, gpu_memory_peak() if self._on_gpu else None,
        )  # fmt: skip
        if kind is None:
            self._context.wait_for_emulated_time(self._envelope, run)
        self.seconds = perf_counter() - self._start
        outbox.report(run)

    def emulated_joules(self) -> float:
        """Joules of the run on an emulated node; 0.0 on a real one, whose meters are read later."""
        emulated = self._context.emulate(self._envelope, self._device)
        return 0.0 if emulated is None else (emulated.cpu_joules or 0.0) + (emulated.gpu_joules or 0.0)
