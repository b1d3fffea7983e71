"""The end of a worker by Ray: after the task with which one of its functions has reached its max_calls."""

from __future__ import annotations

from placement.ray_internals.worker_hooks import retire_workers_of

MAX_CALLS = 1_000_000_000
"""The max_calls of a worker that is kept: never reached by counting. Ray ends a worker whose count is set to it."""


def retire_worker() -> None:
    """Ray ends this worker after the task under way, as it does one that has reached its max_calls.

    A process whose CUDA context has failed may fail again, or keep the memory that it could not give back.
    """
    retire_workers_of(MAX_CALLS)
