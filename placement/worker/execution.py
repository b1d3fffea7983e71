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
from placement.ray_internals.connection import running_task_id
from placement.ray_internals.worker_hooks import worker_retires
from placement.spec.task import Device
from placement.worker import device, outbox
from placement.worker.gpu_errors import is_gpu_failure, needs_fresh_process, speaks_of_gpu
from placement.worker.kept_worker import ProcessState
from placement.worker.numeric_libraries import free_gpu_memory, gpu_memory_peak, torch_uses_cuda
from placement.worker.shared_gpu import SharedGpu
from placement.worker.thread_limits import ThreadLimits
from placement.worker.worker_retirement import retire_worker

logger = logging.getLogger("placement")

ON_CPU = (
    "It ran on a CPU, where a placed task sees no GPU. Code that must have one is given it by device='gpu'; code that "
    "may run on either takes its device from placement.current_device()."
)
_seen_functions: set[str] = set()
_bound_to: str | None = None  # the CUDA_VISIBLE_DEVICES of this process's first GPU task: CUDA stays with that device


def run_plain(function: Callable[..., Any], name: str, args: Any, kwargs: Any) -> Any:
    """Runs a function that is not placed, measured and otherwise untouched."""
    with _OrdinaryRun(name):
        return function(*args, **kwargs)


def run_plain_generator(function: Callable[..., Any], name: str, args: Any, kwargs: Any) -> Iterator[Any]:
    """Runs a generator function that is not placed; like run_plain."""
    with _OrdinaryRun(name):
        yield from function(*args, **kwargs)


def run_placed(function: Callable[..., Any], name: str, packed: bytes, args: Any, kwargs: Any) -> Any:
    """Runs a placed function on the device decided for it; a GPU failure ends in a run on CPU where that is allowed."""
    with PlacedRun(name, packed) as attempt:
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
    function: Callable[..., Any], name: str, packed: bytes, args: Any, kwargs: Any
) -> Iterator[Any]:
    """Runs a placed generator function. It may have yielded when it fails, so it is never run again."""
    with PlacedRun(name, packed):
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
        cold = _is_cold(self._name)
        outbox.report(
            TaskRun(self._name, None, self._began, seconds, cpu_seconds, 0.0, "cpu", cold, None, error, None),
            last=worker_retires(),
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
        "device",
        "fallback",
    )  # fmt: skip

    def __init__(self, name: str, packed: bytes) -> None:
        self._name, self._packed = name, packed
        self._envelope = unpack(packed)
        self._context = outbox.node_context()
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
        retire_worker()

    def __enter__(self) -> PlacedRun:
        decision = self._envelope.decision
        self._visible = device.visible()
        self._cold = _is_cold(self._envelope.key or self._name)
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
            self._shared = SharedGpu(self._visible or "", busy)
        self._began, self._start, self._cpu = time(), perf_counter(), process_time()
        return self

    def _enter_gpu(self) -> None:
        """CUDA is left to the user's code, which may set up its allocator or fork first."""
        first = _bound_to is None
        other = _bound_elsewhere(self._visible or "")
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
            retire_worker()
        return peak

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, *_: object) -> None:
        seconds, cpu_seconds = perf_counter() - self._start, process_time() - self._cpu
        if error is not None and self._envelope.decision.device == "cpu" and speaks_of_gpu(error):
            error.add_note(ON_CPU)
        on_gpu = self.device == "gpu" and not self._context.emulated
        memory_bytes = self._leave_gpu() if on_gpu else None
        self._leave()
        visible = (self._visible or "") if on_gpu else None
        retires = worker_retires()
        cold = self._cold and not (on_gpu and retires)  # a GPU worker that always ends pays its start-up every time
        shared = self._shared
        if shared is not None and self.fallback is None:
            shared.look()
        beside = (None, None) if shared is None else (shared.neighbours, shared.utilisation)
        run = TaskRun(
            self._name, self._packed, self._began, seconds, cpu_seconds, self._startup, self.device, cold,
            self.fallback, None if kind is None else kind.__name__, running_task_id(), visible, memory_bytes, *beside,
        )  # fmt: skip
        self._context.wait_for_emulated_time(self._envelope, run)
        if shared is not None and self.fallback is None:
            shared.leave()
            run = run._replace(neighbours=shared.neighbours, neighbour_utilisation=shared.utilisation)
        outbox.report(run, last=retires)


def _bound_elsewhere(visible: str) -> str | None:
    """Why this process cannot use the GPU it was given now; None where it can."""
    global _bound_to
    if _bound_to is None:
        _bound_to = visible
    if visible == _bound_to:
        return None
    retire_worker()
    return f"{ANOTHERS_CUDA} GPU {_bound_to or 'none'}, and it is now given {visible or 'none'}."


def _is_cold(name: str) -> bool:
    """The first run of a function in this process: it pays imports, model building and caches."""
    if name in _seen_functions:
        return False
    _seen_functions.add(name)
    return True
