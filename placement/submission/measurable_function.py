"""MeasurableFunction: a placed function as a sweep takes it, which runs it on each device in turn, undecided."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from placement.errors import OptionError
from placement.spec.task import TaskSpec
from placement.submission.placed_call import Handle
from placement.submission.spec_reader import SpecReader

HOW = 'Decorate it with placed_remote(spec=...) or placed_remote(devices="any").'


@dataclass(frozen=True)
class MeasurableFunction:
    """A placed function as a sweep takes it.

    name: as rows of the log have it.  key: under which history keeps its runs.  pickled: pickles as the function.
    task: its spec of the arguments (args, kwargs) of a call; raises the TypeError of arguments that do not fit it, or
    SpecError.  runtime_env: the user's, None where none was given.
    """

    name: str
    key: str
    pickled: Any
    task: Callable[[tuple[Any, ...], dict[str, Any]], TaskSpec]
    runtime_env: Any = None


def measurable_function(placed: Any) -> MeasurableFunction:
    """A placed function, or what its `.options()` returned, for a sweep; captured as at its first submission.

    Raises OptionError where it is no placed function, and where it must not or cannot be measured on either device.
    """
    handle = placed if isinstance(placed, Handle) else getattr(placed, "handle", None)
    if not isinstance(handle, Handle):
        raise OptionError(f"{placed!r} is no placed function. {HOW}")
    function, options, ray_options = handle._function, handle._options, handle._ray_options
    faults = []
    if not options.placeable:
        faults.append(f"it is an ordinary Ray task. {HOW}")
    if options.side_effects:
        faults.append("side_effects=True: its body must not run twice, and a sweep runs it many times.")
    if options.device is not None:
        faults.append(f"device={options.device!r} pins it, and a sweep measures both devices; leave device= out.")
    if ({**ray_options, **options.gpu_options}.get("num_gpus") or 1) > 1:
        faults.append("it asks for several GPUs, and a sweep measures one.")
    if inspect.isasyncgenfunction(function._function):
        faults.append("it is an asynchronous generator function.")
    if faults:
        raise OptionError(f"{function.name} cannot be measured: {' '.join(faults)}")
    key = handle.history_key()  # which captures it
    reader = SpecReader(function.name, options, function.check_arguments)

    def task(args: tuple[Any, ...], kwargs: dict[str, Any]) -> TaskSpec:
        function.check_arguments(args, kwargs)
        return reader.task(args, kwargs)

    return MeasurableFunction(function.name, key, function.captured.as_pickled(), task, ray_options.get("runtime_env"))
