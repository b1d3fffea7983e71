"""The bodies that a worker runs in place of the user's function or constructor."""

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
    """A user's function as the worker calls it.

    name: the one its records carry.  captured: has the function's pickle, in whose place the function is pickled anew.
    """

    captured: Any = None

    def __init__(self, function: Callable[..., Any], name: str, captured: Any = None) -> None:
        self.function = function
        self.captured = captured
        self.name = name
        self.yields = "async" if inspect.isasyncgenfunction(function) else inspect.isgeneratorfunction(function)
        for attribute in ("__module__", "__name__", "__qualname__", "__doc__"):
            setattr(self, attribute, getattr(function, attribute, None))

    def __getstate__(self) -> dict[str, Any]:
        state = {name: value for name, value in self.__dict__.items() if name not in ("captured", "run")}
        if self.captured is not None:
            state["function"] = self.captured.as_pickled()
        return state

    def __setstate__(self, state: dict[str, Any]) -> None:
        """In the worker, before the arguments of its first task are read."""
        self.__dict__.update(state)
        hide_own_frames()


class OrdinaryBody(Body):
    """The body of an ordinary task."""

    @cached_property
    def run(self) -> Callable[..., Any]:
        """The function of placement.worker.execution that runs the user's function and records it."""
        if self.yields == "async":
            return lambda function, _, args, kwargs: function(*args, **kwargs)
        return in_worker().run_plain_generator if self.yields else in_worker().run_plain

    def __call__(self, /, *args: Any, **kwargs: Any) -> Any:
        """The function's result; a generator function's generator."""
        return self.run(self.function, self.name, args, kwargs)


class PlacedBody(Body):
    """The body of a placed task. Its first argument is the Envelope; where that came as a name,
    `placement.worker.envelope_transport` has made it the first.
    """

    @cached_property
    def run(self) -> Callable[..., Any]:
        """The function of placement.worker.execution that runs it on the device decided for it."""
        if self.yields == "async":
            return _run_placed_async_generator
        return in_worker().run_placed_generator if self.yields else in_worker().run_placed

    def __call__(self, packed: bytes, /, *args: Any, **kwargs: Any) -> Any:
        """The result of the function, run on the device decided for it; a generator function's generator."""
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
