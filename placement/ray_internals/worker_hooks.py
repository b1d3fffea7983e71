"""Retirement of workers, and the traceback that a worker sends."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from placement.ray_internals.connection import connection

_limited: tuple[int, list[tuple[Any, int]]] = (-1, [])


def can_retire() -> bool:
    """A worker can be made to end after the task under way."""
    manager = _manager()
    return hasattr(manager, "_num_task_executions") and hasattr(manager, "_function_execution_info")


def retire_workers_of(max_calls: int) -> None:
    """Ray ends this worker after the task under way, as it does one whose function has reached its max_calls.

    max_calls: of the functions that are made to have reached it.
    """
    if not can_retire():
        return
    manager = _manager()
    for function_id, calls in _functions_with_max_calls(manager):
        if calls == max_calls:
            manager._num_task_executions[function_id] = max_calls - 1


def worker_retires() -> bool:
    """Ray ends this worker after the task under way: some function of its has reached its max_calls."""
    if not can_retire():
        return False
    manager = _manager()
    limited = _functions_with_max_calls(manager)
    if not limited:
        return False
    done = manager._num_task_executions
    return any(done[function_id] + 1 >= calls for function_id, calls in limited)


def children_pending() -> bool:
    """Tasks that the running task has submitted have not ended. Raises AttributeError on a Ray that cannot tell."""
    if not connection.connected:
        return False
    core: Any = connection.core_worker
    return bool(core.get_pending_children_task_ids(core.get_current_task_id()))


def _functions_with_max_calls(manager: Any) -> list[tuple[Any, int]]:
    """The max_calls of functions that this worker has loaded; most have none, and each task asks."""
    global _limited
    loaded = manager._function_execution_info
    if _limited[0] != len(loaded):
        _limited = len(loaded), [(name, info.max_calls) for name, info in loaded.items() if info.max_calls]
    return _limited[1]


def _manager() -> Any:
    return getattr(connection, "function_actor_manager", None)


def edit_tracebacks(edit: Callable[[str], str]) -> None:
    """From now on every traceback that this worker sends to a caller has gone through `edit`.

    Ray renders a task's traceback in one place, and there drops the lines of its own worker code.
    """
    try:
        from ray._private import utils

        rendered = utils.format_error_message
    except (ImportError, AttributeError):
        return

    def format_error_message(exception_message: str, task_exception: bool = False) -> Any:
        return rendered(edit(exception_message), task_exception)

    utils.format_error_message = format_error_message
