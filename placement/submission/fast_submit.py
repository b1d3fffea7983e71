"""Ray's submission of a task, with what is the same for every call worked out once.

`RemoteFunction._remote` fills in every option, works out the resources and binds the signature anew at each call, which
is about a third of what a call costs the driver. Here the same is done once for a function and its options; a call only
checks its arguments and hands them to Ray's core. Whatever depends on the call's surroundings goes Ray's own way.
"""

from __future__ import annotations

import functools
import inspect
import sys
from collections.abc import Callable, Mapping
from typing import Any

from placement.ray_internals.connection import connection
from placement.ray_internals.functions import RemoteFunction
from placement.ray_internals.task_submission import (
    all_options,
    core_submitter,
    has_launch_hook,
    plain_caller_context,
)
from placement.worker.flattened_arguments import flattened

Submit = Callable[[Any, dict[str, Any], bytes | None], Any]
"""submit(args, kwargs, packed) -> ObjectRef(s). packed: the Envelope that goes along; None: there is none."""


def submitter(function: Any, options: Mapping[str, Any], runtime_env_info: str | None, *, hidden: int = 0) -> Submit:
    """submit(args, kwargs, packed) for an ExportingFunction under these options.

    hidden: how many leading parameters are ours and not part of the user's signature.
    """
    options = {name: value for name, value in options.items() if name != "max_calls"}  # which goes with the export
    rays_way = functools.partial(function._remote, serialized_runtime_env_info=runtime_env_info, **options)
    ours: Submit | None = None
    exported: Any = None

    def submit(args: Any, kwargs: dict[str, Any], packed: bytes | None) -> Any:
        nonlocal ours, exported
        if plain_caller_context():
            now = connection.current_cluster_and_job
            if exported != now:
                if function._last_export_cluster_and_job != now:
                    function._export()
                ours, exported = _prepared(function, options, runtime_env_info, hidden), now
            if ours is not None:
                return ours(args, kwargs, packed)
        return rays_way(args if packed is None else (packed, *args), kwargs)

    return submit


def _prepared(
    function: RemoteFunction, options: Mapping[str, Any], runtime_env_info: str | None, hidden: int
) -> Submit | None:
    """The submission with all that calls share worked out; None where only Ray's own way will do."""
    full = all_options(options)
    strategy = full["scheduling_strategy"] or "DEFAULT"
    if not isinstance(strategy, str) or full["placement_group"] != "default":
        return None  # a placement group is checked against the running task's own at each call
    if full["num_returns"] not in (None, 1) or function._is_generator or has_launch_hook():
        return None
    signature = inspect.Signature((function._function_signature or [])[hidden:])
    fits, to_core = fitting(signature), core_submitter(function, full, runtime_env_info)

    def submit(args: Any, kwargs: dict[str, Any], packed: bytes | None) -> Any:
        if kwargs or not fits(len(args)):
            try:
                signature.bind(*args, **kwargs)
            except TypeError as error:
                raise TypeError(str(error)) from None
        return to_core(flattened(args, kwargs, packed))

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
