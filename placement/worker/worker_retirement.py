"""When Ray ends a worker: after the task with which one of its functions has reached its max_calls."""

from __future__ import annotations

from typing import Any

from ray._private.worker import global_worker

MAX_CALLS = 1_000_000_000
"""The max_calls of a worker that is kept: never reached by counting; Ray retires the worker once told that it was."""

_limited: tuple[int, list[tuple[Any, int]]] = (-1, [])


def retire_worker() -> None:
    """Ray ends this worker after the task under way, as it does one that has reached its max_calls.

    A process whose CUDA context has failed may fail again, or keep the memory that it could not give back.
    """
    manager = _manager()
    for function_id, calls in _functions_with_max_calls(manager):
        if calls == MAX_CALLS:
            manager._num_task_executions[function_id] = MAX_CALLS - 1


def worker_retires() -> bool:
    """Ray ends this worker after the task under way: some function of its has reached its max_calls."""
    manager = _manager()
    limited = _functions_with_max_calls(manager)
    if not limited:
        return False
    done = manager._num_task_executions
    return any(done[function_id] + 1 >= calls for function_id, calls in limited)


def _functions_with_max_calls(manager: Any) -> list[tuple[Any, int]]:
    """Of the functions that this worker has loaded; most have none, and each task asks."""
    global _limited
    loaded = manager._function_execution_info
    if _limited[0] != len(loaded):
        _limited = len(loaded), [(name, info.max_calls) for name, info in loaded.items() if info.max_calls]
    return _limited[1]


def _manager() -> Any:
    return global_worker.function_actor_manager
