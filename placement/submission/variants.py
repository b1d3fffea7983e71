"""The ways in which a placed function runs, and the options under which Ray exports each."""

from __future__ import annotations

import functools
import hashlib
from collections.abc import Callable, Mapping
from typing import Any, Literal

from placement.submission.options import PlacementOptions, own_options
from placement.worker.worker_retirement import MAX_CALLS

Way = Literal["cpu", "gpu", "gpu_once"]
"""A way to run a placed function: on the CPU, on a GPU in a worker that is kept, or in one that ends after the task."""
POOL = "PLACEMENT_GPU_WORKERS_OF"
"""The environment variable by which the kept GPU workers of a function are kept apart from all others."""


def export_options(options: PlacementOptions, ray_options: dict[str, Any], way: Way) -> dict[str, Any]:
    """The options under which a variant is exported; max_calls says when Ray ends its workers, the user's own first."""
    if way == "cpu":
        return _without(own_options(options, ray_options, "cpu"), "num_gpus")
    given = own_options(options, ray_options, "gpu")
    calls = MAX_CALLS if way == "gpu" else 1
    return {"max_calls": calls, **given, "num_gpus": given.get("num_gpus") or 1}


def own_pool(runtime_env: Mapping[str, Any] | None, key: str) -> dict[str, Any]:
    """The runtime_env with which Ray gives the kept GPU workers of a function to tasks of that function alone.

    Ray gives an idle worker to any task of the job with an equal runtime_env. CUDA is initialised in a kept worker, so
    that another function, or a plain Ray task, could neither fork after it nor set its allocator up there.
    key: of the function in the history.
    """
    env = dict(runtime_env or {})
    return {**env, "env_vars": {**(env.get("env_vars") or {}), POOL: hashlib.sha256(key.encode()).hexdigest()[:16]}}


def named_like(function: Callable[..., Any], submit: Callable[..., Any]) -> Callable[..., Any]:
    """`submit` with the user's name, docstring and signature, as Ray's own `remote` has."""

    @functools.wraps(function)
    def remote(*args: Any, **kwargs: Any) -> Any:
        return submit(*args, **kwargs)

    return remote


def _without(options: dict[str, Any], name: str) -> dict[str, Any]:
    return {key: value for key, value in options.items() if key != name}
