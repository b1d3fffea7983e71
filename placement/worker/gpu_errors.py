"""Errors that a GPU is to blame for: out of device memory, no driver, a device that is lost, a broken CUDA context.

No library is imported for it. An error is known by its type, by the module that raised it, by what it says, by the
errors that it was raised from, and by what the driver says at that moment. The host's memory, the failure of another
Ray task and Python's own errors of logic are never a GPU's.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from ray.exceptions import RayError

from placement.worker.numeric_libraries import courtesy, torch_cuda_fails

LONGEST_CHAIN = 50
LOGIC = (
    ValueError, TypeError, LookupError, AttributeError, NameError, AssertionError, ArithmeticError, StopIteration,
    StopAsyncIteration, SyntaxError, BufferError, EOFError, NotImplementedError, RecursionError,
)  # fmt: skip
"""Python's own classes for mistakes of the program; a GPU's only where a library raises them."""
LIBRARIES = frozenset((
    "torch", "jax", "jaxlib", "tensorflow", "keras", "onnxruntime", "xgboost", "lightgbm", "catboost", "numba",
    "triton", "paddle", "mxnet",
))  # fmt: skip
"""Libraries that compute on either device: on a GPU run their failures of memory are the device's."""
GPU_LIBRARIES = frozenset((
    "cudf", "cuml", "cugraph", "cuvs", "cupy", "cupy_backends", "cupyx", "rmm", "pylibraft", "pycuda", "pynvml",
    "nvidia", "cuda", "tensorrt",
))  # fmt: skip
"""Libraries that compute on GPUs alone, some of which raise MemoryError for the device's memory."""

_DEVICE = re.compile(
    r"cuda|cudnn|cublas|cufft|curand|cusolver|cusparse|\brmm\b|nccl|nvrtc|nvml|nvidia|opencl|"
    r"\bcu(?:Init|Mem|Ctx|Device|Launch|Stream|Module|Event)|(?<![a-z])gpus?(?![a-z])|device[ -](?:memory|side)|\bxla",
    re.IGNORECASE,
)
_CLASS_NAME = re.compile(
    r"out_?of_?memory|resource_?exhausted|accelerator|xla|jaxruntime|xgboost|lightgbm", re.IGNORECASE
)
_OUT_OF_MEMORY_CLASS = re.compile(r"out_?of_?memory", re.IGNORECASE)
_MEMORY = re.compile(
    r"out[ _-]of[ _-]memory|\boom\b|resource[ _]exhausted|memory_?allocation|alloc_failed|bad_alloc|"
    r"(?:fail|unable|could not|cannot|can't)\w*(?: to)? (?:allocate|reserve)|(?:insufficient|not enough)[\w ]* memory|"
    r"alloc\w* failed",
    re.IGNORECASE,
)
_FAILURE = re.compile(
    r"(?:cu[a-z]+|nccl|nvrtc|nvml|gpu|device)[ _:-]*(?:driver |runtime |kernel )?(?:error|failure|exception)|"
    r"_status_(?!success)|not[ _](?:been )?initiali[sz]ed|initiali[sz]ation (?:error|failed)|"
    r"(?:unable|failed|could not)(?: to)? (?:initiali[sz]e|load)|cannot open shared object|"
    r"\bno (?:[\w'-]+ ){0,6}?(?:gpu|device|driver|platform)s?\b|is_available\(\) is false|not compiled with|"
    r"(?:gpus?|devices?|driver)[\w() -]{0,24}(?:not (?:found|available|detected|present)|unavailable|insufficient)|"
    r"gpu is lost|fallen off the bus|illegal (?:memory access|address|instruction)|misaligned|"
    r"launch (?:failure|failed|timed out)|"
    r"device-side assert|uncorrectable|unknown error|invalid device ordinal|no kernel image",
    re.IGNORECASE,
)
_HOST = re.compile(
    r"cpu_?allocator|alloc_cpu|allocator cpu|device:cpu|\bmmap\b|errno 12|cannot allocate memory|shared memory|"
    r"/dev/shm|host memory|killed by signal",
    re.IGNORECASE,
)
_FRESH_PROCESS = re.compile(
    r"re-?initiali[sz]e cuda in forked|cannot be modified after being initiali[sz]ed|already initiali[sz]ed allocator",
    re.IGNORECASE,
)


def is_gpu_failure(error: BaseException, visible: str | None = None) -> bool:
    """The GPU is to blame for an error that a task on it raised. visible: the CUDA_VISIBLE_DEVICES it ran with."""
    return speaks_of_gpu(error) or _driver_says_so(list(_chain(error)), visible)


def speaks_of_gpu(error: BaseException) -> bool:
    """The error says that a GPU failed, or that there is none, whatever the driver says of it."""
    return any(map(_says_so, _chain(error)))


def needs_fresh_process(error: BaseException) -> bool:
    """The error says that CUDA was initialised too early in this process: before a fork, or before its settings."""
    return any(_FRESH_PROCESS.search(str(one)) for one in _chain(error))


def _chain(error: BaseException) -> Iterator[BaseException]:
    """The error, the members of a group, and the errors in whose handling each was raised, unless it hides them."""
    pending, met = [error], set[int]()
    while pending and len(met) < LONGEST_CHAIN:
        one = pending.pop()
        if id(one) in met or isinstance(one, RayError):  # the error of another task, whose GPU is not this one's
            continue
        met.add(id(one))
        yield one
        before = one.__cause__ or (None if one.__suppress_context__ else one.__context__)
        pending += [] if before is None else [before]
        pending += one.exceptions if isinstance(one, BaseExceptionGroup) else ()


@courtesy(False)
def _says_so(error: BaseException) -> bool:
    """This error alone says that a GPU failed."""
    text, library = str(error), _of_library(error)
    if not isinstance(error, Exception) or (_HOST.search(text) and "cuda" not in text.lower()):
        return False
    if isinstance(error, LOGIC) and not library:
        return False
    if _is_host_memory(error):
        return bool(_DEVICE.search(text) and _MEMORY.search(text)) or _root(_raising_module(error)) in GPU_LIBRARIES
    if _OUT_OF_MEMORY_CLASS.search(type(error).__name__):
        return True
    of_memory = _MEMORY.search(text) is not None
    if library and of_memory:
        return True
    on_gpu = (
        _root(type(error).__module__) in GPU_LIBRARIES or _DEVICE.search(f"{type(error).__name__} {text}") is not None
    )
    return on_gpu and (of_memory or _FAILURE.search(text) is not None)


def _is_host_memory(error: BaseException) -> bool:
    """Python's own MemoryError or NumPy's, which RAPIDS raises for the device's memory, too."""
    return isinstance(error, MemoryError) and _root(type(error).__module__) in ("builtins", "numpy")


def _of_library(error: BaseException) -> bool:
    """The error's class is one of a library that computes on GPUs, or the code that raised it is."""
    if _CLASS_NAME.search(type(error).__name__):
        return True
    roots = {_root(type(error).__module__), _root(_raising_module(error))}
    return bool(roots & LIBRARIES or roots & GPU_LIBRARIES)


def _root(module: str) -> str:
    return module.partition(".")[0]


def _raising_module(error: BaseException) -> str:
    """The name of the module whose code raised an error; empty where it is not known."""
    at = error.__traceback__
    if at is None:
        return ""
    while at.tb_next is not None:
        at = at.tb_next
    return str(at.tb_frame.f_globals.get("__name__", ""))


@courtesy(False)
def _driver_says_so(chain: list[BaseException], visible: str | None) -> bool:
    """The error could be a GPU's, and the driver has the evidence: a broken context, a lost GPU, memory used up."""
    able = [one for one in chain if isinstance(one, Exception) and not isinstance(one, (*LOGIC, MemoryError))]
    if not able:
        return False
    from placement.hardware.meters.gpu_state import almost_full, lost

    texts = [str(one) for one in able]
    of_memory = any(_MEMORY.search(text) and not _HOST.search(text) for text in texts)
    return torch_cuda_fails() or lost(visible) or (of_memory and almost_full(visible))
