"""The options that Ray knows, and its checks of them. On a Ray that lacks these, ray.remote itself checks."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from typing import Any

import ray

try:
    from ray._private.worker import _make_remote as make_remote
except ImportError:
    _remote = ray.remote

    def make_remote(function_or_class: Any, options: Any) -> Any:
        """ray.remote, with options or without."""
        return _remote(**options)(function_or_class) if options else _remote(function_or_class)


try:
    from ray._private.inspect_util import is_cython
except ImportError:

    def is_cython(obj: Any) -> Any:  # noqa: ARG001
        """No function is taken for one of Cython's."""
        return False


try:
    from ray._common import ray_option_utils as _utils
except ImportError:
    _utils = None  # type: ignore[assignment]

try:
    from ray._common.signature import extract_signature, validate_args
except ImportError:

    def extract_signature(func: Any, ignore_first: bool = False) -> list[inspect.Parameter]:
        """The parameters of a function."""
        return list(inspect.signature(func).parameters.values())[ignore_first:]

    def validate_args(
        signature_parameters: list[inspect.Parameter], args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> None:
        """Raises TypeError where the arguments do not fit."""
        inspect.Signature(signature_parameters).bind(*args, **kwargs)


USAGE = str(getattr(_utils, "remote_args_error_string", "placed_remote takes a function or class, or options by name."))
"""What ray.remote says where it is called without a function and without options."""


def task_options() -> Mapping[str, Any] | None:
    """The options of tasks, each with its default_value; None where they are not known."""
    return getattr(_utils, "task_options", None)


def actor_options() -> Mapping[str, Any] | None:
    """The options of actors; None where they are not known."""
    return getattr(_utils, "actor_options", None)


def check_task_options(options: dict[str, Any], *, yields: bool = False, in_options: bool = False) -> None:
    """Raises what ray.remote raises on options of a task that are not valid.

    yields: it is a generator function.  in_options: they are given to `.options()`, which takes no max_calls.
    """
    check = getattr(_utils, "validate_task_options", None)
    if check is None:
        return
    if _takes(check, "is_generator_callable"):
        check(options, in_options=in_options, is_generator_callable=yields)
    else:
        check(options, in_options=in_options)


def check_actor_options(options: dict[str, Any], *, in_options: bool = False) -> None:
    """Raises what ray.remote raises on options of an actor that are not valid."""
    check = getattr(_utils, "validate_actor_options", None)
    if check is not None:
        check(options, in_options=in_options)


def _takes(function: Callable[..., Any], parameter: str) -> bool:
    return parameter in inspect.signature(function).parameters
