"""Courtesies to the numerical libraries that the user's code has loaded: their threads, their cached GPU memory.

Each can fail, in a version that lacks a function or a module that is only half imported, without the task failing.
None imports a library, and none is the first to touch CUDA.
"""

from __future__ import annotations

import functools
import logging
import sys
from collections.abc import Callable
from typing import Any, ParamSpec, TypeVar

P = ParamSpec("P")
T = TypeVar("T")
D = TypeVar("D")
logger = logging.getLogger("placement")

XGBOOST_WITH_THREADS = 3
"""The first major version of XGBoost whose global configuration has `nthread`."""


def courtesy(default: D) -> Callable[[Callable[P, T]], Callable[P, T | D]]:
    """A decorator: where the function raises, `default` is returned and the error is logged at level DEBUG."""

    def decorate(function: Callable[P, T]) -> Callable[P, T | D]:
        @functools.wraps(function)
        def guarded(*args: P.args, **kwargs: P.kwargs) -> T | D:
            try:
                return function(*args, **kwargs)
            except Exception as error:
                logger.debug("%s was left out: %s: %s", function.__name__, type(error).__name__, error)
                return default

        return guarded

    return decorate


@courtesy(None)
def set_torch_threads(threads: int) -> int | None:
    """Sets torch's threads where torch is loaded; the number before, None where nothing was set."""
    torch = sys.modules.get("torch")
    if torch is None:
        return None
    before: int = torch.get_num_threads()
    if before != threads:
        torch.set_num_threads(threads)
    return before


@courtesy(None)
def torch_threads() -> int | None:
    """Torch's threads; None where it is not loaded."""
    torch = sys.modules.get("torch")
    return None if torch is None else torch.get_num_threads()


@courtesy(None)
def set_xgboost_threads(threads: int) -> int | None:
    """Sets XGBoost's threads where it is loaded and has the setting; the number before, None where nothing was set."""
    xgboost = sys.modules.get("xgboost")
    if xgboost is None or int(xgboost.__version__.partition(".")[0]) < XGBOOST_WITH_THREADS:
        return None
    before: int = xgboost.get_config()["nthread"]
    if before != threads:
        xgboost.set_config(nthread=threads)
    return before


@courtesy(False)
def torch_uses_cuda() -> bool:
    """The user's code has initialised CUDA through torch in this process."""
    cuda = getattr(sys.modules.get("torch"), "cuda", None)
    return cuda is not None and bool(cuda.is_initialized())


@courtesy(None)
def free_gpu_memory() -> None:
    """Gives torch's cached device memory back, so that the next task on this GPU finds it."""
    if torch_uses_cuda():
        sys.modules["torch"].cuda.empty_cache()


@courtesy(None)
def gpu_memory_peak() -> float | None:
    """Most bytes of device memory that torch has held since the last call; None where torch uses no GPU here."""
    if not torch_uses_cuda():
        return None
    cuda: Any = sys.modules["torch"].cuda
    peak = float(cuda.max_memory_reserved())
    cuda.reset_peak_memory_stats()
    return peak


@courtesy(None)
def gpu_memory_reserved() -> int | None:
    """Bytes of device memory that torch holds now on all GPUs; None where torch uses no GPU here."""
    if not torch_uses_cuda():
        return None
    cuda: Any = sys.modules["torch"].cuda
    return sum(cuda.memory_reserved(index) for index in range(cuda.device_count()))


@courtesy(False)
def torch_cuda_fails() -> bool:
    """The CUDA context that torch made in this process no longer works: waiting for it raises an error."""
    if not torch_uses_cuda():
        return False
    try:
        sys.modules["torch"].cuda.synchronize()
    except Exception:
        return True
    return False
