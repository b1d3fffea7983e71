"""FunctionPreset: a call of a user's placed function with one input, in the form of a preset."""

from __future__ import annotations

import hashlib
import inspect
from collections import Counter, deque
from collections.abc import Iterable, Iterator
from dataclasses import astuple, dataclass
from typing import Any, NamedTuple

from placement.spec.task import TaskSpec
from placement.submission.measurable_function import MeasurableFunction


class Call(NamedTuple):
    """A function and the arguments it is called with."""

    function: Any
    args: tuple[Any, ...]
    synthetic: bool | None = None


class CallOutcome(NamedTuple):
    """The outcome of a call, whose result is thrown away. transfer_s: None = not known."""

    transfer_s: float | None


@dataclass(frozen=True)
class FunctionPreset:
    """A call of a placed function with one input.

    name: of its cells in the log.  function, function_key: of the function.  call: references to the function and its
    arguments in Ray's object store.
    """

    name: str
    function: str
    function_key: str
    task: TaskSpec
    call: tuple[Any, ...]
    runtime_env: Any = None
    family = None
    has_gpu = True

    @property
    def workload(self) -> str:
        """The function's own name, as in rows of production."""
        return self.function.rpartition(".")[2]

    @property
    def framework(self) -> str | None:
        """The framework that the spec names; None where it names none."""
        return self.task.framework

    def spec(self) -> TaskSpec:
        """The user's spec of the input."""
        return self.task

    def prepare(self, data_root: str) -> Call:  # noqa: ARG002
        """Fetches the function and its arguments."""
        import ray

        function, *args = ray.get(list(self.call))
        return Call(function, tuple(args))

    def run(self, call: Call, device: str) -> CallOutcome:
        """Calls the function as a placed task on that device is called, and throws its result away."""
        from placement.worker import device as device_of_process

        visible = device_of_process.visible()
        device_of_process.enter(holds=device != "cpu")
        try:
            if device == "cpu":
                device_of_process.use_cpu()
            else:
                device_of_process.see_gpu()
            result = call.function(*call.args)
            if inspect.isgenerator(result):
                deque(result, maxlen=0)
        finally:
            device_of_process.leave(visible)
        return CallOutcome(0.0 if device == "cpu" else None)


def function_presets(function: MeasurableFunction, inputs: Iterable[Any], *, star: bool) -> Iterator[FunctionPreset]:
    """A preset for each input, which is put into Ray's object store.

    star: an input is a tuple of arguments; else the one argument of a call, as in `.map`. A preset is named by the
    function's key, a digest of its spec and of the pickle of its arguments, and its number among equal ones: the same
    in the next sweep, so that this goes on where the last stopped, and another once the function's code has changed.

    Raises the TypeError of an input that does not fit the function's signature, or SpecError.
    """
    import ray

    body = ray.put(function.pickled)
    counted: Counter[str] = Counter()
    for given in inputs:
        args = tuple(given) if star else (given,)
        task = function.task(args, {})
        digest = _digest(task, args)
        counted[digest] += 1
        references = tuple(one if isinstance(one, ray.ObjectRef) else ray.put(one) for one in args)
        yield FunctionPreset(
            f"{function.key}#{digest}-{counted[digest]}", function.name, function.key, task, (body, *references),
            function.runtime_env,
        )  # fmt: skip


def _digest(task: TaskSpec, args: tuple[Any, ...]) -> str:
    """A name for an input. An ObjectRef, whose id is another in each run, plays no part."""
    import ray
    from ray import cloudpickle

    own = [None if isinstance(one, ray.ObjectRef) else one for one in args]
    return hashlib.sha256(repr(astuple(task)).encode() + cloudpickle.dumps(own)).hexdigest()[:12]
