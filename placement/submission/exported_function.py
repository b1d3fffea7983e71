"""RemoteFunctions whose workers run the user's function measured or placed.

They keep the user's function, name, signature and private attributes as Ray's own have them; only
what is exported to the workers differs.
"""

from __future__ import annotations

import inspect
import uuid
from collections.abc import Callable
from typing import Any

from ray import cloudpickle

from placement.ray_internals.connection import auto_init_ray, client_mode_should_convert, connection
from placement.ray_internals.functions import (
    Language,
    PythonFunctionDescriptor,
    RemoteFunction,
    get_runtime_env_info,
    inject_tracing,
    parse_runtime_env_for_task_or_actor,
    pickle_dumps,
    signature,
)
from placement.submission.captured_function import CapturedFunction
from placement.submission.fast_submit import Submit, submitter
from placement.submission.variants import Way
from placement.worker.envelope_transport import PickledBody
from placement.worker.task_body import ENVELOPE, Body, OrdinaryBody, PlacedBody


class ExportingFunction(RemoteFunction):
    """A RemoteFunction whose workers run `body(function, name)` in place of the function."""

    body: type[Body] = OrdinaryBody
    _function_signature: list[inspect.Parameter] | None  # type: ignore[assignment]

    def __init__(
        self, function: Callable[..., Any], ray_options: dict[str, Any], captured: CapturedFunction | None = None
    ) -> None:
        super().__init__(Language.PYTHON, function, None, ray_options)
        self.captured = captured or CapturedFunction(function, inject_tracing)
        self.name = f"{function.__module__}.{getattr(function, '__qualname__', function.__name__)}"

    def _remote(
        self, args: Any = None, kwargs: Any = None, serialized_runtime_env_info: str | None = None, **given: Any
    ) -> Any:
        """Ray's own way in, which every submission takes."""
        if (
            not connection.connected or self._last_export_cluster_and_job != connection.current_cluster_and_job
        ) and not client_mode_should_convert():
            self._export()
        return super()._remote(
            args=args, kwargs=kwargs, serialized_runtime_env_info=serialized_runtime_env_info, **given
        )

    def _export(self) -> None:
        """Exports the body in the function's place, before the first submission to a cluster as Ray does."""
        auto_init_ray()
        connection.check_connected()
        self.captured.pickled(self._dumps)
        with self._inject_lock:
            if self._function_signature is None:
                self._function = self.captured.function
                self._function_signature = self._signature()
        self._function_descriptor = PythonFunctionDescriptor.from_function(self._function, self._uuid)
        pickled = cloudpickle.dumps(self.body(self._function, self.name, self.captured))
        self._pickled_function = cloudpickle.dumps(PickledBody(pickled)) if self.body is PlacedBody else pickled
        self._last_export_cluster_and_job = connection.current_cluster_and_job
        connection.function_actor_manager.export(self)

    def _dumps(self, function: Any) -> bytes:
        """The function's pickle; raises as Ray does where there is none."""
        named = PythonFunctionDescriptor.from_function(function, self._uuid).repr
        pickled: bytes = pickle_dumps(function, f"Could not serialize the function {named}")
        return pickled

    def _signature(self) -> list[inspect.Parameter]:
        return list(signature.extract_signature(self._function))


class Variant(ExportingFunction):
    """A placed function in one way to run. It takes the Envelope first; the user's decorator is applied before it."""

    body = PlacedBody

    def __init__(
        self, function: Callable[..., Any], ray_options: dict[str, Any], *, of: ExportingFunction, way: Way
    ) -> None:
        super().__init__(function, ray_options, of.captured)
        self._of = of
        self._decorator = None
        # The same in every process that a handle travels to, so that each exports it under one name.
        self._uuid = uuid.uuid5(of._uuid, way)

    def _export(self) -> None:
        super()._export()
        # What is known of a RemoteFunction once it was sent is known of the function that the user holds.
        for name in ("_function_descriptor", "_pickled_function", "_last_export_cluster_and_job"):
            setattr(self._of, name, getattr(self, name))
        self._of._function_signature = (self._function_signature or [])[1:]

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
