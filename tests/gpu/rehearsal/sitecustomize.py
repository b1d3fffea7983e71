"""Every process that finds this on its path has a torch whose CUDA device is the CPU, so that GPU code runs here.

Torch is changed as it is imported, and not before: a process that does not use it stays quick. Large tensors "on the
GPU" are counted against the memory of the rehearsed card (`pynvml` beside this), and where it is used up torch's own
OutOfMemoryError is raised.
"""

from __future__ import annotations

import functools
import importlib.abc
import importlib.util
import math
import os
import sys
import time
import weakref
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

LARGE_BYTES = 10**9
"""Smaller tensors are not counted: they fit the workspaces that a kept worker may hold."""


class OnCpu(importlib.abc.Loader):
    """Loads torch, then makes its CUDA device the CPU."""

    def __init__(self, real: Any) -> None:
        self.real = real

    def create_module(self, spec: Any) -> ModuleType | None:
        return self.real.create_module(spec)

    def exec_module(self, module: ModuleType) -> None:
        self.real.exec_module(module)
        pretend_cuda(module)


class FindsTorch(importlib.abc.MetaPathFinder):
    """Finds torch where it is, however often: looking for it is not yet importing it."""

    looking = False

    def find_spec(self, name: str, path: Any, target: Any = None) -> Any:
        if name != "torch" or self.looking:
            return None
        self.looking = True
        try:
            spec = importlib.util.find_spec("torch")
        finally:
            self.looking = False
        if spec is not None and spec.loader is not None:
            spec.loader = OnCpu(spec.loader)
        return spec


def visible() -> int:
    """The number of GPUs that this process sees."""
    named = os.environ.get("CUDA_VISIBLE_DEVICES")
    return 1 if named is None else len([name for name in named.split(",") if name.strip()])


def pretend_cuda(torch: Any) -> None:
    """Replaces what asks for a CUDA device by what the CPU does."""
    import pynvml

    class Event:
        def __init__(self, **_: Any) -> None:
            self.at = 0.0

        def record(self, *_: Any) -> None:
            self.at = time.perf_counter()

        def synchronize(self) -> None: ...

        def elapsed_time(self, later: Any) -> float:
            return (later.at - self.at) * 1e3

    card = SimpleNamespace(name=pynvml.NAME, uuid=pynvml.UUID.removeprefix("GPU-"), total_memory=pynvml.MEMORY_BYTES)
    stand_ins = {
        "is_available": lambda: visible() > 0, "device_count": visible, "_lazy_init": lambda: None,
        "init": lambda: None, "synchronize": lambda *_: None, "empty_cache": lambda: None, "Event": Event,
        "current_stream": lambda *_: None, "get_device_properties": lambda *_: card,
        "get_device_name": lambda *_: pynvml.NAME, "memory_reserved": lambda *_: 0, "memory_allocated": lambda *_: 0,
        "max_memory_reserved": lambda *_: 0, "reset_peak_memory_stats": lambda *_: None,
        "mem_get_info": lambda *_: (pynvml.MEMORY_BYTES - sum(pynvml.held().values()), pynvml.MEMORY_BYTES),
    }  # fmt: skip
    for name, stand_in in stand_ins.items():
        setattr(torch.cuda, name, stand_in)
    put_on_cpu(torch)


FACTORIES = (
    "empty", "zeros", "ones", "full", "rand", "randn", "randint", "arange", "linspace", "eye", "tensor", "as_tensor",
)  # fmt: skip


def put_on_cpu(torch: Any) -> None:
    """Replaces the functions that make or move a tensor, in every thread, by ones that know no CUDA device."""

    def is_cuda(value: Any) -> bool:
        text = str(value) if isinstance(value, str | torch.device) else ""
        return text == "cuda" or text.startswith("cuda:")

    def on_cpu(function: Any) -> Any:
        @functools.wraps(function)
        def called(*args: Any, **kwargs: Any) -> Any:
            size = 0
            if is_cuda(kwargs.get("device")) or any(map(is_cuda, args)):
                if function.__name__ == "empty":
                    size = taken(torch, args, kwargs)
                args = tuple("cpu" if is_cuda(value) else value for value in args)
                kwargs = {name: "cpu" if is_cuda(value) else value for name, value in kwargs.items()}
            kwargs.pop("pin_memory", None)
            made = function(*args, **kwargs)
            if size:
                hold(size)
                weakref.finalize(made, hold, -size)
            return made

        return called

    def stay(self: Any, *_: Any, **__: Any) -> Any:
        return self

    for name in FACTORIES:
        setattr(torch, name, on_cpu(getattr(torch, name)))
    torch.Tensor.to = on_cpu(torch.Tensor.to)
    torch.Tensor.cuda = torch.Tensor.pin_memory = torch.nn.Module.cuda = stay


def taken(torch: Any, sizes: Any, kwargs: Any) -> int:
    """The bytes of a large tensor, 0 of a small one; raises OutOfMemoryError where the card has not so many left."""
    import pynvml

    shape = [size for size in sizes if isinstance(size, int)]
    wanted = math.prod(shape) * (kwargs.get("dtype") or torch.float32).itemsize
    if wanted < LARGE_BYTES:
        return 0
    if wanted + sum(pynvml.held().values()) > pynvml.MEMORY_BYTES:
        raise torch.cuda.OutOfMemoryError(
            f"CUDA out of memory. Tried to allocate {wanted / 2**30:.2f} GiB. GPU 0 has a total capacity of "
            f"{pynvml.MEMORY_BYTES / 2**30:.2f} GiB (rehearsed)"
        )
    return wanted


def hold(size: int) -> None:
    """This process holds so many bytes more of the card."""
    import pynvml

    Path(pynvml.FOLDER, str(os.getpid())).write_text(str(pynvml.held().get(os.getpid(), 0) + size))


if "PLACEMENT_GPU_HELD" in os.environ:
    sys.meta_path.insert(0, FindsTorch())
