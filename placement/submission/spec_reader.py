"""SpecReader: from the arguments of a call to its TaskSpec."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import ray

from placement.describe import of_arguments
from placement.errors import PlacementError, SpecError
from placement.spec.task import TaskSpec
from placement.submission.options import PlacementOptions, spec_function

UNKNOWN = TaskSpec()


class SpecReader:
    """The spec of one function or class.

    check: raises the TypeError of arguments that do not fit the user's signature; asked where the spec failed on them.
    """

    def __init__(self, name: str, options: PlacementOptions, check: Callable[..., None]) -> None:
        self.name = name
        self._check = check
        self._fixed = options.spec if isinstance(options.spec, TaskSpec) else None
        self._spec = spec_function(options.spec) or of_arguments

    def task(self, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> TaskSpec:
        """The task of these arguments, by the user's spec. Raises SpecError, or the TypeError of wrong arguments."""
        if self._fixed is not None:
            return self._fixed
        try:
            task = self._spec(*args, **kwargs)
        except PlacementError:
            raise
        except Exception as error:
            self._check(args, kwargs)
            raise SpecError(self._spec_trouble(args, kwargs, error)) from error
        if task is None:
            return UNKNOWN
        if not isinstance(task, TaskSpec):
            raise SpecError(
                f"the spec of {self.name} returned {task!r}; it must return a TaskSpec (placement.describe makes them) "
                "or None for nothing known."
            )
        return task

    def _spec_trouble(self, args: tuple[Any, ...], kwargs: Mapping[str, Any], error: Exception) -> str:
        text = f"the spec of {self.name} failed on the task's arguments: {type(error).__name__}: {error}."
        if any(isinstance(value, ray.ObjectRef) for value in (*args, *kwargs.values())):
            text += (
                " An argument is an ObjectRef, which is passed to the spec as it is and never fetched: "
                "pass the sizes the spec needs as arguments of their own."
            )
        return text


def takes_anything(args: Any, kwargs: Any) -> None:
    """The `check` of a SpecReader without a function, whose arguments could be wrong: a spec that fails is at fault."""
