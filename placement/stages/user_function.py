"""The user's function or class, called as Ray Data calls it."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

from placement.stages.stage import Stage


def instantiate(stage: Stage) -> Callable[..., Any]:
    """The function, or an instance of the class. Raises what the user's constructor raises."""
    function: Any = stage.function
    if not inspect.isclass(function):
        return stage.function
    instance: Any = function(*stage.constructor_args, **stage.constructor_kwargs)
    return instance


def outputs(function: Callable[..., Any], stage: Stage, batch: Any) -> list[Any]:
    """The batches that the function makes of a batch: one, or those that its generator yields."""
    found = function(batch, *stage.fn_args, **stage.fn_kwargs)
    return list(found) if inspect.isgenerator(found) else [found]
