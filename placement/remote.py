"""placed_remote: ray.remote, only placed.

A placed function holds a RemoteFunction of Ray's for each way to run, because `max_calls` goes with the exported
function and Ray restarts a worker after each call of a function exported with num_gpus. The caller sends an Envelope
before the arguments of a placed task, the worker reads it. A function that is not placed is submitted as Ray does.
"""

from __future__ import annotations

import functools
import inspect
import os
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar, Unpack, overload

import ray
from ray._common import ray_option_utils
from ray._common.signature import extract_signature, validate_args
from ray._private.auto_init_hook import auto_init_ray
from ray._private.client_mode_hook import client_mode_should_convert
from ray._private.inspect_util import is_cython
from ray._private.worker import global_worker

from placement.batches import Results, mapped
from placement.caller import caller
from placement.control import check_ray_version
from placement.decision import Decision, Explanation, Snapshot
from placement.envelope import Envelope
from placement.errors import OptionError
from placement.exported import ExportingFunction, Variant, Way
from placement.narrowing import own_options, surroundings
from placement.options import PlacementOptions, reject_unknown, split
from placement.placing import Placer
from placement.retiring import MAX_CALLS
from placement.sent import Sent, remember
from placement.submission import Submit, submitter
from placement.task import TaskSpec

if TYPE_CHECKING:
    from ray.dag.function_node import FunctionNode

    from placement.typed import Decorator, Options, PlacedActorClass, PlacedTask

LARGEST_PLANS = 4_096
F = TypeVar("F", bound=Callable[..., Any])
T = TypeVar("T")


class Plan(NamedTuple):
    """How a task of one size is submitted while the snapshot stands. sent: what is remembered of it."""

    task: TaskSpec
    submit: Callable[..., Any]
    packed: bytes
    sent: Sent


class Handle:
    """A placed function with options: what `.options()` returns and what the function itself submits through."""

    def __init__(self, function: PlacedFunction, options: PlacementOptions, ray_options: dict[str, Any]) -> None:
        self._function = function
        self._options = options
        self._ray_options = ray_options
        self._placer = Placer(function.name, options, ray_options, function.check_arguments)
        self._plans: dict[Any, Plan] = {}
        self._planned_for: tuple[Any, Any] = (None, None)
        self._submitters: dict[Any, Callable[..., Any]] = {}

    def remote(self, /, *args: Any, **kwargs: Any) -> Any:
        """Decides and submits; an ObjectRef like any other."""
        function = self._function
        if client_mode_should_convert():
            return super(PlacedFunction, function)._remote(args=args, kwargs=kwargs, **self._ray_options)
        if function._decorator is not None:
            return function._decorator(self._submit)(args, kwargs)
        return self._submit(args, kwargs)

    def _submit(self, args: Any, kwargs: Any) -> Any:
        if not global_worker.connected:
            auto_init_ray()
            global_worker.check_connected()
        plan = self._plan(args, kwargs)
        refs = plan.submit((plan.packed, *args), kwargs)
        remember(refs, plan.sent)
        return refs

    def map(
        self, iterable: Iterable[Any], *, ordered: bool = True, in_flight: int | None = None,
        return_exceptions: bool = False,
    ) -> Results:  # fmt: skip
        """The results of one task for each item; see placement.batches."""
        return mapped(self, iterable, ordered, in_flight, return_exceptions)

    def explain(self, /, *args: Any, **kwargs: Any) -> Explanation:
        """The decision for these arguments as it would be now: every candidate, and why it was or was not taken."""
        return self._placer.explain(args, kwargs)

    def bind(self, /, *args: Any, **kwargs: Any) -> FunctionNode:
        """A node of a Ray DAG, placed when the DAG is executed."""
        from placement.dag import PlacedNode

        return PlacedNode(self, self._function._function, args, kwargs, self._ray_options)

    def _plan(self, args: Any, kwargs: Any) -> Plan:
        snapshot, around = caller().current(), surroundings()
        if self._planned_for[0] is not snapshot or self._planned_for[1] != around:
            self._plans, self._planned_for = {}, (snapshot, around)
        task = self._placer.task(args, kwargs)
        plan = self._plans.get(id(task))
        if plan is not None and plan.task is task:
            return plan
        placer = self._placer
        decision = placer.nearer(placer.decide(task, snapshot, around), task, args, kwargs, snapshot, around)
        placer.count(decision, snapshot)
        sent = Sent(placer, task, decision, snapshot, around)
        repeats = placer.repeats(decision, snapshot)
        # Where each task is decided anew, most come to the same all the same: what is sent is then packed already.
        key: Any = id(task) if repeats else (id(task), *envelope_key(decision))
        plan = None if repeats else self._plans.get(key)
        if plan is not None and plan.task is task:
            return Plan(task, plan.submit, plan.packed, sent)
        repeatable = not (self._options.strict or self._options.side_effects)
        packed = Envelope(task, decision, repeatable).pack()
        plan = Plan(task, self._submitter(decision, snapshot, around, task), packed, sent)
        if len(self._plans) >= LARGEST_PLANS:
            self._plans.clear()
        self._plans[key] = plan
        return plan

    def _submitter(self, decision: Decision, snapshot: Snapshot, around: Any, task: TaskSpec) -> Callable[..., Any]:
        """A cached handle of Ray's for each (device, nodes): it costs no more than a plain call."""
        if global_worker.load_code_from_local:
            # Workers then import the user's function by its name, and know nothing of an Envelope.
            plain = super(PlacedFunction, self._function)._remote
            return lambda args, kwargs: plain(args[1:], kwargs, **self._ray_options)
        options = self._placer.ray_options_for(decision, snapshot, around, task)
        way: Way = decision.device if keeps_device(decision, snapshot) else "gpu_once"
        key = (way, str(options.get("label_selector")), str(options.get("fallback_strategy")))
        submit = self._submitters.get(key)
        if submit is None:
            submit = self._function.variant(way).submitter(options)
            self._submitters[key] = submit
        return submit

    def __getstate__(self) -> dict[str, Any]:
        return self.__dict__ | {"_plans": {}, "_planned_for": (None, None), "_submitters": {}}


class PlacedFunction(ExportingFunction):
    """What placed_remote makes of a function: a RemoteFunction of Ray's that is placed where it may be."""

    def __init__(self, function: Callable[..., Any], options: PlacementOptions, ray_options: dict[str, Any]) -> None:
        self._placement_options = options
        self._own_options = dict(ray_options)
        super().__init__(function, dict(ray_options))
        self._variants: dict[Way, Variant] = {}
        self._handle = Handle(self, options, self._own_options) if options.placeable else None
        self._submit: Submit | None = None
        self.remote: Any = _as(function, self._handle.remote if self._handle is not None else self._remote_unplaced)

    def __getstate__(self) -> dict[str, Any]:
        return super().__getstate__() | {"_submit": None}

    def check_arguments(self, args: Any, kwargs: Any) -> None:
        """Raises the TypeError of a call that does not fit the user's own signature, as Ray does."""
        validate_args(extract_signature(self._function), args, kwargs)

    def _remote_unplaced(self, /, *args: Any, **kwargs: Any) -> Any:
        """An ordinary Ray task, submitted as Ray does."""
        if self._decorator is not None or client_mode_should_convert() or not global_worker.connected:
            return super()._remote(args, kwargs, self._serialized_base_runtime_env_info, **self._default_options)
        if self._submit is None:
            self._submit = submitter(self, self._default_options, self._serialized_base_runtime_env_info)
        return self._submit(args, kwargs)

    def _remote(
        self, args: Any = None, kwargs: Any = None, serialized_runtime_env_info: str | None = None, **given: Any
    ) -> Any:
        """Ray's own way in, taken by all that hold this as a RemoteFunction."""
        if self._handle is None:
            return super()._remote(args, kwargs, serialized_runtime_env_info, **given)
        return Handle(self, self._placement_options, given).remote(*(args or ()), **(kwargs or {}))

    def options(self, **given: Any) -> Any:
        """A copy with other options, Ray's and ours alike; raises OptionError or ValueError on what is not valid."""
        ours, rays = split(given)
        options = self._placement_options.with_(ours)
        reject_unknown(rays, ray_option_utils.task_options, "remote functions")
        wrapper = super().options(**rays)  # Ray's own checks, warnings and errors
        if not options.placeable:
            return _Plain(self, wrapper)
        return Handle(self, options, {**self._own_options, **rays})

    def map(
        self, iterable: Iterable[Any], *, ordered: bool = True, in_flight: int | None = None,
        return_exceptions: bool = False,
    ) -> Results:  # fmt: skip
        """The results of one task for each item; see placement.batches."""
        return mapped(self, iterable, ordered, in_flight, return_exceptions)

    def explain(self, /, *args: Any, **kwargs: Any) -> Explanation:
        """As Handle.explain; a function that is not placeable says how to make it so."""
        if self._handle is None:
            raise OptionError(
                f'{self.name} is an ordinary Ray task: give placed_remote spec= or devices="any" to have it placed.'
            )
        return self._handle.explain(*args, **kwargs)

    def bind(self, /, *args: Any, **kwargs: Any) -> FunctionNode:
        """A node of a Ray DAG, placed when the DAG is executed."""
        from placement.dag import PlacedNode

        return PlacedNode(self._handle or self, self._function, args, kwargs, self._default_options)

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
        from placement.dag import PlacedNode

        node = self._wrapper.bind(*args, **kwargs)
        return PlacedNode(self._function, node._body, args, kwargs, node._bound_options)

    map = PlacedFunction.map


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
    measured, or an ordinary actor. See placement.options.PlacementOptions for our options; every option of ray.remote
    passes through, and what ray.remote raises on a misuse, this raises.
    With PLACEMENT_DISABLE=1 in the environment this is ray.remote.
    """
    if len(args) == 1 and not options and callable(args[0]):
        return _placed(args[0], PlacementOptions(), {})
    if args or not options:
        return ray.remote(*args, **options)  # which raises
    ours, rays = split(options)
    return functools.partial(_placed, options=PlacementOptions().with_(ours), ray_options=rays)


def _placed(function_or_class: Any, options: PlacementOptions, ray_options: dict[str, Any]) -> Any:
    ray_options = dict(ray_options)  # Ray changes the dict it is given, which a decorator may use twice
    is_function = inspect.isfunction(function_or_class) or is_cython(function_or_class)
    disabled = os.environ.get("PLACEMENT_DISABLE") == "1"
    if not callable(function_or_class) and not ray_options:
        raise TypeError(f"placed_remote must be applied to either a function or a class, not {function_or_class!r}.")
    if not (is_function or inspect.isclass(function_or_class)):
        return ray._private.worker._make_remote(function_or_class, ray_options)  # which raises
    if disabled:
        return ray.remote(**ray_options)(function_or_class) if ray_options else ray.remote(function_or_class)
    check_ray_version()
    if not is_function:
        from placement.actors import placed_class

        return placed_class(function_or_class, options, ray_options)
    if not function_or_class.__module__:
        function_or_class.__module__ = "global"
    reject_unknown(ray_options, ray_option_utils.task_options, "remote functions")
    is_generator = inspect.isgeneratorfunction(function_or_class) or inspect.isasyncgenfunction(function_or_class)
    ray_option_utils.validate_task_options(ray_options, in_options=False, is_generator_callable=is_generator)
    return PlacedFunction(function_or_class, options, ray_options)


def export_options(options: PlacementOptions, ray_options: dict[str, Any], way: Way) -> dict[str, Any]:
    """The options under which a variant is exported; max_calls says when Ray ends its workers, the user's own first."""
    if way == "cpu":
        return _without(own_options(options, ray_options, "cpu"), "num_gpus")
    given = own_options(options, ray_options, "gpu")
    calls = MAX_CALLS if way == "gpu" else 1
    return {"max_calls": calls, **given, "num_gpus": given.get("num_gpus") or 1}


def envelope_key(decision: Decision) -> tuple[Any, ...]:
    """What of a decision travels with its task and may change while the snapshot stands."""
    return decision.device, tuple(decision.configs), decision.reason, decision.probability, decision.propensity


def keeps_device(decision: Decision, snapshot: Snapshot) -> bool:
    """The next task of a kept worker gets the device that this one gets, for its nodes have no other GPU to give.

    CUDA stays with the first device that a process saw; a worker whose next task may get another must end.
    """
    if decision.device == "cpu":
        return True
    granted = [kind.grants_gpus for kind in snapshot.inventory.kinds if kind.spec.config in decision.configs]
    return bool(granted) and all(gpus <= max(1.0, decision.gpus) for gpus in granted)


def _as(function: Callable[..., Any], submit: Callable[..., Any]) -> Callable[..., Any]:
    """`submit` with the user's name, docstring and signature, as Ray's own `remote` has."""

    @functools.wraps(function)
    def remote(*args: Any, **kwargs: Any) -> Any:
        return submit(*args, **kwargs)

    return remote


def _without(options: dict[str, Any], name: str) -> dict[str, Any]:
    return {key: value for key, value in options.items() if key != name}
