"""What a worker runs in place of the user's function, and the options under which Ray exports it."""

from __future__ import annotations

import functools
import inspect
from collections.abc import AsyncIterator, Callable
from functools import cached_property
from typing import Any, Literal

from placement.options import PlacementOptions, own_options
from placement.retiring import MAX_CALLS
from placement.tracebacks import hide_own_frames

Way = Literal["cpu", "gpu", "gpu_once"]
"""How a placed function runs: on the CPU, on a GPU in a worker that is kept, or in one that ends after the task."""
ENVELOPE = inspect.Parameter("_placement_envelope", inspect.Parameter.POSITIONAL_ONLY)
"""The first parameter of a placed task; the user's own follow, and are checked by Ray against the user's signature."""


def in_worker() -> Any:
    """placement.execution, which no caller needs."""
    from placement import execution

    return execution


class Body:
    """A user's function as the worker calls it. `name` is the one its records carry."""

    def __init__(self, function: Callable[..., Any], name: str) -> None:
        self.function = function
        self.name = name
        self.yields = "async" if inspect.isasyncgenfunction(function) else inspect.isgeneratorfunction(function)
        for attribute in ("__module__", "__name__", "__qualname__", "__doc__"):
            setattr(self, attribute, getattr(function, attribute, None))

    def __setstate__(self, state: dict[str, Any]) -> None:
        """In the worker, before the arguments of its first task are read."""
        self.__dict__.update(state)
        hide_own_frames()


class Measured(Body):
    """An ordinary task."""

    @cached_property
    def run(self) -> Callable[..., Any]:
        """What runs the function, and sees how it goes."""
        if self.yields == "async":
            return lambda function, _, args, kwargs: function(*args, **kwargs)
        return in_worker().run_plain_generator if self.yields else in_worker().run_plain

    def __call__(self, /, *args: Any, **kwargs: Any) -> Any:
        """The function's result; a generator function's generator."""
        return self.run(self.function, self.name, args, kwargs)


class Placed(Body):
    """A placed task: its first argument is the Envelope; where it came as a name, `placement.arriving` saw to that."""

    @cached_property
    def run(self) -> Callable[..., Any]:
        """As Measured's, on the device decided for it."""
        if self.yields == "async":
            return _run_placed_async_generator
        return in_worker().run_placed_generator if self.yields else in_worker().run_placed

    def __call__(self, packed: bytes, /, *args: Any, **kwargs: Any) -> Any:
        """As Measured, on the device decided for it."""
        return self.run(self.function, self.name, packed, args, kwargs)


async def _run_placed_async_generator(
    function: Callable[..., Any], name: str, packed: bytes, args: Any, kwargs: Any
) -> AsyncIterator[Any]:
    with in_worker().PlacedRun(name, packed):
        async for item in function(*args, **kwargs):
            yield item


def export_options(options: PlacementOptions, ray_options: dict[str, Any], way: Way) -> dict[str, Any]:
    """The options under which a variant is exported; max_calls says when Ray ends its workers, the user's own first."""
    if way == "cpu":
        return _without(own_options(options, ray_options, "cpu"), "num_gpus")
    given = own_options(options, ray_options, "gpu")
    calls = MAX_CALLS if way == "gpu" else 1
    return {"max_calls": calls, **given, "num_gpus": given.get("num_gpus") or 1}


def named_like(function: Callable[..., Any], submit: Callable[..., Any]) -> Callable[..., Any]:
    """`submit` with the user's name, docstring and signature, as Ray's own `remote` has."""

    @functools.wraps(function)
    def remote(*args: Any, **kwargs: Any) -> Any:
        return submit(*args, **kwargs)

    return remote


def _without(options: dict[str, Any], name: str) -> dict[str, Any]:
    return {key: value for key, value in options.items() if key != name}


def entering(init: Any) -> Any:
    """The constructor, which first settles the device in the actor's process."""

    @functools.wraps(init)
    def __init__(self: Any, *args: Any, **kwargs: Any) -> None:
        from placement.inside import enter_actor

        enter_actor()
        init(self, *args, **kwargs)

    return __init__
