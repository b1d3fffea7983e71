"""The cluster's PlacementActor, looked up by its name and called; nothing here starts one."""

from __future__ import annotations

import importlib
import time
from collections.abc import Callable
from typing import Any

import ray

from placement.control_plane.ray_context import NAME, NAMESPACE, session_id
from placement.errors import ControlPlaneError, PlacementError
from placement.log.lost_records import LostRecords

CALL_TIMEOUT_S = 60.0
LOST_RECORDS_TIMEOUT_S = 30.0
ACTOR_MODULE = "placement.control_plane.placement_actor"
_handle: Any = None
_handle_session: Any = None


def find_actor(start: Callable[[], Any] | None = None) -> Any:
    """The actor's handle, kept for the session. start: makes one where there is none; without it ValueError."""
    global _handle, _handle_session
    session = session_id()
    if _handle is None or _handle_session != session:
        # Ray unpickles the actor's class, which imports its module, under the lock that the worker's main thread takes
        # for every task. A cancelled task may leave Python's import lock held for ever (a KeyboardInterrupt within an
        # import); a thread of ours that waits for it must not hold Ray's lock meanwhile.
        importlib.import_module(ACTOR_MODULE)
        try:
            _handle = ray.get_actor(NAME, namespace=NAMESPACE)
        except ValueError:
            if start is None:
                raise
            _handle = start()
        _handle_session = session
    return _handle


def actor_exists() -> bool:
    """Whether the cluster has a PlacementActor."""
    try:
        find_actor()
    except ValueError:
        return False
    return True


def forget_actor() -> None:
    """Makes the next call look the actor up again."""
    global _handle
    _handle = None


def call_actor(method: str, *args: Any, timeout_s: float = CALL_TIMEOUT_S, find: Callable[[], Any] = find_actor) -> Any:
    """Calls a method of the actor that `find` returns, and waits for the answer; tries again while it restarts.

    Raises the PlacementError that the method raised, or ControlPlaneError where there is no answer in time.
    """
    deadline = time.monotonic() + timeout_s
    while True:
        try:
            # Not ray.get, of which Ray warns in an async actor's process, on whatever thread it is called.
            answer = getattr(find(), method).remote(*args)
            return answer.future().result(timeout=max(0.1, deadline - time.monotonic()))
        except ray.exceptions.RayTaskError as error:
            if isinstance(error.cause, PlacementError):
                raise error.cause from None
            raise
        except TimeoutError:
            raise ControlPlaneError(f"the placement actor did not answer {method}() within {timeout_s:g} s.") from None
        except (ray.exceptions.ActorUnavailableError, ray.exceptions.ActorDiedError, ValueError) as error:
            forget_actor()
            if time.monotonic() > deadline:
                raise ControlPlaneError(f"the placement actor cannot be reached: {error}") from None
            time.sleep(0.2)


def report_lost_records(left: LostRecords) -> None:
    """Reports the unsent rows of a worker that was killed; without an actor nobody keeps a log, and nothing is lost."""
    if actor_exists():
        call_actor("writer_died", left, timeout_s=LOST_RECORDS_TIMEOUT_S)
