"""What a worker runs in place of the user's function: the same function, measured or placed.

The RemoteFunctions here keep the user's function, name, signature and private attributes as Ray's own have them; only
what is exported to the workers differs.
"""

from __future__ import annotations

import inspect
import uuid
from collections.abc import AsyncIterator, Callable
from functools import cached_property
from typing import Any, Literal

import ray
from ray import Language, cloudpickle
from ray._common import signature
from ray._common.serialization import pickle_dumps
from ray._private.auto_init_hook import auto_init_ray
from ray._private.client_mode_hook import client_mode_should_convert
from ray._private.utils import get_runtime_env_info, parse_runtime_env_for_task_or_actor
from ray._raylet import PythonFunctionDescriptor  # type: ignore[attr-defined]
from ray.remote_function import RemoteFunction
from ray.util.tracing.tracing_helper import _inject_tracing_into_function

from placement.submission.fast_submit import Submit, submitter
from placement.worker.envelope_transport import Arriving
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


class ExportingFunction(RemoteFunction):
    """A RemoteFunction whose workers run `body(function, name)` in place of the function."""

    body: type[Body] = Measured
    _function_signature: list[inspect.Parameter] | None  # type: ignore[assignment]

    def __init__(self, function: Callable[..., Any], ray_options: dict[str, Any]) -> None:
        super().__init__(Language.PYTHON, function, None, ray_options)
        self.name = f"{function.__module__}.{getattr(function, '__qualname__', function.__name__)}"

    def _remote(
        self, args: Any = None, kwargs: Any = None, serialized_runtime_env_info: str | None = None, **given: Any
    ) -> Any:
        """Ray's own way in, which every submission takes."""
        worker = ray._private.worker.global_worker
        if (
            not worker.connected or self._last_export_cluster_and_job != worker.current_cluster_and_job
        ) and not client_mode_should_convert():
            self._export()
        return super()._remote(
            args=args, kwargs=kwargs, serialized_runtime_env_info=serialized_runtime_env_info, **given
        )

    def _export(self) -> None:
        """What Ray does before the first submission to a cluster, with the body in the function's place."""
        auto_init_ray()
        worker = ray._private.worker.global_worker
        worker.check_connected()
        with self._inject_lock:
            if self._function_signature is None:
                self._function = _inject_tracing_into_function(self._function)
                self._function_signature = self._signature()
        self._function_descriptor = PythonFunctionDescriptor.from_function(self._function, self._uuid)
        pickled = pickle_dumps(
            self.body(self._function, self.name),
            f"Could not serialize the function {self._function_descriptor.repr}",
        )
        self._pickled_function = cloudpickle.dumps(Arriving(pickled)) if self.body is Placed else pickled
        self._last_export_cluster_and_job = worker.current_cluster_and_job
        worker.function_actor_manager.export(self)

    def _signature(self) -> list[inspect.Parameter]:
        return list(signature.extract_signature(self._function))


Way = Literal["cpu", "gpu", "gpu_once"]
"""How a placed function runs: on the CPU, on a GPU in a worker that is kept, or in one that ends after the task."""


class Variant(ExportingFunction):
    """A placed function in one way to run. It takes the Envelope first; the user's decorator is applied before it."""

    body = Placed

    def __init__(
        self, function: Callable[..., Any], ray_options: dict[str, Any], *, of: RemoteFunction, way: Way
    ) -> None:
        super().__init__(function, ray_options)
        self._of = of
        self._decorator = None
        # The same in every process that a handle travels to, so that each exports it under one name.
        self._uuid = uuid.uuid5(of._uuid, way)

    def _export(self) -> None:
        super()._export()
        # What is known of a RemoteFunction once it was sent is known of the function that the user holds.
        for name in ("_function_descriptor", "_pickled_function", "_last_export_cluster_and_job"):
            setattr(self._of, name, getattr(self, name))
        self._of._function_signature = (self._function_signature or [])[1:]  # type: ignore[assignment]

    def submitter(self, ray_options: dict[str, Any]) -> Submit:
        """submit(args, kwargs, packed) under these options, worked out once."""
        options = {**self._default_options, **ray_options}
        runtime_env_info = self._serialized_base_runtime_env_info
        if options.get("runtime_env"):
            options["runtime_env"] = parse_runtime_env_for_task_or_actor(options["runtime_env"])
            runtime_env_info = get_runtime_env_info(options["runtime_env"], is_job_runtime_env=False, serialize=True)
        return submitter(self, options, runtime_env_info, hidden=1)

    def _signature(self) -> list[inspect.Parameter]:
        return [ENVELOPE, *super()._signature()]
