"""What happens in the worker: the device a task may see, its threads, its timing, and its record.

The caller sends an Envelope with the task's arguments; a function that is not placed has none. What runs here
runs with every task, in the task's own time: it is written to cost little.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator
from functools import cache
from time import perf_counter, process_time, thread_time, time
from typing import Any

import ray

from placement.errors import DeviceError
from placement.messages.envelope import ANOTHERS_CUDA, TaskRun, unpack
from placement.ray_internals.connection import running_task_id
from placement.ray_internals.worker_hooks import worker_retires
from placement.spec.task import Device
from placement.worker import device, outbox
from placement.worker.gpu_errors import is_gpu_failure
from placement.worker.worker_retirement import retire_worker

OMP, LAUNCHERS = b"OMP_NUM_THREADS", b"1"

_seen_functions: set[str] = set()
_threads_set: bytes | None = None  # the OMP_NUM_THREADS that this process was given here
_bound_to: str | None = None  # the CUDA_VISIBLE_DEVICES of this process's first GPU task: CUDA stays with that device


def run_plain(function: Callable[..., Any], name: str, args: Any, kwargs: Any) -> Any:
    """Runs a function that is not placed, measured and otherwise untouched."""
    with _Measured(name):
        return function(*args, **kwargs)


def run_plain_generator(function: Callable[..., Any], name: str, args: Any, kwargs: Any) -> Iterator[Any]:
    """As run_plain, for a generator function."""
    with _Measured(name):
        yield from function(*args, **kwargs)


def run_placed(function: Callable[..., Any], name: str, packed: bytes, args: Any, kwargs: Any) -> Any:
    """Runs a placed function on the device decided for it; a GPU failure ends in a run on CPU where that is allowed."""
    with PlacedRun(name, packed) as attempt:
        try:
            return function(*args, **kwargs)
        except Exception as raised:
            if not (attempt.may_fall_back and is_gpu_failure(raised)):
                raise
            why = f"{type(raised).__name__}: {raised}"[:200]
        # Outside the except block, so that the failed run's tensors are not kept alive by its traceback.
        attempt.fall_back(why)
        return function(*args, **kwargs)


def run_placed_generator(
    function: Callable[..., Any], name: str, packed: bytes, args: Any, kwargs: Any
) -> Iterator[Any]:
    """As run_placed, for a generator function; it may have yielded, so it is never run again."""
    with PlacedRun(name, packed):
        yield from function(*args, **kwargs)


class _Measured:
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
        "_began", "_cold", "_context", "_cpu", "_envelope", "_name", "_packed", "_start", "_startup", "_visible",
        "device", "fallback",
    )  # fmt: skip

    def __init__(self, name: str, packed: bytes) -> None:
        self._name, self._packed = name, packed
        self._envelope = unpack(packed)
        self._context = outbox.node_context()
        self.device: Device = self._envelope.decision.device
        self.fallback: str | None = None
        self._startup = 0.0

    @property
    def may_fall_back(self) -> bool:
        """A failure of the GPU may be followed by a run on the CPU."""
        return self._envelope.repeatable and self.device == "gpu" and not self._context.emulated

    def fall_back(self, why: str) -> None:
        """From the GPU to the CPU: cached memory is given back, the GPU is hidden, and no task comes after this one."""
        self.device, self.fallback = "cpu", why
        free_gpu_memory()
        device.hide_gpus()
        retire_worker()

    def __enter__(self) -> PlacedRun:
        decision = self._envelope.decision
        self._visible = device.visible()
        self._cold = _is_cold(self._envelope.key or self._name)
        device.enter(holds=decision.device == "gpu")
        try:
            _set_threads(decision.cpus)
            if decision.device == "cpu" or self._context.emulated:
                device.hide_gpus()
            else:
                self._enter_gpu()
        except BaseException:
            device.leave(self._visible)
            raise
        self._began, self._start, self._cpu = time(), perf_counter(), process_time()
        return self

    def _enter_gpu(self) -> None:
        other = _bound_elsewhere(self._visible or "")
        if other is None:
            device.see_gpu()
            self._startup = _initialise_cuda() if self._cold else 0.0
            _gpu_memory_peak()
        elif self._envelope.repeatable:
            self.fall_back(other)
        else:
            raise DeviceError(f"{other} strict=True or side_effects=True forbids the CPU; submit the task again.")

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        seconds, cpu_seconds = perf_counter() - self._start, process_time() - self._cpu
        on_gpu = self.device == "gpu" and not self._context.emulated
        memory_bytes = None
        if on_gpu:
            memory_bytes = _gpu_memory_peak()
            free_gpu_memory()
        device.leave(self._visible)
        error = None if kind is None else kind.__name__
        visible = (self._visible or "") if on_gpu else None
        run = TaskRun(
            self._name, self._packed, self._began, seconds, cpu_seconds, self._startup, self.device, self._cold,
            self.fallback, error, running_task_id(), visible, memory_bytes,
        )  # fmt: skip
        self._context.wait_for_emulated_time(self._envelope, run)
        outbox.report(run, last=worker_retires())


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


def _set_threads(cpus: float) -> None:
    """Gives the numerical libraries the CPUs granted, which the ones loaded by an earlier task do not know.

    Ray sets OMP_NUM_THREADS to these where it is not set. Its cluster launcher exports a 1 on every node, which says
    nothing of this task; any other value, or one of the runtime_env, is the user's own, and holds.
    """
    global _threads_set
    threads = max(1, int(cpus))
    given, wanted = device.variable(OMP), b"%d" % threads
    if given != wanted:
        if given not in (None, _threads_set) and (given != LAUNCHERS or _users_own_threads()):
            return
        os.environ["OMP_NUM_THREADS"], _threads_set = str(threads), wanted
    torch = sys.modules.get("torch")
    if torch is not None and torch.get_num_threads() != threads:
        torch.set_num_threads(threads)
    xgboost = sys.modules.get("xgboost")
    if xgboost is not None:
        xgboost.set_config(nthread=threads)


@cache
def _users_own_threads() -> bool:
    """This worker's runtime_env says how many; a worker has one for its whole life."""
    return "OMP_NUM_THREADS" in (ray.get_runtime_context().runtime_env.get("env_vars") or {})


def _initialise_cuda() -> float:
    """Seconds that making the CUDA context takes, where torch is there; apart from the task's own time."""
    torch = sys.modules.get("torch")
    if torch is None or torch.cuda.is_initialized() or not torch.cuda.is_available():
        return 0.0
    start = perf_counter()
    torch.zeros(1, device="cuda")
    return perf_counter() - start


def free_gpu_memory() -> None:
    """Gives cached device memory back, so that the next task on this GPU finds it."""
    torch = sys.modules.get("torch")
    if torch is not None and torch.cuda.is_initialized():
        torch.cuda.empty_cache()


def _gpu_memory_peak() -> float | None:
    """Most bytes that torch has held of the device since this was last asked; None where torch uses no GPU here."""
    torch = sys.modules.get("torch")
    if torch is None or not torch.cuda.is_initialized():
        return None
    peak = float(torch.cuda.max_memory_reserved())
    torch.cuda.reset_peak_memory_stats()
    return peak
