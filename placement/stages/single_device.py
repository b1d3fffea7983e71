"""The stage where there is nothing to choose: Ray Data's own map_batches of the user's function, with a row of the log
for each batch.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Iterator
from typing import Any

from placement.messages.envelope import Envelope
from placement.scheduling.decision import Decision
from placement.spec.task import Device
from placement.stages.requests import spec_of, spec_reader
from placement.stages.stage import Stage
from placement.worker.batch_run import BatchRun


def with_records(stage: Stage, device: Device, decision: Decision) -> Any:
    """The user's function or class, which records each batch. Ray Data sees the name and the parameters of the user's.

    Asynchronous functions are left as they are.
    """
    function: Any = stage.function
    call = function.__call__ if inspect.isclass(function) else function
    if inspect.iscoroutinefunction(call) or inspect.isasyncgenfunction(call):
        return function
    record = _Recorder(stage, device, decision)
    if inspect.isclass(function):
        names = {name: getattr(function, name) for name in ("__module__", "__qualname__", "__doc__")}
        return type(function.__name__, (function,), {**names, "__call__": _wrapped(call, record, 1)})
    return _wrapped(function, record, 0)


def _wrapped(call: Callable[..., Any], record: _Recorder, at: int) -> Callable[..., Any]:
    """at: the position of the batch among the arguments."""
    if inspect.isgeneratorfunction(call):

        @functools.wraps(call)
        def generate(*args: Any, **kwargs: Any) -> Iterator[Any]:
            with record.run(args[at]):
                yield from call(*args, **kwargs)

        return generate

    @functools.wraps(call)
    def compute(*args: Any, **kwargs: Any) -> Any:
        with record.run(args[at]):
            return call(*args, **kwargs)

    return compute


class _Recorder:
    """Makes the runs of a stage's batches. It travels with the function."""

    def __init__(self, stage: Stage, device: Device, decision: Decision) -> None:
        self._stage, self._device, self._decision = stage, device, decision
        self._reader = spec_reader(stage)

    def run(self, batch: Any) -> BatchRun:
        """The run of a batch; its spec is read before it begins."""
        spec = spec_of(self._stage, self._reader.task, batch)
        return BatchRun(self._stage.name, Envelope(spec, self._decision, False, self._stage.key), self._device)
