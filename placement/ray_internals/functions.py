"""Ray's private names for the fast way of submitting a task. Imported only where `way.of_tasks()` is "fast"."""

from __future__ import annotations

from ray import Language
from ray._common import signature
from ray._common.serialization import pickle_dumps
from ray._private.utils import get_runtime_env_info, parse_runtime_env_for_task_or_actor
from ray._raylet import PythonFunctionDescriptor  # type: ignore[attr-defined]
from ray.remote_function import RemoteFunction
from ray.util.tracing.tracing_helper import _inject_tracing_into_function as inject_tracing

__all__ = [
    "Language",
    "PythonFunctionDescriptor",
    "RemoteFunction",
    "get_runtime_env_info",
    "inject_tracing",
    "parse_runtime_env_for_task_or_actor",
    "pickle_dumps",
    "signature",
]
