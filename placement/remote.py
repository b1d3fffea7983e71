"""placed_remote: ray.remote, only placed.

A placed function holds a RemoteFunction of Ray's for each device, because `max_calls` goes with the exported function
and Ray restarts a worker after each call of a function exported with num_gpus. The user's function is wrapped: the
caller sends an Envelope before its arguments, the worker reads it.
"""

from __future__ import annotations

import functools
import inspect
import os
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import ray
from ray._common import ray_option_utils
from ray._private.auto_init_hook import auto_init_ray
from ray._private.client_mode_hook import client_mode_should_convert
from ray._raylet import Language
from ray.dag.function_node import FunctionNode
from ray.remote_function import RemoteFunction

from placement import execution
from placement.caller import Caller, caller
from placement.control import check_ray_version
from placement.decision import Decision, Explanation, Limits, Snapshot, decide, explain
from placement.describe import of_arguments
from placement.errors import OptionError, PlacementError, SpecError
from placement.options import PLACEMENT_OPTIONS, PlacementOptions, spec_function, split
from placement.policies import STATELESS, Policy, policy_of
from placement.selector import Selector
from placement.task import DEVICES, Device, TaskSpec

LARGEST_PLANS = 4_096
UNKNOWN = TaskSpec()
ANY_ARGUMENTS = [
    inspect.Parameter("args", inspect.Parameter.VAR_POSITIONAL),
    inspect.Parameter("kwargs", inspect.Parameter.VAR_KEYWORD),
]
"""The signature under which Ray sends a placed task; the user's own is checked before."""


class Plan(NamedTuple):
    """How a task of one size is submitted while the snapshot stands."""

    task: TaskSpec
    submit: Callable[..., Any]
    packed: bytes


class Handle:
    """A placed function with options: what `.options()` returns and what the function itself submits through."""

    def __init__(self, function: PlacedFunction, options: PlacementOptions, ray_options: dict[str, Any]) -> None:
        self._function = function
        self._options = options
        self._ray_options = ray_options
        self._spec = spec_function(options.spec) or of_arguments
        self._policy: Policy | None = None if options.policy is None else policy_of(options.policy)
        self._limits = limits_of(options, ray_options)
        self._plans: dict[int, Plan] = {}
        self._planned_for: Snapshot | None = None
        self._handles: dict[Any, Any] = {}

    def remote(self, *args: Any, **kwargs: Any) -> Any:
        """Decides and submits; an ObjectRef like any other."""
        if client_mode_should_convert():
            return self._function.plain(self._ray_options).remote(*args, **kwargs)
        self._function.check_arguments(args, kwargs)
        auto_init_ray()
        plan = self._plan(self._task(args, kwargs), caller())
        return plan.submit(plan.packed, *args, **kwargs)

    def explain(self, *args: Any, **kwargs: Any) -> Explanation:
        """The decision for these arguments as it would be now: every candidate, and why it was or was not taken."""
        auto_init_ray()
        snapshot, task = caller().current(), self._task(args, kwargs)
        return explain(task, self._function.name, self._now(self._limits), snapshot, policy=self._policy)

    def bind(self, *args: Any, **kwargs: Any) -> FunctionNode:
        """A node of a Ray DAG, placed when the DAG is executed."""
        return PlacedNode(self._function._function, args, kwargs, {}, {"handle": self})

    def _task(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> TaskSpec:
        try:
            task = self._spec(*args, **kwargs)
        except PlacementError:
            raise
        except Exception as error:
            raise SpecError(self._spec_trouble(args, kwargs, error)) from error
        if task is None:
            return UNKNOWN
        if type(task) is not TaskSpec:
            raise SpecError(
                f"the spec of {self._function.name} returned {task!r}; it must return a TaskSpec (placement.describe "
                "makes them) or None for nothing known."
            )
        return task

    def _spec_trouble(self, args: tuple[Any, ...], kwargs: dict[str, Any], error: Exception) -> str:
        text = f"the spec of {self._function.name} failed on the task's arguments: {type(error).__name__}: {error}."
        if any(isinstance(value, ray.ObjectRef) for value in (*args, *kwargs.values())):
            text += (
                " An argument is an ObjectRef, which is passed to the spec as it is and never fetched: "
                "pass the sizes the spec needs as arguments of their own."
            )
        return text

    def _plan(self, task: TaskSpec, at: Caller) -> Plan:
        snapshot = at.current()
        if snapshot is not self._planned_for:
            self._plans, self._planned_for = {}, snapshot
        plan = self._plans.get(id(task))
        if plan is not None and plan.task is task and not execution.holds_gpu():
            return plan
        limits = self._now(self._limits)
        decision = decide(task, self._function.name, limits, snapshot, policy=self._policy)
        plan = Plan(task, self._submitter(decision, snapshot), self._pack(task, decision))
        if self._may_be_kept(decision, snapshot):
            if len(self._plans) >= LARGEST_PLANS:
                self._plans.clear()
            self._plans[id(task)] = plan
        return plan

    def _may_be_kept(self, decision: Decision, snapshot: Snapshot) -> bool:
        """A decision that was drawn by chance, or by a policy of whose state nothing is known, holds for one task."""
        policy = self._policy or snapshot.policy
        return decision.propensity == 1.0 and isinstance(policy, STATELESS) and not execution.holds_gpu()

    def _pack(self, task: TaskSpec, decision: Decision) -> bytes:
        repeatable = not (self._options.strict or self._options.side_effects)
        return execution.Envelope(task, decision, repeatable).pack()

    def _now(self, limits: Limits) -> Limits:
        """The limits, less a GPU for the child of a task that holds one: Ray would let both wait for ever."""
        if execution.holds_gpu() and self._options.device is None and "gpu" not in limits.excluded:
            why = "the calling task holds a GPU, which Ray does not release while it waits"
            return Limits(
                limits.cpus, limits.gpus, {**limits.excluded, "gpu": why}, limits.configs, limits.configs_reason,
                limits.strict,
            )  # fmt: skip
        return limits

    def _submitter(self, decision: Decision, snapshot: Snapshot) -> Callable[..., Any]:
        """A cached handle of Ray's for each (device, configs): it costs no more than a plain call."""
        where = label_selector(decision, snapshot)
        key = (decision.device, tuple(where.items()))
        handle = self._handles.get(key)
        if handle is None:
            options = device_options(self._options, self._ray_options, decision)
            if where and "label_selector" not in options and "scheduling_strategy" not in options:
                options["label_selector"] = where
            options.pop("max_calls", None)
            handle = self._function.variant(decision.device).options(**options)
            self._handles[key] = handle
        return handle.remote  # type: ignore[no-any-return]

    def __getstate__(self) -> dict[str, Any]:
        return self.__dict__ | {"_plans": {}, "_planned_for": None, "_handles": {}}


class PlacedFunction(RemoteFunction):
    """What placed_remote makes of a function: a RemoteFunction of Ray's that is placed where it may be."""

    def __init__(self, function: Callable[..., Any], options: PlacementOptions, ray_options: dict[str, Any]) -> None:
        self.name = f"{function.__module__}.{function.__qualname__}"
        self._placement_options = options
        self._own_options = dict(ray_options)
        super().__init__(Language.PYTHON, function, None, dict(ray_options))
        self._bind_arguments: Callable[..., Any] | None = None
        self._variants: dict[Device, RemoteFunction] = {}
        self._measured = plain_variant(function, self.name, dict(ray_options))
        self._handle = Handle(self, options, self._own_options) if options.placeable else None
        self.remote = self._remote_of(function)

    def check_arguments(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        """Raises the TypeError of a call that does not fit the user's own signature, as Ray does."""
        if self._bind_arguments is None:
            self._bind_arguments = inspect.signature(self._function).bind
        try:
            self._bind_arguments(*args, **kwargs)
        except TypeError as error:
            raise TypeError(str(error)) from None

    def __getstate__(self) -> dict[str, Any]:
        return super().__getstate__() | {"_bind_arguments": None}

    def _remote_of(self, function: Callable[..., Any]) -> Callable[..., Any]:
        """`remote` with the user's name, docstring and signature, as Ray's own has."""
        submit = self._measured.remote if self._handle is None else self._handle.remote

        @functools.wraps(function)
        def remote(*args: Any, **kwargs: Any) -> Any:
            return submit(*args, **kwargs)

        return remote

    def _remote(self, args: Any = None, kwargs: Any = None, **given: Any) -> Any:
        """Ray's own way in, taken by whoever holds this as a RemoteFunction (Ray Client's server, tests)."""
        if self._handle is None:
            return self._measured._remote(args=args, kwargs=kwargs, **given)
        return self._handle.remote(*(args or ()), **(kwargs or {}))

    def options(self, **given: Any) -> Any:
        """A copy with other options, Ray's and ours alike; raises OptionError or ValueError on what is not valid."""
        ours, rays = split(given)
        options = self._placement_options.with_(ours)
        if not options.placeable:
            reject_unknown(rays)
            return self._measured.options(**rays)
        validated(rays, in_options=True)
        merged = ray_option_utils.update_options(self._own_options, rays)
        return Handle(self, options, merged)

    def explain(self, *args: Any, **kwargs: Any) -> Explanation:
        """As Handle.explain; a function that is not placeable says how to make it so."""
        if self._handle is None:
            raise OptionError(
                f'{self.name} is an ordinary Ray task: give placed_remote spec= or devices="any" to have it placed.'
            )
        return self._handle.explain(*args, **kwargs)

    def bind(self, *args: Any, **kwargs: Any) -> FunctionNode:
        """A node of a Ray DAG, placed when the DAG is executed."""
        if self._handle is None:
            return self._measured.bind(*args, **kwargs)
        return self._handle.bind(*args, **kwargs)

    def variant(self, device: Device) -> RemoteFunction:
        """The RemoteFunction of a device; both take the Envelope first."""
        if device not in self._variants:
            options = device_defaults(self._placement_options, self._own_options, device)
            self._variants[device] = placed_variant(self._function, self.name, options)
        return self._variants[device]

    def plain(self, ray_options: dict[str, Any]) -> Any:
        """The function as plain Ray has it: under Ray Client the decision is the server's business, not ours."""
        return ray.remote(**ray_options)(self._function) if ray_options else ray.remote(self._function)


class PlacedNode(FunctionNode):
    """A DAG node whose task is placed when it is executed."""

    def _copy_impl(
        self, new_args: Any, new_kwargs: Any, new_options: Any, new_other_args_to_resolve: Any
    ) -> PlacedNode:
        return PlacedNode(self._body, new_args, new_kwargs, new_options, new_other_args_to_resolve)

    def _execute_impl(self, *_args: Any, **_kwargs: Any) -> Any:
        return self._bound_other_args_to_resolve["handle"].remote(*self._bound_args, **self._bound_kwargs)


def placed_remote(*args: Any, **options: Any) -> Any:
    """ray.remote, only placed: a decorator for functions and classes, with or without options.

    A function is placeable when it says so: `spec=` (a TaskSpec, or a function of the task's own arguments that gives
    one) or `devices="any"` (its arguments' sizes and history describe it). Else it is an ordinary Ray task, measured.
    See placement.options.PlacementOptions for our options; every option of ray.remote passes through.
    With PLACEMENT_DISABLE=1 in the environment this is ray.remote.
    """
    if len(args) == 1 and not options and callable(args[0]):
        return _placed(args[0], PlacementOptions(), {})
    if args or not options:
        raise TypeError(
            "placed_remote takes a function or a class alone, or keyword options alone: @placed_remote, "
            "@placed_remote(spec=..., max_retries=2), placed_remote(function)."
        )
    ours, rays = split(options)
    checked = PlacementOptions().with_(ours)
    return functools.partial(_placed, options=checked, ray_options=rays)


def _placed(function_or_class: Any, options: PlacementOptions, ray_options: dict[str, Any]) -> Any:
    ray_options = dict(ray_options)
    if os.environ.get("PLACEMENT_DISABLE") == "1":
        return ray.remote(**ray_options)(function_or_class) if ray_options else ray.remote(function_or_class)
    check_ray_version()
    if inspect.isclass(function_or_class):
        return ray.remote(**ray_options)(function_or_class) if ray_options else ray.remote(function_or_class)
    if not inspect.isfunction(function_or_class):
        raise TypeError(
            f"placed_remote must be applied to a function or a class, not {function_or_class!r} "
            f"({type(function_or_class).__name__})."
        )
    validated(ray_options, in_options=False)
    return PlacedFunction(function_or_class, options, ray_options)


def plain_variant(function: Callable[..., Any], name: str, options: dict[str, Any]) -> RemoteFunction:
    """The function as an ordinary Ray task, measured."""
    if inspect.isasyncgenfunction(function) or inspect.iscoroutinefunction(function):
        return RemoteFunction(Language.PYTHON, function, None, options)
    run = execution.run_plain_generator if inspect.isgeneratorfunction(function) else execution.run_plain
    return RemoteFunction(Language.PYTHON, _wrapped(function, lambda *a, **k: run(function, name, a, k)), None, options)


def placed_variant(function: Callable[..., Any], name: str, options: dict[str, Any]) -> RemoteFunction:
    """The function as a Ray task whose first argument is the Envelope."""
    if inspect.isasyncgenfunction(function):
        raise OptionError(f"{name} is an async generator; such a task cannot be placed. Leave out spec= and devices=.")
    run = execution.run_placed_generator if inspect.isgeneratorfunction(function) else execution.run_placed
    wrapped = _wrapped(function, lambda packed, *a, **k: run(function, name, packed, a, k))
    variant = RemoteFunction(Language.PYTHON, wrapped, None, options)
    variant._function_signature = ANY_ARGUMENTS
    return variant


def _wrapped(function: Callable[..., Any], run: Callable[..., Any]) -> Callable[..., Any]:
    """`run` under the user's name; a generator function where the user's is one, since Ray looks at that."""
    if inspect.isgeneratorfunction(function):

        @functools.wraps(function)
        def generate(*args: Any, **kwargs: Any) -> Any:
            return (yield from run(*args, **kwargs))

        return generate

    @functools.wraps(function)
    def call(*args: Any, **kwargs: Any) -> Any:
        return run(*args, **kwargs)

    return call


def validated(ray_options: Mapping[str, Any], *, in_options: bool) -> None:
    """Checks Ray's options as Ray does; an unknown one is answered with Ray's and our valid ones."""
    reject_unknown(ray_options)
    ray_option_utils.validate_task_options(dict(ray_options), in_options=in_options)


def reject_unknown(ray_options: Mapping[str, Any]) -> None:
    """Raises OptionError on an option that neither Ray nor we have."""
    unknown = sorted(set(ray_options) - set(ray_option_utils.task_options))
    if unknown:
        raise OptionError(
            f"Invalid option keyword {unknown[0]} for remote functions. Valid ones are "
            f"{sorted(ray_option_utils.task_options)}, and of placement {sorted(PLACEMENT_OPTIONS)}."
        )


def limits_of(options: PlacementOptions, ray_options: Mapping[str, Any]) -> Limits:
    """How the user's own options narrow the candidates."""
    excluded: dict[Device, str] = {}
    gpus = ray_options.get("num_gpus")
    if gpus:
        excluded["cpu"] = f"your num_gpus={gpus:g} asks for a GPU"
    elif gpus == 0:
        excluded["gpu"] = "your num_gpus=0 asks for none"
    if options.device is not None:
        other: Device = "cpu" if options.device == "gpu" else "gpu"
        excluded = {other: f'pinned by device="{options.device}"'}
    by_device = {d: {**ray_options, **_own(options, d)} for d in DEVICES}
    cpus: dict[Device, float] = {d: 1.0 if (n := o.get("num_cpus")) is None else float(n) for d, o in by_device.items()}
    wanted = (ray_options.get("label_selector") or {}).get("config")
    return Limits(
        cpus=cpus,
        gpus=float(by_device["gpu"].get("num_gpus") or 1.0),
        excluded=excluded,
        configs=frozenset({wanted}) if wanted and wanted.isalnum() else None,
        strict=options.strict,
    )


def _own(options: PlacementOptions, device: Device) -> Mapping[str, Any]:
    return options.gpu_options if device == "gpu" else options.cpu_options


def device_defaults(options: PlacementOptions, ray_options: Mapping[str, Any], device: Device) -> dict[str, Any]:
    """The options under which a device's variant is exported; a GPU worker is kept unless max_calls says otherwise."""
    given = {**ray_options, **_own(options, device)}
    if device == "gpu":
        return {"max_calls": 0, **given, "num_gpus": given.get("num_gpus") or 1}
    return {name: value for name, value in given.items() if name != "num_gpus"}


def device_options(options: PlacementOptions, ray_options: Mapping[str, Any], decision: Decision) -> dict[str, Any]:
    """The options of one submission, which .options() takes."""
    return device_defaults(options, ray_options, decision.device)


def label_selector(decision: Decision, snapshot: Snapshot) -> dict[str, str]:
    """What Ray must be told of the node: nothing where every node that could take the task will do.

    A kind of node whose nodes carry no `config` label is named by their ids.
    """
    kinds = [k for k in snapshot.inventory.kinds if decision.device == "cpu" or k.grants_gpus]
    chosen = [k for k in kinds if k.spec.config in decision.configs]
    if decision.device == "cpu" or not chosen or len(chosen) == len(kinds):
        return {}
    if all(kind.labelled for kind in chosen):
        return {"config": f"in({','.join(kind.spec.config for kind in chosen)})"}
    return {"ray.io/node-id": f"in({','.join(node_id for kind in chosen for node_id in kind.node_ids)})"}


def choose(task: TaskSpec, *, selector: Selector | None = None) -> Decision:
    """The decision for a task of which only the spec is told; `selector` instead of the one in service."""
    auto_init_ray()
    snapshot = caller().current()
    if selector is not None:
        snapshot = Snapshot(snapshot.version, snapshot.inventory, selector, snapshot.policy, history=snapshot.history)
    return decide(task, "", Limits(), snapshot)
