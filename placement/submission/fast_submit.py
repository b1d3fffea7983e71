"""Ray's submission of a task, with what is the same for every call worked out once.

`RemoteFunction._remote` fills in every option, works out the resources and binds the signature anew at each call, which
is about a third of what a call costs the driver. Here the same is done once for a function and its options; a call only
checks its arguments and hands them to Ray's core. Whatever depends on the call's surroundings goes Ray's own way.
"""

from __future__ import annotations

import functools
import inspect
import os
import sys
from collections.abc import Callable, Mapping
from typing import Any

import ray
from ray import remote_function
from ray._common import ray_option_utils
from ray._common.utils import resources_from_ray_options
from ray.remote_function import RemoteFunction
from ray.util.tracing import tracing_helper

from placement.worker.flattened_arguments import flattened

Submit = Callable[[Any, dict[str, Any], bytes | None], Any]
"""submit(args, kwargs, packed) -> ObjectRef(s). packed: the Envelope that goes along; None: there is none."""
MAX_RETRIES = "RAY_TASK_MAX_RETRIES"


def submitter(function: Any, options: Mapping[str, Any], runtime_env_info: str | None, *, hidden: int = 0) -> Submit:
    """submit(args, kwargs, packed) for an ExportingFunction under these options.

    hidden: how many leading parameters are ours and not part of the user's signature.
    """
    options = {name: value for name, value in options.items() if name != "max_calls"}  # which goes with the export
    rays_way = functools.partial(function._remote, serialized_runtime_env_info=runtime_env_info, **options)
    worker: Any = ray._private.worker.global_worker
    ours: Submit | None = None
    exported: Any = None

    def submit(args: Any, kwargs: dict[str, Any], packed: bytes | None) -> Any:
        nonlocal ours, exported
        if _surroundings_are_plain():
            now = worker.current_cluster_and_job
            if exported != now:
                if function._last_export_cluster_and_job != now:
                    function._export()
                ours, exported = _prepared(function, options, runtime_env_info, hidden), now
            if ours is not None:
                return ours(args, kwargs, packed)
        return rays_way(args if packed is None else (packed, *args), kwargs)

    return submit


def _surroundings_are_plain() -> bool:
    """Nothing around the call changes how Ray submits it: no tracing, no placement group that captures children."""
    worker: Any = ray._private.worker.global_worker
    return not (
        tracing_helper._global_is_tracing_enabled
        or (worker.mode == ray.WORKER_MODE and worker.should_capture_child_tasks_in_placement_group)
    )


def _prepared(
    function: RemoteFunction, options: Mapping[str, Any], runtime_env_info: str | None, hidden: int
) -> Submit | None:
    """What a call comes to; None where only Ray's own way will do."""
    full = {name: options.get(name, option.default_value) for name, option in ray_option_utils.task_options.items()}
    if "max_retries" not in options:
        full["max_retries"] = int(os.environ.get(MAX_RETRIES, full["max_retries"]))
    strategy, returns = full["scheduling_strategy"] or "DEFAULT", full["num_returns"]
    if not isinstance(strategy, str) or full["placement_group"] != "default":
        return None  # a placement group is checked against the running task's own at each call
    if returns not in (None, 1) or function._is_generator or remote_function._task_launch_hook:
        return None
    signature = inspect.Signature((function._function_signature or [])[hidden:])
    retried = full["retry_exceptions"]
    allowed = tuple(retried) if isinstance(retried, list | tuple) else None
    worker: Any = ray._private.worker.global_worker
    if worker.mode != ray.WORKER_MODE:
        from ray._common.usage import usage_lib  # some milliseconds to import

        usage_lib.record_library_usage("core")
    before = (
        full["name"] or "", 1, resources_from_ray_options(full), full["max_retries"],
        True if allowed is not None else retried, allowed, strategy,
    )  # fmt: skip
    after = (
        runtime_env_info or "{}", full["_generator_backpressure_num_objects"] or -1,
        full["_num_objects_per_yield"] or 1, full["enable_task_events"], full["_labels"], full["label_selector"],
        full["fallback_strategy"],
    )  # fmt: skip
    language, descriptor = function._language, function._function_descriptor

    fits = fitting(signature)

    def submit(args: Any, kwargs: dict[str, Any], packed: bytes | None) -> Any:
        if kwargs or not fits(len(args)):
            try:
                signature.bind(*args, **kwargs)
            except TypeError as error:
                raise TypeError(str(error)) from None
        flat = flattened(args, kwargs, packed)
        refs = worker.core_worker.submit_task(language, descriptor, flat, *before, worker.debugger_breakpoint, *after)
        worker.debugger_breakpoint = b""
        return refs[0]

    return submit


def fitting(signature: inspect.Signature) -> Callable[[int], bool]:
    """Whether so many arguments, all by position, fit: what `signature.bind` takes microseconds to say."""
    parameters = signature.parameters.values()
    by_position = [p for p in parameters if p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD)]
    least = sum(p.default is p.empty for p in by_position)
    most = sys.maxsize if any(p.kind == p.VAR_POSITIONAL for p in parameters) else len(by_position)
    if any(p.kind == p.KEYWORD_ONLY and p.default is p.empty for p in parameters):
        return lambda _: False
    return lambda given: least <= given <= most
