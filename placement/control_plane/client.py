"""The way of drivers and workers to the cluster's PlacementActor, which is started where there is none."""

from __future__ import annotations

from typing import Any

import ray

from placement.control_plane.actor_lookup import CALL_TIMEOUT_S, actor_exists, call_actor, find_actor, forget_actor
from placement.control_plane.key_value_store import RayKeyValueStore
from placement.control_plane.ray_context import NAME, NAMESPACE
from placement.control_plane.selector_store import stored_selector
from placement.errors import ControlPlaneError
from placement.prediction.selector import Selector
from placement.ray_internals.cluster import on_head
from placement.ray_internals.connection import auto_init_ray
from placement.ray_internals.options import make_remote
from placement.ray_internals.way import FORCE, places

__all__ = ["START_TIMEOUT_S", "actor", "actor_exists", "call", "forget_actor", "served_selector"]

START_TIMEOUT_S = CALL_TIMEOUT_S


def call(method: str, *args: Any, timeout_s: float = START_TIMEOUT_S) -> Any:
    """Calls a method of the actor, which is started where there is none, and waits; see `call_actor`."""
    return call_actor(method, *args, timeout_s=timeout_s, find=actor)


def actor() -> Any:
    """The cluster's PlacementActor, started where there is none.

    Raises ControlPlaneError on a Ray on which nothing can be placed.
    """
    if not places():
        raise ControlPlaneError(
            f"Ray {ray.__version__} lacks what placing takes, or {FORCE}=plain is set: there is no placement actor. "
            "Tasks and actors run as under ray.remote."
        )
    auto_init_ray()
    return find_actor(_start_actor)


def served_selector(version: str) -> Selector:
    """The selector of a version in service. Raises ControlPlaneError where it has left service since."""
    return stored_selector(RayKeyValueStore(), version)


def _start_actor() -> Any:
    from placement.control_plane.placement_actor import PlacementActor
    from placement.messages.control import Settings

    # On the head: it holds nothing that keeps another node from being taken for idle, and would go with it.
    options: dict[str, Any] = {
        "name": NAME, "namespace": NAMESPACE, "lifetime": "detached", "get_if_exists": True, "num_cpus": 0,
        "max_restarts": -1, "max_task_retries": 3, "max_concurrency": 10_000,
        "resources": on_head(),
    }  # fmt: skip
    # Not ray.remote, in whose place somebody may have put placed_remote.
    return make_remote(PlacementActor, {}).options(**options).remote(Settings(), None)
