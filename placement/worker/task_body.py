"""What a worker runs in place of the user's function or constructor."""

from __future__ import annotations

import functools
import inspect
from collections.abc import AsyncIterator, Callable
from functools import cached_property
from typing import Any

from placement.worker.traceback_filter import hide_own_frames

ENVELOPE = inspect.Parameter("_placement_envelope", inspect.Parameter.POSITIONAL_ONLY)
"""The first parameter of a placed task; the user's own follow, and are checked by Ray against the user's signature."""


def in_worker() -> Any:
    """placement.worker.execution, which no caller needs."""
    from placement.worker import execution

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
    """A placed task: its first argument is the Envelope; where it came as a name, `placement.worker.envelope_transport`
    saw to that."""

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


def entering(init: Any) -> Any:
    """The constructor, which first settles the device in the actor's process."""

    @functools.wraps(init)
    def __init__(self: Any, *args: Any, **kwargs: Any) -> None:
        from placement.worker.actor_entry import enter_actor

        enter_actor(self)
        init(self, *args, **kwargs)

    return __init__
