"""The run of a task in its worker: the device it may see, its threads, its timing, and its record.

The caller sends an Envelope with the task's arguments; a function that is not placed has none. What runs here
runs with every task, in the task's own time: it is written to cost little.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from time import perf_counter, process_time, thread_time, time
from typing import Any

from placement.errors import DeviceError
from placement.messages.envelope import ANOTHERS_CUDA, TaskRun, unpack
from placement.spec.task import Device
from placement.worker import device
from placement.worker.gpu_errors import is_gpu_failure, needs_fresh_process, speaks_of_gpu
from placement.worker.kept_worker import ProcessState
from placement.worker.numeric_libraries import free_gpu_memory, gpu_memory_peak, torch_uses_cuda
from placement.worker.shared_gpu import SharedGpu
from placement.worker.thread_limits import ThreadLimits
from placement.worker.worker_process import THIS_PROCESS, WorkerProcess

logger = logging.getLogger("placement")

ON_CPU = (
    "It ran on a CPU, where a placed task sees no GPU. Code that must have one is given it by device='gpu'; code that "
    "may run on either takes its device from placement.current_device()."
)


def run_plain(function: Callable[..., Any], name: str, args: Any, kwargs: Any) -> Any:
    """Runs a function that is not placed, measured and otherwise untouched."""
    with _OrdinaryRun(name):
        return function(*args, **kwargs)


def run_plain_generator(function: Callable[..., Any], name: str, args: Any, kwargs: Any) -> Iterator[Any]:
    """Runs a generator function that is not placed; like run_plain."""
    with _OrdinaryRun(name):
        yield from function(*args, **kwargs)


def run_placed(
    function: Callable[..., Any], name: str, packed: bytes, args: Any, kwargs: Any, worker: WorkerProcess = THIS_PROCESS
) -> Any:
    """Runs a placed function on the device decided for it; a GPU failure ends in a run on CPU where that is allowed."""
    with PlacedRun(name, packed, worker) as attempt:
        try:
            return function(*args, **kwargs)
        except Exception as raised:
            why = attempt.reason_to_fall_back(raised)
            if why is None:
                raise
        # Outside the except block, so that the failed run's tensors are not kept alive by its traceback.
        attempt.fall_back(why)
        return function(*args, **kwargs)


def run_placed_generator(
    function: Callable[..., Any], name: str, packed: bytes, args: Any, kwargs: Any, worker: WorkerProcess = THIS_PROCESS
) -> Iterator[Any]:
    """Runs a placed generator function. It may have yielded when it fails, so it is never run again."""
    with PlacedRun(name, packed, worker):
        yield from function(*args, **kwargs)


class _OrdinaryRun:
    """An ordinary task from its begin to its record."""

    __slots__ = ("_began", "_cpu", "_name", "_start")

    def __init__(self, name: str) -> None:
        self._name = name

    def __enter__(self) -> None:
        self._began, self._start, self._cpu = time(), perf_counter(), thread_time()

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        seconds, cpu_seconds = perf_counter() - self._start, thread_time() - self._cpu
        error = None if kind is None else kind.__name__
        cold = THIS_PROCESS.is_cold(self._name)
        THIS_PROCESS.report(
            TaskRun(self._name, None, self._began, seconds, cpu_seconds, 0.0, "cpu", cold, None, error, None),
            last=THIS_PROCESS.retires(),
        )


class PlacedRun:
    """A placed task from its begin to its record: its device, and what became of it."""

    __slots__ = (
        "_began",
        "_cold",
        "_context",
        "_cpu",
        "_cuda_was_up",
        "_envelope",
        "_name",
        "_packed",
        "_process",
        "_shared",
        "_start",
        "_startup",
        "_threads",
        "_visible",
        "_worker",
        "device",
        "fallback",
    )  # fmt: skip

    def __init__(self, name: str, packed: bytes, worker: WorkerProcess = THIS_PROCESS) -> None:
        self._name, self._packed, self._worker = name, packed, worker
        self._envelope = unpack(packed)
        self._context = worker.node_context()
        self.device: Device = self._envelope.decision.device
        self.fallback: str | None = None
        self._startup: float | None = 0.0
        self._process: ProcessState | None = None
        self._shared: SharedGpu | None = None
        self._cuda_was_up = False

    def reason_to_fall_back(self, error: Exception) -> str | None:
        """Why this error is followed by a run on the CPU; None where it is the user's own, or nothing may run twice."""
        if not self._envelope.repeatable or self.device != "gpu" or self._context.emulated:
            return None
        why = f"{type(error).__name__}: {error}"[:200]
        if self._cuda_was_up and needs_fresh_process(error):
            return f"{ANOTHERS_CUDA} an earlier task. {why}"
        return why if is_gpu_failure(error, self._visible) else None

    def fall_back(self, why: str) -> None:
        """From the GPU to the CPU: cached memory is given back, the GPU is hidden, and no task comes after this one."""
        self.device, self.fallback = "cpu", why
        if self._shared is not None:
            self._shared.leave()
        free_gpu_memory()
        device.hide_gpus()
        self._worker.retire()

    def __enter__(self) -> PlacedRun:
        decision = self._envelope.decision
        self._visible = device.visible()
        self._cold = self._worker.is_cold(self._envelope.key or self._name)
        device.enter(holds=decision.device == "gpu")
        self._threads = ThreadLimits(decision.cpus)
        try:
            if decision.device == "cpu" or self._context.emulated:
                device.use_cpu()
            else:
                self._enter_gpu()
        except BaseException:
            self._leave()
            raise
        if decision.device == "gpu" and decision.gpus < 1:
            busy = decision.gpus if decision.gpu_busy is None else decision.gpu_busy
            self._shared = self._worker.shared_gpu(self._visible or "", busy)
        self._began, self._start, self._cpu = time(), perf_counter(), process_time()
        return self

    def _enter_gpu(self) -> None:
        """CUDA is left to the user's code, which may set up its allocator or fork first."""
        first = not self._worker.has_run_on_gpu
        other = self._worker.bound_elsewhere(self._visible or "")
        if other is None:
            device.see_gpu()
            self._process = ProcessState()
            self._cuda_was_up = not first and torch_uses_cuda()
            if first:
                self._cold, self._startup = True, None
            else:
                gpu_memory_peak()
        elif self._envelope.repeatable:
            self.fall_back(other)
        else:
            raise DeviceError(f"{other} strict=True or side_effects=True forbids the CPU; submit the task again.")

    def _leave(self) -> None:
        """The process is as the task found it."""
        self._threads.restore()
        device.leave(self._visible)

    def _leave_gpu(self) -> float | None:
        """Gives cached memory back, and ends the worker where it cannot be kept; the peak of device memory, bytes."""
        peak = gpu_memory_peak()
        if not self._cuda_was_up and torch_uses_cuda():
            self._cold, self._startup = True, None  # CUDA's start-up is somewhere in the task's own seconds
        free_gpu_memory()
        reason = self._process and self._process.reason_to_end()
        if reason:
            logger.debug("this worker ends after %s: %s", self._name, reason)
            self._worker.retire()
        return peak

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, *_: object) -> None:
        seconds, cpu_seconds = perf_counter() - self._start, process_time() - self._cpu
        if error is not None and self._envelope.decision.device == "cpu" and speaks_of_gpu(error):
            error.add_note(ON_CPU)
        on_gpu = self.device == "gpu" and not self._context.emulated
        memory_bytes = self._leave_gpu() if on_gpu else None
        self._leave()
        visible = (self._visible or "") if on_gpu else None
        retires = self._worker.retires()
        cold = self._cold and not (on_gpu and retires)  # a GPU worker that always ends pays its start-up every time
        shared = self._shared
        if shared is not None and self.fallback is None:
            shared.look()
        beside = (None, None) if shared is None else (shared.neighbours, shared.utilisation)
        run = TaskRun(
            self._name, self._packed, self._began, seconds, cpu_seconds, self._startup, self.device, cold,
            self.fallback, None if kind is None else kind.__name__, self._worker.running_task_id(),
            visible, memory_bytes, *beside,
        )  # fmt: skip
        self._context.wait_for_emulated_time(self._envelope, run)
        if shared is not None and self.fallback is None:
            shared.leave()
            run = run._replace(neighbours=shared.neighbours, neighbour_utilisation=shared.utilisation)
        self._worker.report(run, last=retires)
