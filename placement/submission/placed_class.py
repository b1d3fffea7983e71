"""Placed actors: the device is chosen once, at construction, and holds for the actor's whole life."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from placement.errors import OptionError
from placement.ray_internals.classes import (
    MAX_INT64_VALUE,
    ActorClass,
    ActorClassID,
    inject_tracing,
    modify_class,
    parse_runtime_env_for_task_or_actor,
    validate_args,
)
from placement.ray_internals.connection import auto_init_ray, client_mode_should_convert
from placement.ray_internals.names import has_nodes
from placement.ray_internals.options import actor_options, check_actor_options
from placement.scheduling.explanation import Explanation
from placement.submission.class_options import ClassOptions
from placement.submission.first_calls import device_by_options, must_not_wait, options_by_device
from placement.submission.options import PlacementOptions, check_device_options, reject_unknown, split
from placement.submission.placer import Placer
from placement.submission.ray_constraints import caller_context
from placement.submission.snapshot_client import caller
from placement.worker.task_body import entering

if TYPE_CHECKING:
    from ray.dag.class_node import ClassNode

OURS = "_placement"
"""The key under which our options travel through Ray's own way of creating an actor."""


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
        """A PlacedClass of a user's class, made as Ray makes an ActorClass."""
        modified = modify_class(user_class)
        if options.placeable:
            modified.__init__ = entering(modified.__init__)
        inject_tracing(modified)
        if ray_options.get("max_restarts", -1) != -1:
            ray_options["max_restarts"] = min(ray_options["max_restarts"], MAX_INT64_VALUE)
        made: PlacedClass = cls._ray_from_modified_class(modified, ActorClassID.from_random(), ray_options)
        made._placement_options = options
        made._user_class = user_class
        return made

    def options(self, **given: Any) -> Any:
        """A copy with other options, Ray's and ours alike; raises OptionError or ValueError on what is not valid."""
        ours, rays = split(given)
        options = self._placement_options.with_(ours)
        reject_unknown(rays, actor_options(), "actors")
        check_device_options(ours, check_actor_options, in_options=True)
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
        if not self._placement_options.placeable or not has_nodes():
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
        if must_not_wait(lambda: caller().current()):
            device = device_by_options(options, given)
            return super()._remote(args, kwargs, **_as_actor(options_by_device(options, given, device), given))
        placer = self._placer(options, given)
        snapshot, context = caller().current(), caller_context()
        task = placer.task(tuple(args or ()), kwargs or {})
        decision = placer.decide(task, snapshot, context)
        asked = placer.ray_options_for(decision, snapshot, context, task)
        return super()._remote(args, kwargs, **_as_actor(asked, given))

    def _placer(self, options: PlacementOptions, ray_options: dict[str, Any]) -> Placer:
        descriptor = self.__ray_metadata__.actor_creation_function_descriptor
        return Placer(f"{descriptor.module_name}.{descriptor.class_name}", options, ray_options, self._check_arguments)

    def _check_arguments(self, args: Any, kwargs: Any) -> None:
        validate_args(self.__ray_metadata__.method_meta.signatures["__init__"], args, kwargs)


class PlacedClassOptions(ClassOptions):
    """A placed class with options: the result of `.options()`."""

    _placed: PlacedClass

    def remote(self, /, *args: Any, **kwargs: Any) -> Any:
        """Decides and creates the actor."""
        return self._placed._remote(args=args, kwargs=kwargs, **self._ray_options, **{OURS: self._options})

    def bind(self, /, *args: Any, **kwargs: Any) -> ClassNode:
        """A node of a Ray DAG, placed when the DAG is executed."""
        from placement.submission.dag_nodes import PlacedClassNode

        return PlacedClassNode(self, self._placed.__ray_metadata__.modified_class, args, kwargs, self._ray_options)


def _as_actor(asked: dict[str, Any], given: dict[str, Any]) -> dict[str, Any]:
    """The options of an actor. Without num_gpus on the CPU: with num_gpus=0 Ray holds a CPU for the actor's whole life;
    a user's own is kept."""
    return {**asked, "num_gpus": given["num_gpus"]} if "num_gpus" not in asked and given.get("num_gpus") == 0 else asked
