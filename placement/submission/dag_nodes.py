"""Nodes of Ray DAGs. Imported at the first bind(): importing ray.dag takes a script some 20 ms that few have a use for,
and makes an actor class as it is imported, one of ours where placed_remote stands in ray.remote's place.
"""

from __future__ import annotations

from typing import Any

from placement.ray_internals.dag import ClassNode, FunctionNode


class _Bound:
    """A node that submits its work through the placed function or class that it was bound on."""

    def __init__(self, placed: Any, body: Any, args: Any, kwargs: Any, options: Any, others: Any = None) -> None:
        self._placed = placed
        super().__init__(body, args, kwargs, options, other_args_to_resolve=others)  # type: ignore[call-arg]

    def _copy_impl(self, new_args: Any, new_kwargs: Any, new_options: Any, new_other_args_to_resolve: Any) -> Any:
        node: Any = self
        return type(self)(self._placed, node._body, new_args, new_kwargs, new_options, new_other_args_to_resolve)

    def _execute_impl(self, *_args: Any, **_kwargs: Any) -> Any:
        node: Any = self
        placed = self._placed
        if hasattr(placed, "options"):  # not where `.options()` has been called already
            placed = placed.options(**node._bound_options)
        return placed.remote(*node._bound_args, **node._bound_kwargs)


class PlacedNode(_Bound, FunctionNode):
    """A DAG node that is a task."""


class PlacedClassNode(_Bound, ClassNode):
    """A DAG node that is an actor."""
