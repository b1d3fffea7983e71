"""What happens in the worker: the device a task may see, its threads, its timing, and its record.

The caller sends an Envelope before the task's own arguments; a function that is not placed has none.
"""

from __future__ import annotations

import marshal
import os
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import fields
from functools import lru_cache
from typing import Any, NamedTuple

from placement.decision import Decision
from placement.errors import DeviceError
from placement.task import Device, Operation, TaskSpec

CUDA = "CUDA_VISIBLE_DEVICES"
MAX_CALLS = 1_000_000_000
"""The max_calls of a worker that is kept: never reached by counting; Ray retires the worker once told that it was."""
SPEC_FIELDS = tuple(f.name for f in fields(TaskSpec) if f.name != "operations")
GPU_FAILURES = (
    "OutOfMemoryError",
    "AcceleratorError",
    "OutOfMemory",
    "MemoryError",
    "CUDARuntimeError",
    "XGBoostError",
)
GPU_FAILURE_TEXTS = ("out of memory", "no cuda-capable device", "cuda error", "device-side", "gpu is lost", "cudaerror")


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

    repeatable: a GPU failure may be followed by a run on CPU.  label: the user's name for the function.
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
        return marshal.dumps(
            (_plain(spec), operations and tuple(_plain(o) for o in operations), decision, self.repeatable)
        )


def _plain(values: tuple[Any, ...]) -> tuple[Any, ...]:
    """NumPy's numbers as Python's own; marshal takes no others."""
    return tuple(
        v if v is None or type(v) in (int, float, str, bool) else v.item() if hasattr(v, "item") else float(v)
        for v in values
    )


@lru_cache(maxsize=4096)
def unpack(packed: bytes) -> Envelope:
    """The Envelope of `pack`'s bytes; kept, since the same one comes with every task of a size."""
    spec, operations, decision, repeatable = marshal.loads(packed)  # from our own caller, over Ray
    ops = None if operations is None else tuple(Operation(*operation) for operation in operations)
    task = TaskSpec(**dict(zip(SPEC_FIELDS, spec, strict=True)), operations=ops)
    return Envelope(task, Decision(*decision), repeatable)


class Run(NamedTuple):
    """One finished task, as the worker saw it; the reporter makes a row of it. Times in seconds.

    visible: the CUDA_VISIBLE_DEVICES of a GPU run, None for one on the CPU.  memory_bytes: most that torch held of the
    device's memory; None where it was not asked.
    """

    function: str
    packed: bytes | None
    began: float
    seconds: float
    cpu_seconds: float
    startup_s: float
    device: Device
    cold: bool
    fallback: str | None
    error: str | None
    task_id: str | None
    visible: str | None = None
    memory_bytes: float | None = None


_device: str | None = None  # None: nothing here was placed; what Ray granted tells
_holds_gpu = False
_seen_functions: set[str] = set()
ANOTHERS_CUDA = "this worker's CUDA was made for"
_bound_to: str | None = None  # the CUDA_VISIBLE_DEVICES of this process's first GPU task: CUDA stays with that device


def current_device() -> str:
    """The device of the task that runs in this worker: "cpu" or "cuda:0". On an emulated node always "cpu".

    Also right in an ordinary task or actor that was given num_gpus.
    """
    if _device is not None:
        return _device
    return "cuda:0" if granted_gpu() and not on_emulated_node() else "cpu"


def granted_gpu() -> bool:
    """Ray granted the running task or actor a GPU, or a part of one."""
    ray = sys.modules.get("ray")
    if ray is None or not ray.is_initialized() or ray._private.worker.global_worker.mode != ray.WORKER_MODE:
        return False
    return bool(ray.get_gpu_ids())


def on_emulated_node() -> bool:
    """This process runs on a node that plays another machine."""
    from placement.control import own_label
    from placement.node import EMULATED

    return own_label(EMULATED) == "true"


def holds_gpu() -> bool:
    """The task running in this worker holds a GPU, which Ray does not release while it waits for a child."""
    return _holds_gpu or (_device is None and granted_gpu())


def run_plain(function: Callable[..., Any], name: str, args: Any, kwargs: Any) -> Any:
    """Runs a function that is not placed, measured and otherwise untouched."""
    began, start, cpu = time.time(), time.perf_counter(), time.thread_time()
    error = None
    try:
        return function(*args, **kwargs)
    except BaseException as raised:
        error = type(raised).__name__
        raise
    finally:
        seconds = time.perf_counter() - start
        _report(
            Run(name, None, began, seconds, time.thread_time() - cpu, 0.0, "cpu", _is_cold(name), None, error, None)
        )


def run_placed(function: Callable[..., Any], name: str, packed: bytes, args: Any, kwargs: Any) -> Any:
    """Runs a placed function on the device decided for it; a GPU failure ends in a run on CPU where that is allowed."""
    envelope = unpack(packed)
    with _placed(name, packed, envelope) as attempt:
        try:
            return function(*args, **kwargs)
        except Exception as raised:
            if not (
                envelope.repeatable and attempt.device == "gpu" and not attempt.emulated and is_gpu_failure(raised)
            ):
                raise
            why = f"{type(raised).__name__}: {raised}"[:200]
        # Outside the except block, so that the failed run's tensors are not kept alive by its traceback.
        attempt.fall_back(why)
        return function(*args, **kwargs)


def run_placed_generator(
    function: Callable[..., Any], name: str, packed: bytes, args: Any, kwargs: Any
) -> Iterator[Any]:
    """As run_placed, for a generator function; it may have yielded, so it is never run again."""
    with _placed(name, packed, unpack(packed)):
        yield from function(*args, **kwargs)


def run_plain_generator(function: Callable[..., Any], name: str, args: Any, kwargs: Any) -> Iterator[Any]:
    """As run_plain, for a generator function."""
    began, start, cpu = time.time(), time.perf_counter(), time.thread_time()
    error = None
    try:
        yield from function(*args, **kwargs)
    except BaseException as raised:
        error = type(raised).__name__
        raise
    finally:
        seconds = time.perf_counter() - start
        _report(
            Run(name, None, began, seconds, time.thread_time() - cpu, 0.0, "cpu", _is_cold(name), None, error, None)
        )


def is_gpu_failure(error: BaseException) -> bool:
    """Out of device memory, or a GPU that is lost: torch's, XGBoost's and CuPy's errors, by name and text."""
    if isinstance(error, MemoryError) and type(error) is MemoryError:
        return False  # the host's memory
    text = str(error).lower()
    if type(error).__name__ not in GPU_FAILURES and not isinstance(error, RuntimeError):
        return False
    return type(error).__name__ == "OutOfMemoryError" or any(part in text for part in GPU_FAILURE_TEXTS)


class _Attempt:
    """The device of the run under way and what became of it."""

    def __init__(self, device: Device, emulated: bool) -> None:
        self.device = device
        self.emulated = emulated
        self.fallback: str | None = None

    def fall_back(self, why: str) -> None:
        """From the GPU to the CPU: cached memory is given back, the GPU is hidden, and no task comes after this one."""
        self.device, self.fallback = "cpu", why
        free_gpu_memory()
        _show("cpu", "")
        retire_worker()


def _bound_elsewhere(visible: str) -> str | None:
    """Why this process cannot use the GPU it was given now; None where it can."""
    global _bound_to
    if _bound_to is None:
        _bound_to = visible
    if visible == _bound_to:
        return None
    retire_worker()
    return f"{ANOTHERS_CUDA} GPU {_bound_to or 'none'}, and it is now given {visible or 'none'}."


@contextmanager
def _placed(name: str, packed: bytes, envelope: Envelope) -> Iterator[_Attempt]:
    global _device, _holds_gpu
    from placement.reporting import node_context

    context = node_context()
    decision = envelope.decision
    attempt = _Attempt(decision.device, context.emulated)
    visible = os.environ.get(CUDA)
    other = _bound_elsewhere(visible or "") if decision.device == "gpu" and not context.emulated else None
    if other is not None and not envelope.repeatable:
        raise DeviceError(f"{other} strict=True or side_effects=True forbids the CPU; submit the task again.")
    cold = _is_cold(name)
    startup = 0.0
    _holds_gpu = decision.device == "gpu"
    _set_threads(decision.cpus)
    if decision.device == "cpu" or context.emulated:
        _show("cpu", "")
    elif other is not None:
        attempt.fall_back(other)
    else:
        _device = "cuda:0"
        startup = _initialise_cuda() if cold else 0.0
        _gpu_memory_peak()
    began, start, cpu = time.time(), time.perf_counter(), time.process_time()
    error = None
    try:
        yield attempt
    except BaseException as raised:
        error = type(raised).__name__
        raise
    finally:
        seconds, cpu_seconds = time.perf_counter() - start, time.process_time() - cpu
        device = attempt.device
        on_gpu = device == "gpu" and not context.emulated
        memory_bytes = _gpu_memory_peak() if on_gpu else None
        if on_gpu:
            free_gpu_memory()
        _device, _holds_gpu = None, False
        _restore(visible)
        run = Run(
            name, packed, began, seconds, cpu_seconds, startup, device, cold, attempt.fallback, error, _task_id(),
            (visible or "") if on_gpu else None, memory_bytes,
        )  # fmt: skip
        context.wait_for_emulated_time(envelope, run)
        _report(run)


def _show(device: str, visible: str) -> None:
    global _device
    _device = device
    os.environ[CUDA] = visible


def _restore(visible: str | None) -> None:
    if visible is None:
        os.environ.pop(CUDA, None)
    else:
        os.environ[CUDA] = visible


def _is_cold(name: str) -> bool:
    """The first run of a function in this process: it pays imports, model building and caches."""
    if name in _seen_functions:
        return False
    _seen_functions.add(name)
    return True


def _set_threads(cpus: float) -> None:
    """Gives the numerical libraries the CPUs granted; Ray leaves them at one thread unless num_cpus says more."""
    threads = max(1, int(cpus))
    if os.environ.get("OMP_NUM_THREADS") != str(threads):
        os.environ["OMP_NUM_THREADS"] = str(threads)
    torch = sys.modules.get("torch")
    if torch is not None and torch.get_num_threads() != threads:
        torch.set_num_threads(threads)
    xgboost = sys.modules.get("xgboost")
    if xgboost is not None:
        xgboost.set_config(nthread=threads)


def _initialise_cuda() -> float:
    """Seconds that making the CUDA context takes, where torch is there; apart from the task's own time."""
    torch = sys.modules.get("torch")
    if torch is None or torch.cuda.is_initialized() or not torch.cuda.is_available():
        return 0.0
    start = time.perf_counter()
    torch.zeros(1, device="cuda")
    return time.perf_counter() - start


def retire_worker() -> None:
    """Ray ends this worker after the task under way, as it does one that has reached its max_calls.

    A process whose CUDA context has failed may fail again, or keep the memory that it could not give back.
    """
    from ray._private.worker import global_worker

    manager = global_worker.function_actor_manager
    for function_id, info in manager._function_execution_info.items():
        if info.max_calls == MAX_CALLS:
            manager._num_task_executions[function_id] = MAX_CALLS - 1


def worker_retires() -> bool:
    """Ray ends this worker after the task under way: some function of its has reached its max_calls."""
    from ray._private.worker import global_worker

    manager = global_worker.function_actor_manager
    return any(
        info.max_calls and manager._num_task_executions[function_id] + 1 >= info.max_calls
        for function_id, info in manager._function_execution_info.items()
    )


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


def _task_id() -> str | None:
    from ray import get_runtime_context

    return get_runtime_context().get_task_id()


def _report(run: Run) -> None:
    from placement.reporting import report

    report(run, last=worker_retires())
