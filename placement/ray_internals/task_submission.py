"""The arguments of Ray's own submission, in the order of this version. Imported only where tasks go the fast way."""

from __future__ import annotations

import contextlib
import inspect
import os
from collections.abc import Callable, Mapping
from typing import Any

import ray
from ray import _raylet, remote_function
from ray._common import ray_option_utils
from ray._common.utils import resources_from_ray_options
from ray.util.tracing import tracing_helper

from placement.ray_internals.connection import connection

MAX_RETRIES = "RAY_TASK_MAX_RETRIES"

BY_CALL = frozenset({"language", "function_descriptor", "args", "debugger_breakpoint"})
"""Parameters of submit_task for which each function or call gives its own."""
OF_OPTIONS = frozenset({
    "name", "num_returns", "resources", "max_retries", "retry_exceptions", "retry_exception_allowlist",
    "scheduling_strategy", "serialized_runtime_env_info", "generator_backpressure_num_objects", "enable_task_events",
    "labels", "label_selector", "fallback_strategy",
})  # fmt: skip
"""Parameters that come of a function's options."""
SINCE_2_57 = frozenset({"num_objects_per_yield"})
"""The same, of newer versions alone."""


def parameters() -> tuple[str, ...]:
    """The parameters of Ray's submit_task, in its order."""
    submit_task = _raylet.CoreWorker.submit_task  # type: ignore[attr-defined]
    return tuple(inspect.signature(submit_task).parameters)[1:]


def strange_parameters() -> list[str]:
    """The parameters of submit_task for which nothing is known to give, and those that it lacks."""
    there = frozenset(parameters())
    return [
        *(f"ray._raylet.CoreWorker.submit_task has an unknown parameter {name!r}"
          for name in sorted(there - BY_CALL - OF_OPTIONS - SINCE_2_57)),
        *(f"ray._raylet.CoreWorker.submit_task has no parameter {name!r}"
          for name in sorted((BY_CALL | OF_OPTIONS) - there)),
    ]  # fmt: skip


def _values(full: Mapping[str, Any], runtime_env_info: str | None) -> dict[str, Any]:
    """The argument of submit_task for each parameter that comes from the options."""
    retried = full["retry_exceptions"]
    allowed = tuple(retried) if isinstance(retried, list | tuple) else None
    return {
        "name": full["name"] or "",
        "num_returns": 1,
        "resources": resources_from_ray_options(dict(full)),
        "max_retries": full["max_retries"],
        "retry_exceptions": True if allowed is not None else retried,
        "retry_exception_allowlist": allowed,
        "scheduling_strategy": full["scheduling_strategy"] or "DEFAULT",
        "serialized_runtime_env_info": runtime_env_info or "{}",
        "generator_backpressure_num_objects": full["_generator_backpressure_num_objects"] or -1,
        "num_objects_per_yield": full.get("_num_objects_per_yield") or 1,
        "enable_task_events": full["enable_task_events"],
        "labels": full["_labels"],
        "label_selector": full["label_selector"],
        "fallback_strategy": full["fallback_strategy"],
    }


def plain_caller_context() -> bool:
    """Nothing around the call changes how Ray submits it: no tracing, no placement group that captures children."""
    return not (
        tracing_helper._global_is_tracing_enabled
        or (connection.mode == ray.WORKER_MODE and connection.should_capture_child_tasks_in_placement_group)
    )


def has_launch_hook() -> bool:
    """Somebody wants to hear of each submission; Ray tells him by itself."""
    return bool(remote_function._task_launch_hook)


def all_options(options: Mapping[str, Any]) -> dict[str, Any]:
    """The options with Ray's defaults for those not given."""
    full = {name: options.get(name, option.default_value) for name, option in ray_option_utils.task_options.items()}
    if "max_retries" not in options:
        full["max_retries"] = int(os.environ.get(MAX_RETRIES, full["max_retries"]))
    return full


def core_submitter(function: Any, full: Mapping[str, Any], runtime_env_info: str | None) -> Callable[[list[Any]], Any]:
    """submit(flat arguments) -> ObjectRef of one result, for an exported RemoteFunction under these options."""
    _record_usage()
    values = _values(full, runtime_env_info)
    names = parameters()
    args_at, breakpoint_at = names.index("args"), names.index("debugger_breakpoint")
    before = tuple(values[name] for name in names[args_at + 1 : breakpoint_at])
    after = tuple(values[name] for name in names[breakpoint_at + 1 :])
    language, descriptor = function._language, function._function_descriptor

    def submit(flat: list[Any]) -> Any:
        refs = connection.core_worker.submit_task(
            language, descriptor, flat, *before, connection.debugger_breakpoint, *after
        )
        connection.debugger_breakpoint = b""
        return refs[0]

    return submit


def _record_usage() -> None:
    """Tells Ray's usage statistics that its core is used, as Ray's own submission does."""
    if connection.mode == ray.WORKER_MODE:
        return
    with contextlib.suppress(ImportError, AttributeError):
        from ray._common.usage import usage_lib  # some milliseconds to import

        usage_lib.record_library_usage("core")
