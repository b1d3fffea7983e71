"""Nodes without a dashboard, for emulated clusters."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def small_node_agents() -> Iterator[None]:
    """Nodes started inside run Ray's agent in its minimal form: no web pages, no metrics, no jobs.

    A starting node waits 15 s for its agent and then dies. On a busy machine the full one takes longer to import.
    """
    try:
        from ray._private import utils

        before = utils.get_dashboard_dependency_error
    except (ImportError, AttributeError):
        yield
        return
    utils.get_dashboard_dependency_error = lambda: ImportError("an emulated cluster has no dashboard")
    try:
        yield
    finally:
        utils.get_dashboard_dependency_error = before
