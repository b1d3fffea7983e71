"""Names that were documented and have changed keep working, with a DeprecationWarning, until the version it states."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping
from importlib import import_module
from typing import Any


def deprecated_names(module: str, homes: Mapping[str, str]) -> Callable[[str], Any]:
    """The `__getattr__` of an old module: it takes each name from its new module, and warns.

    module: the old module's name.  homes: name -> the module that has it now.
    """

    def found(name: str) -> Any:
        if name not in homes:
            raise AttributeError(f"module {module!r} has no attribute {name!r}; it has {sorted(homes)}.")
        warnings.warn(
            f"{module}.{name} is {homes[name]}.{name} now; the old name goes with version 0.3.",
            DeprecationWarning,
            stacklevel=2,
        )
        return getattr(import_module(homes[name]), name)

    return found


def deprecated_attribute(old: str, new: str, until: str) -> property:
    """The property of a class whose attribute `old` is called `new` now: it has its value, and warns.

    until: the version with which the old name goes.
    """

    def found(of: Any) -> Any:
        warnings.warn(
            f"{type(of).__name__}.{old} is {type(of).__name__}.{new} now; the old name goes with version {until}.",
            DeprecationWarning,
            stacklevel=2,
        )
        return getattr(of, new)

    return property(found)
