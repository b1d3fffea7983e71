"""`placement sweep --function`: the user's placed function and its inputs, by their names."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable
from importlib import import_module
from typing import Any

from placement.errors import OptionError


def own_function(function: str, inputs: str | None, beside: dict[str, Any]) -> tuple[Any, Any]:
    """(the placed function, the object that --inputs names); modules are also looked for in the current folder.

    beside: options of presets by name; OptionError where one of them is given too, or a name leads nowhere.
    """
    if wrong := [name for name, value in beside.items() if value]:
        raise OptionError(f"--function measures that function alone; leave {', '.join(wrong)} out.")
    if inputs is None:
        raise OptionError("--function takes --inputs too: module:name of an iterable of its arguments.")
    if os.getcwd() not in sys.path:
        sys.path.insert(0, os.getcwd())
    return named("--function", function), named("--inputs", inputs)


def named(option: str, text: str) -> Any:
    """The object of "module:name". Raises OptionError."""
    module, _, name = text.partition(":")
    if not module or not name:
        raise OptionError(f"{option} {text}: must be module:name, as in my_module:fine_tune.")
    try:
        return getattr(import_module(module), name)
    except ModuleNotFoundError as error:
        raise OptionError(f"{option} {text}: {error}; modules are looked for in the current folder too.") from None
    except AttributeError as error:
        raise OptionError(f"{option} {text}: {error}.") from None


def inputs_of(given: Any, text: str | None) -> Iterable[Any]:
    """The inputs: what --inputs names, or what it returns where it is a function. Raises OptionError."""
    found = given() if callable(given) else given
    if not isinstance(found, Iterable):
        raise OptionError(f"--inputs {text}: must be an iterable or a function that gives one, not {found!r}.")
    return found


def numbers_of(option: str, text: str | None) -> tuple[float, ...] | None:
    """The positive numbers of a list NUMBER,...; None where none is given. Raises OptionError."""
    if text is None:
        return None
    try:
        found = tuple(float(part) for part in text.split(","))
    except ValueError:
        found = ()
    if not found or not all(0 < one < float("inf") for one in found):
        raise OptionError(f"{option} {text}: must be positive numbers, NUMBER,...")
    return found
