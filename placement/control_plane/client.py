"""The way of drivers and workers to the cluster's PlacementActor, which is started where there is none."""

from __future__ import annotations

from typing import Any

from ray._common.constants import HEAD_NODE_RESOURCE_NAME
from ray._private.auto_init_hook import auto_init_ray
from ray._private.worker import _make_remote

from placement.control_plane.actor_lookup import CALL_TIMEOUT_S, actor_exists, call_actor, find_actor, forget_actor
from placement.control_plane.key_value_store import RayKeyValueStore
from placement.control_plane.ray_context import NAME, NAMESPACE
from placement.control_plane.selector_store import stored_selector
from placement.prediction.selector import Selector

__all__ = ["START_TIMEOUT_S", "actor", "actor_exists", "call", "forget_actor", "served_selector"]

START_TIMEOUT_S = CALL_TIMEOUT_S


def call(method: str, *args: Any, timeout_s: float = START_TIMEOUT_S) -> Any:
    """Calls a method of the actor, which is started where there is none, and waits; see `call_actor`."""
    return call_actor(method, *args, timeout_s=timeout_s, find=actor)


def actor() -> Any:
    """The cluster's PlacementActor, started where there is none."""
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
        "resources": {HEAD_NODE_RESOURCE_NAME: 0.001},
    }  # fmt: skip
    # Not ray.remote, in whose place somebody may have put placed_remote.
    return _make_remote(PlacementActor, {}).options(**options).remote(Settings(), None)
