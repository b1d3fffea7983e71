"""Errors that a GPU is to blame for, in the words of the libraries that raise them, and errors that are no GPU's."""

from __future__ import annotations

import sys
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest
from ray.exceptions import RayTaskError

from placement.hardware.meters import gpu_state
from placement.worker.gpu_errors import is_gpu_failure, needs_fresh_process


def error(path: str, text: str, *bases: type[BaseException]) -> BaseException:
    """An error of a library's class that is not installed: its module and name."""
    module, _, name = path.rpartition(".")
    made: BaseException = type(name, bases or (Exception,), {"__module__": module})(text)
    return made


def raised_in(module: str, raised: BaseException) -> BaseException:
    """The error, raised by the code of a module."""
    try:
        exec("raise raised", {"__name__": module, "raised": raised})
    except BaseException as caught:
        return caught
    raise AssertionError


@pytest.fixture(autouse=True)
def no_driver(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pynvml", None)
    monkeypatch.delitem(sys.modules, "torch", raising=False)


FAILURES = [
    error("torch.OutOfMemoryError", "CUDA out of memory. Tried to allocate 20.00 GiB", RuntimeError),
    error("torch.AcceleratorError", "CUDA error: an illegal memory access was encountered", RuntimeError),
    RuntimeError("CUDA error: device-side assert triggered"),
    RuntimeError("No CUDA GPUs are available"),
    RuntimeError("Found no NVIDIA driver on your system. Please check that you have an NVIDIA GPU"),
    raised_in("torch.cuda", AssertionError("Torch not compiled with CUDA enabled")),
    RuntimeError("cuDNN error: CUDNN_STATUS_NOT_INITIALIZED"),
    RuntimeError("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`"),
    RuntimeError("NCCL error in: ProcessGroupNCCL.cpp:1, unhandled cuda error"),
    RuntimeError("Attempting to deserialize object on a CUDA device but torch.cuda.is_available() is False."),
    error("jaxlib.xla_extension.XlaRuntimeError", "RESOURCE_EXHAUSTED: Out of memory while trying to allocate 8."),
    error("jax.errors.JaxRuntimeError", "INTERNAL: Failed to allocate 268435456 bytes for new constant", RuntimeError),
    raised_in("jax._src.xla_bridge", RuntimeError("Unable to initialize backend 'cuda': no supported devices found")),
    RuntimeError("Unknown backend: 'gpu' requested, but no platforms that are instances of gpu are present."),
    error(
        "tensorflow.python.framework.errors_impl.ResourceExhaustedError",
        "OOM when allocating tensor with shape[64,2016,9,9] on device:GPU:0 by allocator GPU_0_bfc",
    ),
    error("tensorflow.python.framework.errors_impl.InternalError", "cudaGetDevice() failed: initialization error"),
    error(
        "onnxruntime.capi.onnxruntime_pybind11_state.RuntimeException",
        "BFCArena::AllocateRawInternal Failed to allocate memory for requested buffer of size 8589934592",
    ),
    error("onnxruntime.capi.onnxruntime_pybind11_state.Fail", "CUDA failure 100: no CUDA-capable device is detected"),
    error("cupy.cuda.memory.OutOfMemoryError", "Out of memory allocating 8,589,934,592 bytes", MemoryError),
    error("cupy_backends.cuda.api.runtime.CUDARuntimeError", "cudaErrorNoDevice: no CUDA-capable device is detected"),
    MemoryError("std::bad_alloc: out_of_memory: CUDA error at: rmm/mr/device/cuda_memory_resource.hpp:70"),
    raised_in("rmm.pylibrmm.device_buffer", MemoryError("std::bad_alloc")),
    error("xgboost.core.XGBoostError", "[12:00:00] cudaErrorMemoryAllocation: out of memory", ValueError),
    error("xgboost.core.XGBoostError", "Memory allocation error on worker 0: bad_alloc: Failed", ValueError),
    error("lightgbm.basic.LightGBMError", "No OpenCL device found"),
    error("numba.cuda.cudadrv.driver.CudaAPIError", "[2] Call to cuMemAlloc results in CUDA_ERROR_OUT_OF_MEMORY"),
    error("pycuda._driver.MemoryError", "cuMemAlloc failed: out of memory"),
    ImportError("libcuda.so.1: cannot open shared object file: No such file or directory"),
    error("users.OutOfMemoryError", "CUDA out of memory. Tried to allocate 20.00 MiB."),
]  # fmt: skip

OTHERS = [
    MemoryError(), MemoryError("Unable to allocate 95.4 GiB for an array with shape (12800000000,)"),
    error("numpy.core._exceptions._ArrayMemoryError", "Unable to allocate 95.4 GiB for an array", MemoryError),
    raised_in("torch.nn", RuntimeError("[enforce fail at alloc_cpu.cpp:114] DefaultCPUAllocator: not enough memory")),
    raised_in("torch", RuntimeError("unable to mmap 8 bytes from file </x>: Cannot allocate memory (12)")),
    OSError(12, "Cannot allocate memory"),
    error("tensorflow.errors.ResourceExhaustedError", "OOM when allocating tensor on device:CPU:0 by allocator cpu"),
    raised_in("torch.nn.functional", RuntimeError("mat1 and mat2 shapes cannot be multiplied (2x3 and 4x5)")),
    raised_in("torch", RuntimeError("Expected all tensors to be on the same device, but found cuda:0 and cpu!")),
    raised_in("torch", RuntimeError("DataLoader worker (pid 7) is killed by signal: Killed.")),
    RuntimeError("Cannot re-initialize CUDA in forked subprocess. To use CUDA with multiprocessing, use spawn"),
    RuntimeError("shapes differ"), RuntimeError("the GPU budget of this team is spent"), RuntimeError(),
    ValueError("labels must be positive"), ValueError("CUDA out of memory"), KeyError("gpu"),
    AssertionError("no GPU in the table"), FileNotFoundError("gpu.csv"), TimeoutError("the service did not answer"),
    NotImplementedError("Could not run 'aten::x' with arguments from the 'CUDA' backend"),
    RayTaskError("f", "CUDA out of memory", RuntimeError("CUDA out of memory")).as_instanceof_cause(),
    KeyboardInterrupt("CUDA error"),
]  # fmt: skip


@pytest.mark.parametrize("failure", FAILURES, ids=str)
def test_a_gpus_failure_is_known_in_a_librarys_own_words(failure: BaseException) -> None:
    assert is_gpu_failure(failure)


@pytest.mark.parametrize("other", OTHERS, ids=repr)
def test_the_hosts_memory_and_the_users_own_errors_are_no_gpus(other: BaseException) -> None:
    assert not is_gpu_failure(other)


class FoldError(Exception):
    """A library's or a user's own error, which says nothing of a GPU."""


def caused(inner: BaseException) -> None:
    try:
        raise inner
    except BaseException as failed:
        raise FoldError("fold 3 could not be fitted") from failed


def in_its_context(inner: BaseException) -> None:
    try:
        raise inner
    except BaseException:
        raise FoldError("fold 3 could not be fitted")  # noqa: B904 - without "from"


def twice(inner: BaseException) -> None:
    try:
        caused(inner)
    except FoldError as failed:
        raise ValueError("no score") from failed


def grouped(inner: BaseException) -> None:
    raise BaseExceptionGroup("folds", [ValueError("no score"), BaseExceptionGroup("some", [inner])])


def group_caused(inner: BaseException) -> None:
    try:
        grouped(inner)
    except BaseExceptionGroup as failed:
        raise FoldError("no fold was fitted") from failed


@pytest.mark.parametrize("wraps", [caused, in_its_context, twice, grouped, group_caused])
def test_an_error_is_looked_through(wraps: Callable[[BaseException], None]) -> None:
    for inner, expected in ((RuntimeError("CUDA out of memory"), True), (MemoryError(), False), (KeyError("a"), False)):
        with pytest.raises(BaseException) as caught:  # noqa: PT011 - the class is looked at below
            wraps(inner)
        assert type(caught.value) is not type(inner)
        assert is_gpu_failure(caught.value) == expected


def hidden(inner: BaseException) -> None:
    try:
        raise inner
    except BaseException:
        raise FoldError("the second try was wrong as well") from None


def test_an_error_that_hides_its_context_stands_for_itself() -> None:
    with pytest.raises(FoldError) as caught:
        hidden(RuntimeError("CUDA out of memory"))
    assert not is_gpu_failure(caught.value)
    looped = RuntimeError("a")
    looped.__cause__ = looped
    assert not is_gpu_failure(looped)


def test_what_the_driver_says_decides_where_words_do_not(monkeypatch: pytest.MonkeyPatch) -> None:
    def fails() -> None:
        raise RuntimeError("an illegal thing")

    unknown = error("kernels.KernelError", "step 7 gave no result")
    assert not is_gpu_failure(unknown)
    cuda = SimpleNamespace(is_initialized=lambda: True, synchronize=fails)
    monkeypatch.setitem(sys.modules, "torch", SimpleNamespace(cuda=cuda))
    assert is_gpu_failure(unknown)
    assert not is_gpu_failure(ValueError("labels must be positive"))
    assert not is_gpu_failure(MemoryError())
    cuda.synchronize = lambda: None
    assert not is_gpu_failure(unknown)
    asked: list[Any] = []
    monkeypatch.setattr(gpu_state, "almost_full", lambda visible: asked.append(visible) or True)
    assert is_gpu_failure(error("kernels.BufferError", "failed to allocate 512 MiB"), "GPU-a")
    assert not is_gpu_failure(unknown)
    assert not is_gpu_failure(OSError(12, "Cannot allocate memory"))
    assert asked == ["GPU-a"]
    monkeypatch.setattr(gpu_state, "lost", lambda visible: True)
    assert is_gpu_failure(unknown)


def test_an_error_whose_text_cannot_be_made_is_the_users_own() -> None:
    class Silent(Exception):
        def __str__(self) -> str:
            raise RuntimeError("CUDA error")

    assert not is_gpu_failure(Silent())


def test_cuda_that_was_initialised_too_early_is_known() -> None:
    assert needs_fresh_process(RuntimeError("Cannot re-initialize CUDA in forked subprocess."))
    assert needs_fresh_process(RuntimeError("Physical devices cannot be modified after being initialized"))
    assert not needs_fresh_process(RuntimeError("CUDA out of memory"))
