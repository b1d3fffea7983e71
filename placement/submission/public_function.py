"""PublicFunction: a placed function that is submitted by Ray's public API alone, or not placed at all.

It holds an ordinary remote function for each way to run, which calls the user's; the Envelope is the first argument.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any

from placement.errors import OptionError
from placement.ray_internals.connection import client_mode_should_convert
from placement.ray_internals.names import has_nodes
from placement.ray_internals.options import (
    check_task_options,
    make_remote,
    task_options,
)
from placement.submission.captured_function import CapturedFunction
from placement.submission.first_calls import FirstCalls
from placement.submission.map_call import mapped
from placement.submission.map_results import Results
from placement.submission.options import PlacementOptions, check_device_options, own_options, reject_unknown, split
from placement.submission.ordinary_handle import OrdinaryHandle
from placement.submission.placed_calls import PlacedCalls
from placement.submission.public_proxy import RemoteProxy
from placement.submission.variants import Way, export_options, named_like
from placement.worker.task_body import ENVELOPE, OrdinaryBody, PlacedBody

if TYPE_CHECKING:
    from ray.dag.function_node import FunctionNode

    from placement.scheduling.explanation import Explanation

NOT_PLACED = "this Ray lacks what placing takes (see the warning at its first use)"


KNOWN_ONCE_SENT = ("_function_descriptor", "_function_signature", "_last_export_cluster_and_job", "_pickled_function")
"""Attributes of a function of Ray's that come with its first task."""


class PublicFunction(PlacedCalls, RemoteProxy):
    """A placed function on a Ray without the fast way. places: tasks can be placed."""

    def __init__(
        self, function: Callable[..., Any], options: PlacementOptions, ray_options: dict[str, Any], *, places: bool
    ) -> None:
        self._function = function
        self._placement_options = options
        self._own_options = dict(ray_options)
        self._places = places
        self.captured = CapturedFunction(function)
        self._ray_object = _ordinary(self.captured, options, ray_options, places=places)
        self._sent: Any = self._ray_object
        self._variants: dict[Way, PublicVariant] = {}
        self._first_calls: FirstCalls | None = None
        self._decorator = getattr(function, "__ray_invocation_decorator__", None)
        self.name = f"{function.__module__}.{getattr(function, '__qualname__', function.__name__)}"
        self.__doc__ = self._ray_object.__doc__
        self.remote: Any = named_like(function, self._remote_placed if self._placed else self._ray_object.remote)

    @property
    def _placed(self) -> bool:
        return self._places and self._placement_options.placeable

    def __getattr__(self, name: str) -> Any:
        if name in KNOWN_ONCE_SENT and self._sent is not self._ray_object:
            found = getattr(self._sent, name)
            return found[1:] if name == "_function_signature" else found  # without the Envelope
        return super().__getattr__(name)

    def code_hash(self, *, submitted: bool = True) -> str:
        """A name of what the function is; submitted: it is captured now if it was not before."""
        return self.captured.code_hash() if submitted else self.captured.code_hash_now()

    def submit_plainly(self, args: Any, kwargs: Any, **given: Any) -> Any:
        """Submits an ordinary task."""
        return self._ray_object._remote(args=args, kwargs=kwargs, **given)

    def bind_plainly(self, args: Any, kwargs: Any) -> FunctionNode:
        """A node of Ray's own, whose task is not placed."""
        node: FunctionNode = self._ray_object.bind(*args, **kwargs)
        return node

    def _remote(self, args: Any = None, kwargs: Any = None, **given: Any) -> Any:
        """Submits a task for callers that use this as a RemoteFunction of Ray's."""
        if not self._placed or client_mode_should_convert():
            return self._ray_object._remote(args=args, kwargs=kwargs, **given)
        from placement.submission.placed_call import Handle

        given.pop("serialized_runtime_env_info", None)
        return Handle(self, self._placement_options, given).remote(*(args or ()), **(kwargs or {}))

    def options(self, **given: Any) -> Any:
        """A copy with other options, Ray's and ours alike; raises OptionError or ValueError on what is not valid."""
        ours, rays = split(given)
        options = self._placement_options.with_(ours)
        reject_unknown(rays, task_options(), "remote functions")
        check_device_options(ours, check_task_options, in_options=True)
        wrapper = self._ray_object.options(**rays)  # Ray's own checks, warnings and errors
        if self._places and options.placeable:
            from placement.submission.placed_call import Handle

            return Handle(self, options, {**self._own_options, **rays})
        if options.device is not None and ours:
            wrapper = self._ray_object.options(**pinned(options, rays))
        return OrdinaryHandle(self, wrapper)

    def map(
        self, iterable: Iterable[Any], *, ordered: bool = True, in_flight: int | None = None,
        return_exceptions: bool = False,
    ) -> Results:  # fmt: skip
        """The results of one task for each item; see placement.submission.map_results."""
        return mapped(self.handle if self._placed else self, iterable, ordered, in_flight, return_exceptions)

    def explain(self, /, *args: Any, **kwargs: Any) -> Explanation:
        """The decision for these arguments as it would be now. Raises OptionError where the function is not placed."""
        if self._placed:
            return self.handle.explain(*args, **kwargs)
        why = 'give placed_remote spec= or devices="any" to have it placed' if self._places else NOT_PLACED
        raise OptionError(f"{self.name} is an ordinary Ray task: {why}.")

    def bind(self, /, *args: Any, **kwargs: Any) -> FunctionNode:
        """A node of a Ray DAG, placed when the DAG is executed."""
        if not has_nodes():
            return self.bind_plainly(args, kwargs)
        from placement.submission.dag_nodes import PlacedNode

        return PlacedNode(
            self.handle if self._placed else self, self._function, args, kwargs, self._ray_object._default_options
        )

    def variant(self, way: Way) -> PublicVariant:
        """The remote function of a way to run; all take the Envelope first."""
        if way not in self._variants:
            self._variants[way] = PublicVariant(self, way)
        return self._variants[way]

    def _state(self) -> dict[str, Any]:
        kept = {k: v for k, v in self.__dict__.items() if k not in ("handle", "check_arguments")}
        return kept | {"_first_calls": None}


class PublicVariant:
    """A placed function in one way to run: an ordinary remote function that takes the Envelope first."""

    def __init__(self, of: PublicFunction, way: Way) -> None:
        self._of = of
        self._options = export_options(of._placement_options, of._own_options, way)
        self._body = as_function(PlacedBody(of._function, of.name, of.captured))
        self._remote_function = make_remote(self._body, dict(self._options))

    def submitter(self, ray_options: dict[str, Any]) -> Callable[..., Any]:
        """submit(args, kwargs, packed) under these options, by a handle made once."""
        options = {name: value for name, value in ray_options.items() if name != "max_calls"}
        handle = self._remote_function.options(**options)

        def submit(args: Any, kwargs: dict[str, Any], packed: bytes) -> Any:
            self._of._sent = self._remote_function
            if "self" in kwargs:  # which a handle's own remote() takes for itself
                return make_remote(self._body, {**self._options, **options}).remote(packed, *args, **kwargs)
            return handle.remote(packed, *args, **kwargs)

        return submit


def _ordinary(
    captured: CapturedFunction, options: PlacementOptions, ray_options: dict[str, Any], *, places: bool
) -> Any:
    """The function as ray.remote makes it; measured where records are kept."""
    function = captured.function
    if not places:
        return make_remote(function, pinned(options, ray_options))
    if inspect.iscoroutinefunction(function):
        return make_remote(function, dict(ray_options))  # which raises
    name = f"{function.__module__}.{getattr(function, '__qualname__', function.__name__)}"
    return make_remote(as_function(OrdinaryBody(function, name, captured)), dict(ray_options))


def pinned(options: PlacementOptions, ray_options: dict[str, Any]) -> dict[str, Any]:
    """Ray's options of work that is not placed: a pinned device holds by num_gpus."""
    if options.device is None:
        return dict(ray_options)
    given = own_options(options, ray_options, "gpu" if options.device == "gpu" else "cpu")
    if options.device == "gpu":
        given["num_gpus"] = given.get("num_gpus") or 1
    return given


def as_function(body: OrdinaryBody | PlacedBody) -> Callable[..., Any]:
    """The body as a function with the user's name, of the user's kind: ray.remote takes nothing else."""
    function = body.function
    call: Any
    if body.yields == "async":

        async def call(*args: Any, **kwargs: Any) -> Any:
            async for item in body(*args, **kwargs):
                yield item

    elif body.yields:

        def call(*args: Any, **kwargs: Any) -> Any:
            yield from body(*args, **kwargs)

    else:

        def call(*args: Any, **kwargs: Any) -> Any:
            return body(*args, **kwargs)

    functools.update_wrapper(call, function)
    del call.__wrapped__  # which would be pickled beside the body  # type: ignore[attr-defined]
    own = list(inspect.signature(function).parameters.values())
    if isinstance(body, PlacedBody):
        call.__dict__.pop("__ray_invocation_decorator__", None)  # applied before the Envelope is added
        own = [ENVELOPE, *own]
    call.__signature__ = inspect.Signature(own)
    return call
