"""PlacedFunction: a placed function, submitted the fast way.

A placed function holds a RemoteFunction of Ray's for each way to run, because `max_calls` goes with the exported
function and Ray restarts a worker after each call of a function exported with num_gpus. The caller sends an Envelope
with the arguments of a placed task, the worker reads it. A function that is not placed is submitted as Ray does.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any

from placement.errors import OptionError
from placement.ray_internals.connection import client_mode_should_convert, connection
from placement.ray_internals.names import has_nodes
from placement.ray_internals.options import check_task_options, task_options
from placement.submission.exported_function import ExportingFunction, Variant
from placement.submission.fast_submit import Submit, submitter
from placement.submission.first_calls import FirstCalls
from placement.submission.map_call import mapped
from placement.submission.map_results import Results
from placement.submission.options import PlacementOptions, check_device_options, reject_unknown, split
from placement.submission.ordinary_handle import OrdinaryHandle
from placement.submission.placed_calls import PlacedCalls
from placement.submission.variants import Way, export_options, named_like

if TYPE_CHECKING:
    from ray.dag.function_node import FunctionNode

    from placement.scheduling.explanation import Explanation


class PlacedFunction(PlacedCalls, ExportingFunction):
    """A RemoteFunction of Ray's that is placed where its options allow it."""

    def __init__(self, function: Callable[..., Any], options: PlacementOptions, ray_options: dict[str, Any]) -> None:
        self._placement_options = options
        self._own_options = dict(ray_options)
        super().__init__(function, dict(ray_options))
        self._variants: dict[Way, Variant] = {}
        self._submit: Submit | None = None
        self._first_calls: FirstCalls | None = None
        self.remote: Any = named_like(function, self._remote_placed if options.placeable else self._remote_unplaced)

    def __getstate__(self) -> dict[str, Any]:
        worked_out = ("handle", "check_arguments")
        state = {k: v for k, v in super().__getstate__().items() if k not in worked_out}
        return state | {"_submit": None, "_first_calls": None}

    def code_hash(self, *, submitted: bool = True) -> str:
        """A name of what the function is; submitted: it is captured now if it was not before."""
        return self.captured.code_hash(self._dumps) if submitted else self.captured.code_hash_now()

    def submit_plainly(self, args: Any, kwargs: Any, **given: Any) -> Any:
        """Submits an ordinary task of the user's own function."""
        return super()._remote(args=args, kwargs=kwargs, **given)

    def _remote_unplaced(self, /, *args: Any, **kwargs: Any) -> Any:
        """An ordinary Ray task, submitted as Ray does."""
        if self._decorator is not None or client_mode_should_convert() or not connection.connected:
            return super()._remote(args, kwargs, self._serialized_base_runtime_env_info, **self._default_options)
        if self._submit is None:
            self._submit = submitter(self, self._default_options, self._serialized_base_runtime_env_info)
        return self._submit(args, kwargs, None)

    def _remote(
        self, args: Any = None, kwargs: Any = None, serialized_runtime_env_info: str | None = None, **given: Any
    ) -> Any:
        """Ray's own way in, taken by all that hold this as a RemoteFunction."""
        if not self._placement_options.placeable:
            return super()._remote(args, kwargs, serialized_runtime_env_info, **given)
        from placement.submission.placed_call import Handle

        return Handle(self, self._placement_options, given).remote(*(args or ()), **(kwargs or {}))

    def options(self, **given: Any) -> Any:
        """A copy with other options, Ray's and ours alike; raises OptionError or ValueError on what is not valid."""
        ours, rays = split(given)
        options = self._placement_options.with_(ours)
        reject_unknown(rays, task_options(), "remote functions")
        check_device_options(ours, check_task_options, in_options=True)
        wrapper = super().options(**rays)  # Ray's own checks, warnings and errors
        if not options.placeable:
            return OrdinaryHandle(self, wrapper)
        from placement.submission.placed_call import Handle

        return Handle(self, options, {**self._own_options, **rays})

    def map(
        self, iterable: Iterable[Any], *, ordered: bool = True, in_flight: int | None = None,
        return_exceptions: bool = False,
    ) -> Results:  # fmt: skip
        """The results of one task for each item; see placement.submission.map_results."""
        placed = self.handle if self._placement_options.placeable else self
        return mapped(placed, iterable, ordered, in_flight, return_exceptions)

    def explain(self, /, *args: Any, **kwargs: Any) -> Explanation:
        """The decision for these arguments as it would be now. Raises OptionError where it is not placeable."""
        if not self._placement_options.placeable:
            raise OptionError(
                f'{self.name} is an ordinary Ray task: give placed_remote spec= or devices="any" to have it placed.'
            )
        return self.handle.explain(*args, **kwargs)

    def bind_plainly(self, args: Any, kwargs: Any) -> FunctionNode:
        """A node of Ray's own, whose task is not placed."""
        return super().bind(*args, **kwargs)

    def bind(self, /, *args: Any, **kwargs: Any) -> FunctionNode:
        """A node of a Ray DAG, placed when the DAG is executed."""
        if not has_nodes():
            return self.bind_plainly(args, kwargs)
        from placement.submission.dag_nodes import PlacedNode

        return PlacedNode(
            self.handle if self._placement_options.placeable else self,
            self._function,
            args,
            kwargs,
            self._default_options,
        )

    def variant(self, way: Way) -> Variant:
        """The RemoteFunction of a way to run; all take the Envelope first."""
        if way not in self._variants:
            options = export_options(self._placement_options, self._own_options, way)
            self._variants[way] = Variant(self._function, options, of=self, way=way)
        return self._variants[way]
