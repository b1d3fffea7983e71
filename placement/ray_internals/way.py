"""The way in which tasks and actors are submitted on this Ray, found out at the first use.

fast      by Ray's private names: an Envelope travels with the arguments, and what calls have alike is worked out once
public    by the public API: a cached `.options()` handle of an ordinary remote function around the user's, slower
plain     not placed at all: placed_remote is ray.remote; device="gpu" still asks for a GPU

PLACEMENT_RAY_API=public or plain takes that way although a faster one is there. No Ray is refused.
"""

from __future__ import annotations

import inspect
import logging
import os
from collections.abc import Callable
from functools import cache
from typing import Any, Literal

import ray

from placement.ray_internals.connection import in_worker
from placement.ray_internals.names import ACTORS, CONTROL_STORE, TASKS, absent

Way = Literal["fast", "public", "plain"]
FORCE = "PLACEMENT_RAY_API"
FORCED = ("public", "plain")

logger = logging.getLogger("placement")


@cache
def of_tasks() -> Way:
    """The way of functions."""
    return _way("tasks", missing_for_tasks)


@cache
def of_actors() -> Way:
    """The way of classes."""
    return _way("actors", missing_for_actors)


def places() -> bool:
    """Tasks are placed, so that there is use for a placement actor."""
    return of_tasks() != "plain"


def _way(what: str, missing: Callable[[], list[str]]) -> Way:
    forced = os.environ.get(FORCE, "")
    if forced and forced not in FORCED:
        _warn("%s=%r is not known: %s, or leave it out. It is left out.", FORCE, forced, " or ".join(FORCED))
    if forced == "plain":
        return "plain"
    lacks = absent(CONTROL_STORE)
    if lacks:
        _warn(
            "Ray %s lacks %s: placed %s run as under ray.remote, on the device that is pinned or that Ray's own "
            "options say. See whether a newer version of this package places on it.",
            ray.__version__, _said(lacks), what,
        )  # fmt: skip
        return "plain"
    if forced == "public":
        return "public"
    lacks = missing()
    if lacks:
        _warn(
            "Ray %s differs from those tested: %s. Placed %s go by Ray's public API, correctly and some tens of "
            "microseconds slower. See whether a newer version of this package knows it.",
            ray.__version__, _said(lacks), what,
        )  # fmt: skip
        return "public"
    return "fast"


def _said(lacks: list[str]) -> str:
    return "; ".join(lacks)


def _warn(text: str, *args: Any) -> None:
    """Warns the user's own process; each of a cluster's workers would say the same again."""
    logger.log(logging.DEBUG if in_worker() else logging.WARNING, text, *args)


def missing_for_tasks() -> list[str]:
    """The names that the fast way of tasks needs and this Ray lacks."""
    lacks = absent(TASKS)
    if lacks:
        return lacks
    from placement.ray_internals.functions import Language, RemoteFunction, signature
    from placement.ray_internals.task_submission import strange_parameters

    made: Any = _tried("RemoteFunction", lambda: RemoteFunction(Language.PYTHON, _nothing, None, {}))
    if isinstance(made, str):
        return [made]
    return [
        *(f"RemoteFunction has no {name}" for name in OF_A_FUNCTION if not hasattr(made, name)),
        *_without_parameters("RemoteFunction._remote", made._remote, ("args", "kwargs", "serialized_runtime_env_info")),
        *([] if getattr(signature, "DUMMY_TYPE", None) == NAMELESS else ["ray._common.signature.DUMMY_TYPE differs"]),
        *_without_parameters("signature.recover_args", getattr(signature, "recover_args", None), ("flattened_args",)),
        *strange_parameters(),
    ]


OF_A_FUNCTION = (
    "_decorator", "_default_options", "_function", "_function_descriptor", "_function_signature", "_inject_lock",
    "_is_generator", "_language", "_last_export_cluster_and_job", "_remote",
    "_serialized_base_runtime_env_info", "_uuid", "options",
)  # fmt: skip
"""Attributes of a RemoteFunction that ours reads or sets."""
NAMELESS = b"__RAY_DUMMY__"


def missing_for_actors() -> list[str]:
    """The names that the fast way of actors needs and this Ray lacks."""
    lacks = absent(ACTORS)
    if lacks:
        return lacks
    from placement.ray_internals.classes import ActorClass, ActorClassID, modify_class

    def made() -> Any:
        return ActorClass._ray_from_modified_class(modify_class(_Nothing), ActorClassID.from_random(), {})

    one: Any = _tried("ActorClass", made)
    if isinstance(one, str):
        return [one]
    meta = getattr(one, "__ray_metadata__", None)
    signatures = getattr(getattr(meta, "method_meta", None), "signatures", {})
    return [
        *(f"ActorClass has no {name}" for name in ("_default_options", "_remote", "options") if not hasattr(one, name)),
        *(f"ActorClass.__ray_metadata__ has no {name}" for name in OF_METADATA if not hasattr(meta, name)),
        *([] if "__init__" in signatures else ["ActorClass.__ray_metadata__.method_meta.signatures differs"]),
        *_without_parameters("ActorClass._remote", one._remote, ("args", "kwargs")),
    ]


OF_METADATA = ("actor_creation_function_descriptor", "class_name", "method_meta", "modified_class")


def _nothing() -> None:
    """A function to look at what Ray makes of one."""


class _Nothing:
    """A class to look at what Ray makes of one."""

    def __init__(self) -> None:
        pass


def _tried(what: str, make: Callable[[], Any]) -> Any:
    """The result of a call; a sentence on the failure where it fails."""
    try:
        return make()
    except Exception as error:
        return f"{what} cannot be made as before ({type(error).__name__}: {error})"


def _without_parameters(name: str, function: Any, wanted: tuple[str, ...]) -> list[str]:
    try:
        there = inspect.signature(function).parameters
    except (TypeError, ValueError):
        return [f"{name} has no signature"]
    return [f"{name} has no parameter {one!r}" for one in wanted if one not in there]
