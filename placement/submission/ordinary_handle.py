"""OrdinaryHandle: the result of `.options()` of a function that is not placed."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from placement.ray_internals.names import has_nodes
from placement.submission.map_call import mapped
from placement.submission.map_results import Results

if TYPE_CHECKING:
    from ray.dag.function_node import FunctionNode


class OrdinaryHandle:
    """Ray's own handle, and map."""

    def __init__(self, function: Any, wrapper: Any) -> None:
        self._function = function
        self.remote = wrapper.remote
        self._wrapper = wrapper

    def bind(self, /, *args: Any, **kwargs: Any) -> FunctionNode:
        """A node of a Ray DAG."""
        node: FunctionNode = self._wrapper.bind(*args, **kwargs)
        if not has_nodes():
            return node
        from placement.submission.dag_nodes import PlacedNode

        return PlacedNode(self._function, node._body, args, kwargs, node._bound_options)

    def map(
        self, iterable: Iterable[Any], *, ordered: bool = True, in_flight: int | None = None,
        return_exceptions: bool = False,
    ) -> Results:  # fmt: skip
        """The results of one task for each item; see placement.submission.map_results."""
        return mapped(self, iterable, ordered, in_flight, return_exceptions)
