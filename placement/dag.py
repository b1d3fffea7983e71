"""Nodes of Ray DAGs. Apart, because importing ray.dag takes a script some 20 ms that few have a use for, and because
ray.dag itself makes an actor class as it is imported: one of ours, where placed_remote stands in ray.remote's place.
"""

from __future__ import annotations

from typing import Any

from ray.dag.class_node import ClassNode
from ray.dag.function_node import FunctionNode


class PlacedNode(FunctionNode):
    """A DAG node whose task is submitted by what it was bound on, not by a plain ray.remote of the same body."""

    def __init__(self, placed: Any, body: Any, args: Any, kwargs: Any, options: Any, others: Any = None) -> None:
        self._placed = placed
        super().__init__(body, args, kwargs, options, other_args_to_resolve=others)

    def _copy_impl(self, new_args: Any, new_kwargs: Any, new_options: Any, new_other_args_to_resolve: Any) -> Any:
        return PlacedNode(self._placed, self._body, new_args, new_kwargs, new_options, new_other_args_to_resolve)

    def _execute_impl(self, *_args: Any, **_kwargs: Any) -> Any:
        from placement.remote import PlacedFunction

        placed = self._placed
        if isinstance(placed, PlacedFunction):
            placed = placed.options(**self._bound_options)
        return placed.remote(*self._bound_args, **self._bound_kwargs)


class PlacedClassNode(ClassNode):
    """A DAG node whose actor is created by what it was bound on, not by a plain ray.remote of the same class."""

    def __init__(self, placed: Any, body: Any, args: Any, kwargs: Any, options: Any, others: Any = None) -> None:
        self._placed = placed
        super().__init__(body, args, kwargs, options, other_args_to_resolve=others)

    def _copy_impl(self, new_args: Any, new_kwargs: Any, new_options: Any, new_other_args_to_resolve: Any) -> Any:
        return PlacedClassNode(self._placed, self._body, new_args, new_kwargs, new_options, new_other_args_to_resolve)

    def _execute_impl(self, *_args: Any, **_kwargs: Any) -> Any:
        from placement.actors import PlacedClass

        placed = self._placed
        if isinstance(placed, PlacedClass):
            placed = placed.options(**self._bound_options)
        return placed.remote(*self._bound_args, **self._bound_kwargs)
