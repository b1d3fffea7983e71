"""The device that the code running in this process may use, and which of the node's GPUs it sees."""

from __future__ import annotations

import os
import sys
from functools import cache

CUDA = "CUDA_VISIBLE_DEVICES"
_CUDA = CUDA.encode()
_ENVIRONMENT: dict[bytes, bytes] = os.environ._data  # type: ignore[attr-defined]
"""The dict behind os.environ. Each task reads and sets it, and through os.environ that takes some microseconds."""

_device: str | None = None  # None: nothing here was placed, and the device is the one that Ray granted
_holds_gpu = False


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
    if ray is None or not ray.is_initialized():
        return False
    from placement.ray_internals.connection import in_worker

    return in_worker() and bool(ray.get_gpu_ids())


def on_emulated_node() -> bool:
    """This process runs on a node that plays another machine."""
    from placement.control_plane.ray_context import own_label
    from placement.spec.node import EMULATED

    return own_label(EMULATED) == "true"


def holds_gpu() -> bool:
    """The task running in this worker holds a GPU, which Ray does not release while it waits for a child."""
    return _holds_gpu or (_device is None and granted_gpu())


def variable(name: bytes) -> bytes | None:
    """A variable of the environment; None where it is not set."""
    return _ENVIRONMENT.get(name)


def environment() -> dict[bytes, bytes]:
    """A copy of the environment."""
    return _ENVIRONMENT.copy()


@cache
def users_variables() -> frozenset[str]:
    """The variables that the user's runtime_env sets in this worker, which has one for its whole life."""
    import ray

    return frozenset(ray.get_runtime_context().runtime_env.get("env_vars") or ())


def visible() -> str | None:
    """The CUDA_VISIBLE_DEVICES that is set; None where it is not."""
    found = _ENVIRONMENT.get(_CUDA)
    return None if found is None else os.fsdecode(found)


def enter(*, holds: bool) -> None:
    """A placed task or actor begins; holds: Ray gave it a GPU, or on an emulated node what stands for one."""
    global _holds_gpu
    _holds_gpu = holds


def use_cpu() -> None:
    """From now on the CPU is the device, and no GPU is visible, unless the user's runtime_env says which are."""
    global _device
    _device = "cpu"
    if CUDA not in users_variables():
        _set_visible(b"")


def hide_gpus() -> None:
    """From now on the CPU is the device, and no GPU is visible, whatever Ray or the user set."""
    global _device
    _device = "cpu"
    _set_visible(b"")


def see_gpu() -> None:
    """From now on the first of the GPUs that Ray made visible is the device."""
    global _device
    _device = "cuda:0"


def leave(visible: str | None) -> None:
    """The task has ended: the setting that it found is back, for whatever runs here next."""
    global _device, _holds_gpu
    _device, _holds_gpu = None, False
    _set_visible(None if visible is None else os.fsencode(visible))


def _set_visible(value: bytes | None) -> None:
    """Sets or removes the variable, as os.environ does: for Python, and for libraries that read the process's own."""
    if value is not None:
        os.putenv(_CUDA, value)
        _ENVIRONMENT[_CUDA] = value
    elif _ENVIRONMENT.pop(_CUDA, None) is not None:
        os.unsetenv(_CUDA)
