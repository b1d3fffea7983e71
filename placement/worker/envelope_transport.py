"""The way of a placed task's body to a worker. This module and `placement.worker.flattened_arguments` travel by value:
where `placement`, or what the user's function imports, is not installed, Ray still reads the arguments and says what is
missing.
"""

from __future__ import annotations

import pickle
import sys
from typing import Any

from ray import cloudpickle

from placement.ray_internals.functions import signature  # a module: it travels by its own name
from placement.worker import flattened_arguments
from placement.worker.flattened_arguments import carries, opened


def load_body(pickled: bytes) -> Any:
    """The body of these bytes. Ray loads it before it reads the arguments of its first task."""
    read_envelopes()
    return pickle.loads(pickled)


def read_envelopes() -> None:
    """From now on this process makes the Envelope that came with arguments the first of them.

    Ray turns the flat list into arguments in one place; lists without an Envelope are left to it as they are.
    """
    recover_args = signature.recover_args
    if getattr(recover_args, "reads_envelopes", False):
        return

    def recovered(flattened_args: list[Any]) -> tuple[list[Any], dict[str, Any]]:
        if not carries(flattened_args):
            return recover_args(flattened_args)
        packed = opened(flattened_args)
        args, kwargs = recover_args(flattened_args)
        return [packed, *args], kwargs

    recovered.reads_envelopes = True  # type: ignore[attr-defined]
    signature.recover_args = recovered


class PickledBody:
    """A body as bytes; unpickled, it is the body that `load_body` makes of them."""

    def __init__(self, pickled: bytes) -> None:
        self._pickled = pickled

    def __reduce__(self) -> Any:
        return load_body, (self._pickled,)


for _module in (sys.modules[__name__], flattened_arguments):
    cloudpickle.register_pickle_by_value(_module)
