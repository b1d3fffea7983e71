"""DeviceWorker: the actor that holds the user's function, or an instance of the user's class, on one device."""

from __future__ import annotations

import threading
import time
from typing import Any, NamedTuple

import ray

from placement.messages.envelope import Envelope, unpack
from placement.spec.task import Device
from placement.stages.batches import described, rows_of, slices, writable
from placement.stages.requests import spec_of, spec_reader
from placement.stages.stage import Stage
from placement.stages.user_function import instantiate, outputs
from placement.worker import device, outbox
from placement.worker.actor_entry import enter_actor
from placement.worker.batch_run import BatchRun
from placement.worker.gpu_errors import is_gpu_failure
from placement.worker.numeric_libraries import free_gpu_memory
from placement.worker.thread_limits import ThreadLimits


class GpuFailure(NamedTuple):
    """A batch that the GPU could not compute: it runs on a CPU next.

    rows: of the part that failed.  of_memory: for want of device memory, so that smaller batches may do.
    """

    why: str
    rows: int
    of_memory: bool


class Ran(NamedTuple):
    """The result of a batch. seconds: of its computation."""

    outputs: list[Any]
    seconds: float


class DeviceWorker:
    """A worker of a stage. Its broker hears from it when a batch has ended, whoever waits for the result."""

    def __init__(self, stage: Stage, on: Device, cpus: float, broker: Any, number: int) -> None:
        enter_actor(self)
        self._threads = ThreadLimits(cpus)
        self._stage, self._device, self._broker, self._number = stage, on, broker, number
        self._reader = spec_reader(stage)
        self._function: Any = None

    def setup(self) -> float:
        """Makes the instance of the user's class; the seconds that took. Raises what its constructor raises."""
        start = time.perf_counter()
        self._function = instantiate(self._stage)
        return time.perf_counter() - start

    @ray.method(concurrency_group="watch")
    def wait(self) -> None:
        """Never returns: a call of it that fails tells that this worker has gone."""
        threading.Event().wait()

    def leave(self) -> None:
        """Sends the rows of the log that are still here. The broker ends the worker next."""
        outbox.send_last()

    def run(self, ticket: int, packed: bytes, largest: int | None, batch: Any) -> Ran | GpuFailure:
        """Computes a batch, in parts of at most `largest` rows. Raises what the user's code raises."""
        start, result = time.perf_counter(), None
        try:
            result = self._run(unpack(packed), largest, batch)
            return result
        finally:
            failure = result if isinstance(result, GpuFailure) else None
            seconds = result.seconds if isinstance(result, Ran) else time.perf_counter() - start
            self._broker.ended.remote(self._number, ticket, rows_of(batch), seconds, failure, result is not None)

    def _run(self, envelope: Envelope, largest: int | None, batch: Any) -> Ran | GpuFailure:
        made: list[Any] = []
        seconds = 0.0
        for part in slices(writable(batch) if self._stage.writable else batch, largest):
            whole = rows_of(part) == rows_of(batch)
            own = envelope if whole else envelope._replace(spec=spec_of(self._stage, self._reader.task, part))
            run = BatchRun(self._stage.name, own, self._device)
            try:
                with run:
                    made += outputs(self._function, self._stage, part)
            except Exception as error:
                failure = self._gpu_failure(error, rows_of(part))
                if failure is None:
                    error.add_note(f"It was {described(part)} of stage {self._stage.name}, on the {self._device}.")
                    raise
                break
            seconds += run.seconds
        else:
            return Ran(made, seconds)
        free_gpu_memory()  # outside the except block, so that the failed run's tensors are not kept by its traceback
        return failure

    def _gpu_failure(self, error: Exception, rows: int) -> GpuFailure | None:
        if self._device != "gpu" or self._stage.options.strict or self._stage.options.side_effects:
            return None
        if not is_gpu_failure(error, device.visible()):
            return None
        text = f"{type(error).__name__}: {error}"[:200]
        return GpuFailure(text, rows, "memory" in text.lower() or "alloc" in text.lower())
