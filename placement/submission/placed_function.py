"""placed_remote: ray.remote, only placed.

A placed function holds a RemoteFunction of Ray's for each way to run, because `max_calls` goes with the exported
function and Ray restarts a worker after each call of a function exported with num_gpus. The caller sends an Envelope
with the arguments of a placed task, the worker reads it. A function that is not placed is submitted as Ray does.
"""

from __future__ import annotations

import functools
import inspect
import os
from collections.abc import Callable, Iterable
from functools import cached_property
from typing import TYPE_CHECKING, Any, TypeVar, Unpack, overload

from ray._common import ray_option_utils
from ray._common.signature import extract_signature, validate_args
from ray._private.client_mode_hook import client_mode_should_convert
from ray._private.inspect_util import is_cython
from ray._private.worker import _make_remote, global_worker

from placement.errors import OptionError
from placement.ray_version import check_ray_version
from placement.submission.exported_function import ExportingFunction, Variant, Way
from placement.submission.fast_submit import Submit, submitter
from placement.submission.map_call import mapped
from placement.submission.map_results import Results
from placement.submission.options import PlacementOptions, check_device_options, own_options, reject_unknown, split
from placement.worker.worker_retirement import MAX_CALLS

if TYPE_CHECKING:
    from ray.dag.function_node import FunctionNode

    from placement.scheduling.explanation import Explanation
    from placement.submission.placed_call import Handle
    from placement.submission.typed import Decorator, Options, PlacedActorClass, PlacedTask

F = TypeVar("F", bound=Callable[..., Any])
T = TypeVar("T")


class PlacedFunction(ExportingFunction):
    """What placed_remote makes of a function: a RemoteFunction of Ray's that is placed where it may be."""

    def __init__(self, function: Callable[..., Any], options: PlacementOptions, ray_options: dict[str, Any]) -> None:
        self._placement_options = options
        self._own_options = dict(ray_options)
        super().__init__(function, dict(ray_options))
        self._variants: dict[Way, Variant] = {}
        self._submit: Submit | None = None
        self.remote: Any = _as(function, self._remote_placed if options.placeable else self._remote_unplaced)

    @cached_property
    def handle(self) -> Handle:
        """What calls of a placeable function go through."""
        from placement.submission.placed_call import Handle

        return Handle(self, self._placement_options, self._own_options)

    def __getstate__(self) -> dict[str, Any]:
        worked_out = ("handle", "check_arguments")
        return {k: v for k, v in super().__getstate__().items() if k not in worked_out} | {"_submit": None}

    @cached_property
    def check_arguments(self) -> Callable[[Any, Any], None]:
        """Raises the TypeError of a call that does not fit the user's own signature, as Ray does.

        It holds the signature alone: what is remembered of tasks sent must not keep the user's function alive.
        """
        return functools.partial(validate_args, extract_signature(self._function))

    def submit_plainly(self, args: Any, kwargs: Any, **given: Any) -> Any:
        """As an ordinary task of the user's own function."""
        return super()._remote(args=args, kwargs=kwargs, **given)

    def _remote_placed(self, /, *args: Any, **kwargs: Any) -> Any:
        return self.handle.remote(*args, **kwargs)

    def _remote_unplaced(self, /, *args: Any, **kwargs: Any) -> Any:
        """An ordinary Ray task, submitted as Ray does."""
        if self._decorator is not None or client_mode_should_convert() or not global_worker.connected:
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
        reject_unknown(rays, ray_option_utils.task_options, "remote functions")
        check_device_options(ours, ray_option_utils.task_options, "remote functions", _in_options)
        wrapper = super().options(**rays)  # Ray's own checks, warnings and errors
        if not options.placeable:
            return _Plain(self, wrapper)
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
        """As Handle.explain; a function that is not placeable says how to make it so."""
        if not self._placement_options.placeable:
            raise OptionError(
                f'{self.name} is an ordinary Ray task: give placed_remote spec= or devices="any" to have it placed.'
            )
        return self.handle.explain(*args, **kwargs)

    def bind(self, /, *args: Any, **kwargs: Any) -> FunctionNode:
        """A node of a Ray DAG, placed when the DAG is executed."""
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


class _Plain:
    """What `.options()` of a function that is not placeable returns: Ray's own, and map."""

    def __init__(self, function: PlacedFunction, wrapper: Any) -> None:
        self._function = function
        self.remote = wrapper.remote
        self._wrapper = wrapper

    def bind(self, /, *args: Any, **kwargs: Any) -> FunctionNode:
        """A node of a Ray DAG."""
        from placement.submission.dag_nodes import PlacedNode

        node = self._wrapper.bind(*args, **kwargs)
        return PlacedNode(self._function, node._body, args, kwargs, node._bound_options)

    def map(
        self, iterable: Iterable[Any], *, ordered: bool = True, in_flight: int | None = None,
        return_exceptions: bool = False,
    ) -> Results:  # fmt: skip
        """The results of one task for each item; see placement.submission.map_results."""
        return mapped(self, iterable, ordered, in_flight, return_exceptions)


@overload
def placed_remote(cls: type[T], /) -> PlacedActorClass[T]: ...  # type: ignore[overload-overlap]
@overload
def placed_remote(function: F, /) -> PlacedTask[F]: ...
@overload
def placed_remote(**options: Unpack[Options]) -> Decorator: ...
def placed_remote(*args: Any, **options: Any) -> Any:
    """ray.remote, only placed: a decorator for functions and classes, with or without options.

    A function or class is placeable when it says so: `spec=` (a TaskSpec, or a function of the task's own arguments
    that gives one) or `devices="any"` (its arguments' sizes and history describe it). Else it is an ordinary Ray task,
    measured, or an ordinary actor. See placement.submission.options.PlacementOptions for our options; every option of
    ray.remote passes through, and what ray.remote raises on a misuse, this raises.
    `functools.partial(placed_remote, devices="any")` is a decorator like it, and either may be put in the place of
    ray.remote itself. With PLACEMENT_DISABLE=1 in the environment this is ray.remote.
    """
    ours, rays = split(options)
    if len(args) == 1 and not rays and callable(args[0]):
        return _placed(args[0], PlacementOptions().with_(ours), {})
    if args or not options:
        raise AssertionError(ray_option_utils.remote_args_error_string)  # as ray.remote, whose name may be ours now
    return functools.partial(_placed, options=PlacementOptions().with_(ours), ray_options=rays)


def _placed(function_or_class: Any, options: PlacementOptions, ray_options: dict[str, Any]) -> Any:
    ray_options = dict(ray_options)  # Ray changes the dict it is given, which a decorator may use twice
    is_function = inspect.isfunction(function_or_class) or is_cython(function_or_class)
    disabled = os.environ.get("PLACEMENT_DISABLE") == "1"
    if not callable(function_or_class) and not ray_options:
        raise TypeError(f"placed_remote must be applied to either a function or a class, not {function_or_class!r}.")
    if not (is_function or inspect.isclass(function_or_class)):
        return _make_remote(function_or_class, ray_options)  # which raises
    if disabled:
        return _make_remote(function_or_class, ray_options)
    check_ray_version()
    if not is_function:
        from placement.submission.placed_class import placed_class

        return placed_class(function_or_class, options, ray_options)
    if not function_or_class.__module__:
        function_or_class.__module__ = "global"
    reject_unknown(ray_options, ray_option_utils.task_options, "remote functions")
    check_device_options(options.by_device, ray_option_utils.task_options, "remote functions", _at_decoration)
    is_generator = inspect.isgeneratorfunction(function_or_class) or inspect.isasyncgenfunction(function_or_class)
    ray_option_utils.validate_task_options(ray_options, in_options=False, is_generator_callable=is_generator)
    return PlacedFunction(function_or_class, options, ray_options)


_in_options = functools.partial(ray_option_utils.validate_task_options, in_options=True)
_at_decoration = functools.partial(ray_option_utils.validate_task_options, in_options=False)


def export_options(options: PlacementOptions, ray_options: dict[str, Any], way: Way) -> dict[str, Any]:
    """The options under which a variant is exported; max_calls says when Ray ends its workers, the user's own first."""
    if way == "cpu":
        return _without(own_options(options, ray_options, "cpu"), "num_gpus")
    given = own_options(options, ray_options, "gpu")
    calls = MAX_CALLS if way == "gpu" else 1
    return {"max_calls": calls, **given, "num_gpus": given.get("num_gpus") or 1}


def _as(function: Callable[..., Any], submit: Callable[..., Any]) -> Callable[..., Any]:
    """`submit` with the user's name, docstring and signature, as Ray's own `remote` has."""

    @functools.wraps(function)
    def remote(*args: Any, **kwargs: Any) -> Any:
        return submit(*args, **kwargs)

    return remote


def _without(options: dict[str, Any], name: str) -> dict[str, Any]:
    return {key: value for key, value in options.items() if key != name}
