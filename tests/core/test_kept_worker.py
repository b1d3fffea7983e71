"""Whether a worker may serve another GPU task: what a process can do once, and the device memory that it holds."""

from __future__ import annotations

import multiprocessing
import os
import sys
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest

from placement.hardware.meters import gpu_state
from placement.worker.kept_worker import BARE_CONTEXT_BYTES, ProcessState


class FakeNvmlError(Exception):
    pass


class Nvml:
    """NVML of one GPU, and the processes that it lists: (process id, bytes)."""

    NVMLError = FakeNvmlError
    NVML_ERROR_GPU_IS_LOST = 15

    def __init__(self, *processes: tuple[int, int | None]) -> None:
        self.processes = processes
        self.fault: int | None = None
        self.memory = SimpleNamespace(used=1, total=100)

    def nvmlInit(self) -> None:
        pass

    def nvmlDeviceGetCount(self) -> int:
        return 1

    def nvmlDeviceGetHandleByIndex(self, index: int) -> int:
        if self.fault is not None:
            error = FakeNvmlError("GPU is lost")
            error.value = self.fault  # type: ignore[attr-defined]
            raise error
        return index

    def nvmlDeviceGetMemoryInfo(self, _: int) -> Any:
        return self.memory

    def nvmlDeviceGetComputeRunningProcesses(self, _: int) -> list[Any]:
        return [SimpleNamespace(pid=pid, usedGpuMemory=used) for pid, used in self.processes]


@pytest.fixture
def nvml(monkeypatch: pytest.MonkeyPatch) -> Callable[..., Nvml]:
    def install(*processes: tuple[int, int | None]) -> Nvml:
        made = Nvml(*processes)
        monkeypatch.setitem(sys.modules, "pynvml", made)
        return made

    monkeypatch.setattr(gpu_state, "cuda_driver_loaded", lambda: False)
    monkeypatch.delitem(sys.modules, "torch", raising=False)
    install()
    return install


def reason(task: Callable[[], Any] = lambda: None) -> str | None:
    state = ProcessState()
    task()
    return state.reason_to_end()


def test_a_process_that_holds_a_bare_context_is_kept_whatever_its_neighbours_hold(nvml: Callable[..., Nvml]) -> None:
    nvml((os.getpid(), BARE_CONTEXT_BYTES), (1, 70 * 10**9))
    assert reason() is None
    nvml((1, 70 * 10**9))  # this one has not touched the GPU
    assert reason() is None


def test_the_context_of_a_large_gpu_may_be_larger(nvml: Callable[..., Nvml]) -> None:
    fake = nvml((os.getpid(), 1_000_000_000))
    assert "holds 1.00 GB" in str(reason())
    fake.memory.total = 150_000_000_000
    assert reason() is None


def test_a_process_that_holds_more_ends(nvml: Callable[..., Nvml]) -> None:
    nvml((os.getpid(), 3 * 10**9))
    assert reason() == f"process {os.getpid()} holds 3.00 GB of the GPU's memory"
    fake = nvml((os.getpid(), 0))
    fake.nvmlDeviceGetGraphicsRunningProcesses = (  # type: ignore[attr-defined]
        lambda _: [SimpleNamespace(pid=os.getpid(), usedGpuMemory=2 * 10**9)]
    )
    assert "holds 2.00 GB" in str(reason())


def test_a_process_of_which_nvml_does_not_tell_ends(nvml: Callable[..., Nvml], monkeypatch: pytest.MonkeyPatch) -> None:
    for unknown in (None, 2**64 - 1):
        nvml((os.getpid(), unknown))
        assert "NVML does not tell" in str(reason())
    nvml().fault = 15
    assert "NVML does not tell" in str(reason())
    nvml((7, 10**9))  # a container whose process ids are its own
    monkeypatch.setattr(gpu_state, "cuda_driver_loaded", lambda: True)
    assert "NVML does not tell" in str(reason())
    monkeypatch.setitem(sys.modules, "pynvml", None)  # cannot be imported
    assert "NVML does not tell" in str(reason())


def fork() -> None:
    if (child := os.fork()) == 0:
        os._exit(0)
    os.waitpid(child, 0)


def test_a_process_ends_after_what_it_can_do_once(nvml: Callable[..., Nvml], monkeypatch: pytest.MonkeyPatch) -> None:
    assert "forked" in str(reason(fork))
    assert reason() is None
    monkeypatch.setattr(multiprocessing, "get_start_method", lambda allow_none: None)
    set_it = lambda: monkeypatch.setattr(multiprocessing, "get_start_method", lambda allow_none: "spawn")  # noqa: E731
    assert "start method" in str(reason(set_it))
    assert reason() is None
    assert "PYTORCH_CUDA_ALLOC_CONF" in str(reason(lambda: monkeypatch.setenv("PYTORCH_CUDA_ALLOC_CONF", "x:1")))
    assert reason() is None
    assert reason(lambda: monkeypatch.setenv("CUDA_MODULE_LOADING", "LAZY")) is None  # as torch does
    monkeypatch.delenv("TORCHINDUCTOR_CACHE_DIR", raising=False)
    assert reason(lambda: monkeypatch.setenv("TORCHINDUCTOR_CACHE_DIR", "/tmp/torchinductor")) is None  # likewise
    assert "TORCHINDUCTOR_CACHE_DIR" in str(reason(lambda: monkeypatch.setenv("TORCHINDUCTOR_CACHE_DIR", "/else")))
    monkeypatch.setenv("PLACEMENT_KEEP_GPU_WORKERS", "0")
    assert "not kept" in str(reason())


def test_a_gpu_that_is_lost_or_full_is_known(nvml: Callable[..., Nvml]) -> None:
    fake = nvml()
    assert (gpu_state.lost(), gpu_state.almost_full()) == (False, False)
    fake.memory.used = 97
    assert gpu_state.almost_full()
    fake.fault = 15
    assert (gpu_state.lost(), gpu_state.almost_full()) == (True, False)
