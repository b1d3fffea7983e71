"""PublicClass: a placed actor class by Ray's public API alone, or not placed at all."""

from __future__ import annotations

import contextlib
import functools
import inspect
from typing import TYPE_CHECKING, Any

import ray

from placement.errors import OptionError
from placement.ray_internals.connection import auto_init_ray, client_mode_should_convert
from placement.ray_internals.names import has_nodes
from placement.ray_internals.options import (
    actor_options,
    check_actor_options,
    extract_signature,
    make_remote,
    validate_args,
)
from placement.submission.class_options import ClassOptions
from placement.submission.first_calls import device_by_options, must_not_wait, options_by_device
from placement.submission.options import PlacementOptions, check_device_options, reject_unknown, split
from placement.submission.public_function import NOT_PLACED, pinned
from placement.submission.public_proxy import RemoteProxy
from placement.worker.task_body import entering

if TYPE_CHECKING:
    from ray.dag.class_node import ClassNode

    from placement.scheduling.explanation import Explanation
    from placement.submission.placer import Placer


class PublicClass(RemoteProxy):
    """A placed class on a Ray without the fast way. places: actors can be placed."""

    def __init__(
        self, user_class: type, options: PlacementOptions, ray_options: dict[str, Any], *, places: bool
    ) -> None:
        self._user_class = user_class
        self._placement_options = options
        self._own_options = dict(ray_options)
        self._places = places
        given = dict(ray_options) if places else pinned(options, ray_options)
        self._ray_object = make_remote(_entering_class(user_class) if self._placed else user_class, given)
        with contextlib.suppress(AttributeError):  # where Ray tells of the user's class
            self._ray_object.__ray_metadata__.modified_class.__ray_actor_class__ = user_class
        self.__doc__ = self._ray_object.__doc__
        self.__module__ = self._ray_object.__module__

    @property
    def _placed(self) -> bool:
        return self._places and self._placement_options.placeable

    def remote(self, /, *args: Any, **kwargs: Any) -> Any:
        """Decides and creates the actor."""
        if not self._placed:
            return self._ray_object.remote(*args, **kwargs)
        return self._create(self._placement_options, self._own_options, args, kwargs)

    def options(self, **given: Any) -> Any:
        """A copy with other options, Ray's and ours alike; raises OptionError or ValueError on what is not valid."""
        ours, rays = split(given)
        options = self._placement_options.with_(ours)
        reject_unknown(rays, actor_options(), "actors")
        check_device_options(ours, check_actor_options, in_options=True)
        wrapper = self._ray_object.options(**rays)  # Ray's own checks and errors
        if not (self._places and options.placeable):
            return self._ray_object.options(**pinned(options, rays)) if options.device and ours else wrapper
        if not self._placement_options.placeable:
            placed = PublicClass(self._user_class, options, self._own_options, places=True)
            return placed.options(**given)
        return PublicClassOptions(self, options, {**self._own_options, **rays})

    def explain(self, /, *args: Any, **kwargs: Any) -> Explanation:
        """The decision for these constructor arguments as it would be now; every candidate, and why (not) taken."""
        if self._placed:
            return self._placer(self._placement_options, self._own_options).explain(args, kwargs)
        why = 'give placed_remote spec= or devices="any" to have it placed' if self._places else NOT_PLACED
        raise OptionError(f"{self._user_class.__name__} is an ordinary actor: {why}.")

    def bind(self, /, *args: Any, **kwargs: Any) -> ClassNode:
        """A node of a Ray DAG, placed when the DAG is executed."""
        return self._bound(self, self._own_options, args, kwargs)

    def _bound(self, placed: Any, ray_options: dict[str, Any], args: Any, kwargs: Any) -> ClassNode:
        """placed: what creates the actor when the DAG is executed."""
        if not self._placed or not has_nodes():
            return self._ray_object.bind(*args, **kwargs)
        from placement.submission.dag_nodes import PlacedClassNode

        return PlacedClassNode(placed, self.__ray_metadata__.modified_class, args, kwargs, ray_options)

    def _create(self, options: PlacementOptions, ray_options: dict[str, Any], args: Any, kwargs: Any) -> Any:
        given = {name: value for name, value in ray_options.items() if name != "concurrency_groups"}
        if client_mode_should_convert():
            return self._ray_object.options(**given).remote(*args, **kwargs)
        auto_init_ray()
        if given.get("get_if_exists"):
            with contextlib.suppress(ValueError):
                return ray.get_actor(given["name"], namespace=given.get("namespace"))
        from placement.submission.ray_constraints import caller_context
        from placement.submission.snapshot_client import caller

        if must_not_wait(lambda: caller().current()):
            device = device_by_options(options, given)
            return self._ray_object.options(**options_by_device(options, given, device)).remote(*args, **kwargs)
        placer = self._placer(options, given)
        snapshot, context = caller().current(), caller_context()
        task = placer.task(args, kwargs)
        decision = placer.decide(task, snapshot, context)
        asked = placer.ray_options_for(decision, snapshot, context, task)
        # Without num_gpus on the CPU: with num_gpus=0 Ray holds a CPU for the actor's whole life. A user's own is kept.
        if decision.device == "cpu" and given.get("num_gpus") == 0:
            asked["num_gpus"] = given["num_gpus"]
        return self._ray_object.options(**asked).remote(*args, **kwargs)

    def _placer(self, options: PlacementOptions, ray_options: dict[str, Any]) -> Placer:
        from placement.submission.placer import Placer

        name = f"{self._user_class.__module__}.{self._user_class.__qualname__}"
        return Placer(name, options, ray_options, functools.partial(_check, self._user_class))


class PublicClassOptions(ClassOptions):
    """A PublicClass with options: the result of `.options()`."""

    _placed: PublicClass

    def remote(self, /, *args: Any, **kwargs: Any) -> Any:
        """Decides and creates the actor."""
        return self._placed._create(self._options, self._ray_options, args, kwargs)

    def bind(self, /, *args: Any, **kwargs: Any) -> ClassNode:
        """A node of a Ray DAG, placed when the DAG is executed."""
        return self._placed._bound(self, self._ray_options, args, kwargs)


def _check(user_class: type, args: Any, kwargs: Any) -> None:
    """Raises the TypeError of arguments that do not fit the constructor."""
    init = user_class.__init__  # type: ignore[misc]
    validate_args(extract_signature(init, ignore_first=True) if inspect.isfunction(init) else [], args, kwargs)


def _entering_class(user_class: type) -> type:
    """The user's class with a constructor that first settles the device in the actor's process."""
    init: Any = user_class.__init__  # type: ignore[misc]
    if not inspect.isfunction(init):

        def init(self: Any) -> None:
            """The constructor of a class that has none of its own."""

    names = ("__module__", "__qualname__", "__doc__")
    return type(
        user_class.__name__,
        (user_class,),
        {**{name: getattr(user_class, name) for name in names}, "__init__": entering(init)},
    )
