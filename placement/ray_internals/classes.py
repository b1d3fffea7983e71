"""Ray's private names for placed actors. Imported only where `way.of_actors()` is "fast"."""

from __future__ import annotations

from ray import ActorClassID
from ray._common.signature import validate_args
from ray._private.ray_constants import MAX_INT64_VALUE
from ray._private.utils import parse_runtime_env_for_task_or_actor
from ray.actor import ActorClass
from ray.actor import _modify_class as modify_class
from ray.util.tracing.tracing_helper import _inject_tracing_into_class as inject_tracing

__all__ = [
    "MAX_INT64_VALUE",
    "ActorClass",
    "ActorClassID",
    "inject_tracing",
    "modify_class",
    "parse_runtime_env_for_task_or_actor",
    "validate_args",
]
