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


class BatchResult(NamedTuple):
    """The result of a batch. seconds: of its computation.  joules: None where they are not known here."""

    outputs: list[Any]
    seconds: float
    joules: float | None


class RunEnd(NamedTuple):
    """A worker's report to the broker that a run has ended. seconds, joules: as `BatchResult` has them.

    ran: it raised nothing.  failure: of the GPU.
    """

    worker: int
    device: Device
    ticket: int
    rows: int
    seconds: float
    joules: float | None
    ran: bool
    failure: GpuFailure | None


class DeviceWorker:
    """A worker of a stage. Its broker hears from it when a batch has ended, whoever waits for the result."""

    def __init__(self, stage: Stage, on: Device, cpus: float, broker: Any, number: int) -> None:
        enter_actor(self)
        self._threads = ThreadLimits(cpus)
        self._stage, self._device, self._broker, self._number = stage, on, broker, number
        self._reader = spec_reader(stage)
        self._function: Any = None

    def setup(self) -> tuple[float, str]:
        """Makes the instance of the user's class; (the seconds that took, this node). Raises what its constructor
        raises.
        """
        start = time.perf_counter()
        self._function = instantiate(self._stage)
        seconds = time.perf_counter() - start
        outbox.node_context()  # so that the first batch does not wait for the placement actor
        return seconds, ray.get_runtime_context().get_node_id()

    @ray.method(concurrency_group="watch")
    def wait(self) -> None:
        """Never returns: a call of it that fails tells that this worker has gone."""
        threading.Event().wait()

    def leave(self) -> None:
        """Sends the rows of the log that are still here. The broker ends the worker next."""
        outbox.send_last()

    def run(self, ticket: int, packed: bytes, largest: int | None, batch: Any) -> BatchResult | GpuFailure:
        """Computes a batch, in parts of at most `largest` rows. Raises what the user's code raises."""
        start, result = time.perf_counter(), None
        try:
            result = self._run(unpack(packed), largest, batch)
            return result
        finally:
            ran = result if isinstance(result, BatchResult) else BatchResult([], time.perf_counter() - start, None)
            failure = result if isinstance(result, GpuFailure) else None
            end = RunEnd(
                self._number, self._device, ticket, rows_of(batch), ran.seconds, ran.joules, ran is result, failure
            )
            self._broker.ended.remote(end)

    def _run(self, envelope: Envelope, largest: int | None, batch: Any) -> BatchResult | GpuFailure:
        made: list[Any] = []
        seconds, joules = 0.0, 0.0
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
            joules += run.emulated_joules()
        else:
            return BatchResult(made, seconds, joules or None)
        free_gpu_memory()  # outside the except block, so that the failed run's tensors are not kept by its traceback
        return failure

    def _gpu_failure(self, error: Exception, rows: int) -> GpuFailure | None:
        if self._device != "gpu" or self._stage.options.strict or self._stage.options.side_effects:
            return None
        if not is_gpu_failure(error, device.visible()):
            return None
        text = f"{type(error).__name__}: {error}"[:200]
        return GpuFailure(text, rows, "memory" in text.lower() or "alloc" in text.lower())
