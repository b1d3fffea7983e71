"""Placed actors: the device is chosen once, at construction, and holds for the actor's whole life."""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Any

from ray import ActorClassID
from ray._common import ray_option_utils
from ray._common.signature import validate_args
from ray._private import ray_constants
from ray._private.auto_init_hook import auto_init_ray
from ray._private.client_mode_hook import client_mode_should_convert
from ray._private.utils import parse_runtime_env_for_task_or_actor
from ray.actor import ActorClass, _modify_class
from ray.util.tracing.tracing_helper import _inject_tracing_into_class

from placement.errors import OptionError
from placement.scheduling.explanation import Explanation
from placement.submission.options import PlacementOptions, check_device_options, reject_unknown, split
from placement.submission.placer import Placer
from placement.submission.ray_constraints import caller_context
from placement.submission.snapshot_client import caller

if TYPE_CHECKING:
    from ray.dag.class_node import ClassNode

CLASS_SPEC = "placement_spec"
"""A class's own spec, declared in it: a TaskSpec, or a static method of the constructor's arguments."""
OURS = "_placement"
"""The key under which our options travel through Ray's own way of creating an actor."""


def placed_class(user_class: Any, options: PlacementOptions, ray_options: dict[str, Any]) -> Any:
    """What placed_remote makes of a class: an ActorClass of Ray's, placed where it may be."""
    if options.spec is None and (declared := _declared_spec(user_class)) is not None:
        options = options.with_({"spec": declared})
    reject_unknown(ray_options, ray_option_utils.actor_options, "actors")
    check_device_options(options.by_device, ray_option_utils.actor_options, "actors", _at_decoration)
    ray_option_utils.validate_actor_options(ray_options, in_options=False)
    return PlacedClass.of(user_class, options, ray_options)


def _declared_spec(user_class: Any) -> Any:
    """The spec in the body of the class or of a base; a metaclass that answers to any name declares none."""
    if any(CLASS_SPEC in vars(base) for base in user_class.__mro__):
        return getattr(user_class, CLASS_SPEC)
    return None


_at_decoration = functools.partial(ray_option_utils.validate_actor_options, in_options=False)
_in_options = functools.partial(ray_option_utils.validate_actor_options, in_options=True)


class PlacedClass(ActorClass):
    """An ActorClass that decides for a device at each construction, where its options say that it may."""

    __ray_metadata__: Any
    _default_options: dict[str, Any]
    _placement_options: PlacementOptions
    _user_class: type
    _placeable: PlacedClass | None = None
    """Of a class that is not placeable: the one that is, made where .options() says how."""

    @classmethod
    def of(cls, user_class: Any, options: PlacementOptions, ray_options: dict[str, Any]) -> PlacedClass:
        """As ray.actor._make_actor, with our class in ActorClass's place."""
        modified = _modify_class(user_class)
        if options.placeable:
            modified.__init__ = _entering(modified.__init__)
        _inject_tracing_into_class(modified)
        if ray_options.get("max_restarts", -1) != -1:
            ray_options["max_restarts"] = min(ray_options["max_restarts"], ray_constants.MAX_INT64_VALUE)
        made: PlacedClass = cls._ray_from_modified_class(modified, ActorClassID.from_random(), ray_options)
        made._placement_options = options
        made._user_class = user_class
        return made

    def options(self, **given: Any) -> Any:
        """A copy with other options, Ray's and ours alike; raises OptionError or ValueError on what is not valid."""
        ours, rays = split(given)
        options = self._placement_options.with_(ours)
        reject_unknown(rays, ray_option_utils.actor_options, "actors")
        check_device_options(ours, ray_option_utils.actor_options, "actors", _in_options)
        wrapper = super().options(**rays)  # Ray's own checks and errors
        if not options.placeable:
            return wrapper
        if not self._placement_options.placeable:
            if self._placeable is None:
                self._placeable = PlacedClass.of(self._user_class, options, dict(self._default_options))
            return self._placeable.options(**given)
        merged = {k: v for k, v in self._default_options.items() if k != "concurrency_groups"} | rays
        if "runtime_env" in rays:
            merged["runtime_env"] = parse_runtime_env_for_task_or_actor(rays["runtime_env"])
        return PlacedClassOptions(self, options, merged)

    def explain(self, /, *args: Any, **kwargs: Any) -> Explanation:
        """The decision for these constructor arguments as it would be now; every candidate, and why (not) taken."""
        if not self._placement_options.placeable:
            raise OptionError(
                f'{self.__ray_metadata__.class_name} is an ordinary actor: give placed_remote spec= or devices="any" '
                "to have it placed."
            )
        return self._placer(self._placement_options, self._default_options).explain(args, kwargs)

    def bind(self, /, *args: Any, **kwargs: Any) -> ClassNode:
        """A node of a Ray DAG, placed when the DAG is executed."""
        if not self._placement_options.placeable:
            return super().bind(*args, **kwargs)
        from placement.submission.dag_nodes import PlacedClassNode

        return PlacedClassNode(self, self.__ray_metadata__.modified_class, args, kwargs, self._default_options)

    def _remote(self, args: Any = None, kwargs: Any = None, **given: Any) -> Any:
        """Ray's own way in, which every creation takes."""
        if given.get("get_if_exists"):
            return super()._remote(args, kwargs, **given)  # comes back here where there is none yet
        options = given.pop(OURS, self._placement_options)
        if not options.placeable or client_mode_should_convert():
            return super()._remote(args, kwargs, **given)
        auto_init_ray()  # as Ray's own does, which comes only after the decision
        placer = self._placer(options, given)
        snapshot, around = caller().current(), caller_context()
        task = placer.task(tuple(args or ()), kwargs or {})
        decision = placer.decide(task, snapshot, around)
        asked = placer.ray_options_for(decision, snapshot, around, task)
        # Without num_gpus on the CPU: with num_gpus=0 Ray holds a CPU for the actor's whole life. A user's own is kept.
        if decision.device == "cpu" and given.get("num_gpus") == 0:
            asked["num_gpus"] = given["num_gpus"]
        return super()._remote(args, kwargs, **asked)

    def _placer(self, options: PlacementOptions, ray_options: dict[str, Any]) -> Placer:
        descriptor = self.__ray_metadata__.actor_creation_function_descriptor
        return Placer(f"{descriptor.module_name}.{descriptor.class_name}", options, ray_options, self._check_arguments)

    def _check_arguments(self, args: Any, kwargs: Any) -> None:
        validate_args(self.__ray_metadata__.method_meta.signatures["__init__"], args, kwargs)


class PlacedClassOptions:
    """What `.options()` of a placed class returns."""

    def __init__(self, placed: PlacedClass, options: PlacementOptions, ray_options: dict[str, Any]) -> None:
        self._placed = placed
        self._options = options
        self._ray_options = ray_options

    def remote(self, /, *args: Any, **kwargs: Any) -> Any:
        """Decides and creates the actor."""
        return self._placed._remote(args=args, kwargs=kwargs, **self._ray_options, **{OURS: self._options})

    def explain(self, /, *args: Any, **kwargs: Any) -> Explanation:
        """As PlacedClass.explain."""
        return self._placed._placer(self._options, self._ray_options).explain(args, kwargs)

    def bind(self, /, *args: Any, **kwargs: Any) -> ClassNode:
        """A node of a Ray DAG, placed when the DAG is executed."""
        from placement.submission.dag_nodes import PlacedClassNode

        return PlacedClassNode(self, self._placed.__ray_metadata__.modified_class, args, kwargs, self._ray_options)


def _entering(init: Any) -> Any:
    """The constructor, which first settles the device in the actor's process."""

    @functools.wraps(init)
    def __init__(self: Any, *args: Any, **kwargs: Any) -> None:
        from placement.worker.actor_entry import enter_actor

        enter_actor()
        init(self, *args, **kwargs)

    return __init__
