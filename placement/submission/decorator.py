"""placed_remote: ray.remote, only placed."""

from __future__ import annotations

import functools
import inspect
import os
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeVar, Unpack, overload

from placement.ray_internals.options import (
    USAGE,
    actor_options,
    check_actor_options,
    check_task_options,
    is_cython,
    make_remote,
    task_options,
)
from placement.ray_internals.way import of_actors, of_tasks
from placement.submission.options import PlacementOptions, check_device_options, reject_unknown, split

if TYPE_CHECKING:
    from placement.submission.typed import Decorator, Options, PlacedActorClass, PlacedTask

F = TypeVar("F", bound=Callable[..., Any])
T = TypeVar("T")

CLASS_SPEC = "placement_spec"
"""A class's own spec, declared in it: a TaskSpec, or a static method of the constructor's arguments."""


@overload
def placed_remote(cls: type[T], /) -> PlacedActorClass[T]: ...  # type: ignore[overload-overlap]
@overload
def placed_remote(function: F, /) -> PlacedTask[F]: ...
@overload
def placed_remote(**options: Unpack[Options]) -> Decorator: ...
def placed_remote(*args: Any, **options: Any) -> Any:
    """ray.remote, only placed: a decorator for functions and classes, with or without options.

    A function or class is placeable when it says so: `spec=` (a TaskSpec, or a function of the task's own arguments
    that gives one), `devices="any"` (its arguments' sizes and history describe it), or a pinned `device=`. Else it is
    an ordinary Ray task, measured, or an ordinary actor. See placement.submission.options.PlacementOptions for our
    options; every option of ray.remote passes through, and what ray.remote raises on a misuse, this raises.
    `functools.partial(placed_remote, devices="any")` is a decorator like it, and either may be put in the place of
    ray.remote itself. With PLACEMENT_DISABLE=1 in the environment this is ray.remote.
    """
    ours, rays = split(options)
    if len(args) == 1 and not rays and callable(args[0]):
        return _placed(args[0], PlacementOptions().with_(ours), {})
    if args or not options:
        raise AssertionError(USAGE)  # as ray.remote, whose name may be ours now
    return functools.partial(_placed, options=PlacementOptions().with_(ours), ray_options=rays)


def _placed(function_or_class: Any, options: PlacementOptions, ray_options: dict[str, Any]) -> Any:
    ray_options = dict(ray_options)  # Ray changes the dict it is given, which a decorator may use twice
    is_function = inspect.isfunction(function_or_class) or is_cython(function_or_class)
    disabled = os.environ.get("PLACEMENT_DISABLE") == "1"
    if not callable(function_or_class) and not ray_options:
        raise TypeError(f"placed_remote must be applied to either a function or a class, not {function_or_class!r}.")
    if not (is_function or inspect.isclass(function_or_class)):
        return make_remote(function_or_class, ray_options)  # which raises
    if disabled:
        return make_remote(function_or_class, ray_options)
    if is_function:
        return _placed_function(function_or_class, options, ray_options)
    return _placed_class(function_or_class, options, ray_options)


def _placed_function(function: Any, options: PlacementOptions, ray_options: dict[str, Any]) -> Any:
    if not function.__module__:
        function.__module__ = "global"
    reject_unknown(ray_options, task_options(), "remote functions")
    check_device_options(options.by_device, check_task_options)
    yields = inspect.isgeneratorfunction(function) or inspect.isasyncgenfunction(function)
    check_task_options(ray_options, yields=yields)
    way = of_tasks()
    if way == "fast":
        from placement.submission.placed_function import PlacedFunction

        return PlacedFunction(function, options, ray_options)
    from placement.submission.public_function import PublicFunction

    return PublicFunction(function, options, ray_options, places=way == "public")


def _declared_spec(user_class: type) -> Any:
    """The spec in the body of the class or of a base; a metaclass that answers to any name declares none."""
    if any(CLASS_SPEC in vars(base) for base in user_class.__mro__):
        return getattr(user_class, CLASS_SPEC)
    return None


def _placed_class(user_class: Any, options: PlacementOptions, ray_options: dict[str, Any]) -> Any:
    if options.spec is None and (declared := _declared_spec(user_class)) is not None:
        options = options.with_({"spec": declared})
    reject_unknown(ray_options, actor_options(), "actors")
    check_device_options(options.by_device, check_actor_options)
    check_actor_options(ray_options)
    way = of_actors()
    if way == "fast":
        from placement.submission.placed_class import PlacedClass

        return PlacedClass.of(user_class, options, ray_options)
    from placement.submission.public_class import PublicClass

    return PublicClass(user_class, options, ray_options, places=way == "public")
