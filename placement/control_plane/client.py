"""The way to the cluster's PlacementActor: it is looked up or started, called, and waited for."""

from __future__ import annotations

import json
import time
from typing import TYPE_CHECKING, Any

import ray

from placement.control_plane.ray_context import NAME, NAMESPACE, served_key, session_id
from placement.errors import ControlPlaneError, PlacementError
from placement.prediction.selector import Selector
from placement.prediction.selector_file import selector_of
from placement.ray_internals.cluster import on_head
from placement.ray_internals.connection import auto_init_ray
from placement.ray_internals.options import make_remote
from placement.ray_internals.way import FORCE, places

if TYPE_CHECKING:
    from placement.log.lost_records import Unsent  # whose package imports pyarrow

START_TIMEOUT_S = 60.0
DEAD_WRITER_TIMEOUT_S = 30.0
_handle: Any = None
_handle_session: Any = None


def call(method: str, *args: Any, timeout_s: float = START_TIMEOUT_S) -> Any:
    """Calls the actor and waits; tries again while it restarts. Raises what it raised, or ControlPlaneError."""
    deadline = time.monotonic() + timeout_s
    while True:
        try:
            return ray.get(getattr(actor(), method).remote(*args), timeout=max(0.1, deadline - time.monotonic()))
        except ray.exceptions.RayTaskError as error:
            if isinstance(error.cause, PlacementError):
                raise error.cause from None
            raise
        except ray.exceptions.GetTimeoutError:
            raise ControlPlaneError(f"the placement actor did not answer {method}() within {timeout_s:g} s.") from None
        except (ray.exceptions.ActorUnavailableError, ray.exceptions.ActorDiedError, ValueError) as error:
            forget_actor()
            if time.monotonic() > deadline:
                raise ControlPlaneError(f"the placement actor cannot be reached: {error}") from None
            time.sleep(0.2)


def actor() -> Any:
    """The cluster's PlacementActor, started where there is none.

    Raises ControlPlaneError on a Ray on which nothing can be placed.
    """
    global _handle, _handle_session
    if not places():
        raise ControlPlaneError(
            f"Ray {ray.__version__} lacks what placing takes, or {FORCE}=plain is set: there is no placement actor. "
            "Tasks and actors run as under ray.remote."
        )
    auto_init_ray()
    session = session_id()
    if _handle is None or _handle_session != session:
        _handle, _handle_session = _get_actor(), session
    return _handle


def actor_exists() -> bool:
    """There is a PlacementActor; unlike actor() this starts none."""
    if _handle is not None and _handle_session == session_id():
        return True
    try:
        ray.get_actor(NAME, namespace=NAMESPACE)
    except ValueError:
        return False
    return True


def forget_actor() -> None:
    """The next call looks the actor up again."""
    global _handle
    _handle = None


def _get_actor() -> Any:
    try:
        return ray.get_actor(NAME, namespace=NAMESPACE)
    except ValueError:
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


def served_selector(version: str) -> Selector:
    """The selector of that version, from Ray's key-value store, where the actor puts what it serves."""
    from placement.ray_internals import control_store

    data = control_store.get(served_key(version), namespace=NAMESPACE.encode())
    if data is None:
        raise ControlPlaneError(f"the selector {version} is in service, and the cluster's key-value store has it not.")
    return selector_of(json.loads(data))


def tell_actor(left: Unsent) -> None:
    """Tells the actor of a writer that was killed; where there is none, nobody keeps a log."""
    from placement.control_plane.client import actor_exists, call

    if actor_exists():
        call("writer_died", left, timeout_s=DEAD_WRITER_TIMEOUT_S)
