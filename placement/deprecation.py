"""Names that were documented under an old module keep working there, with a DeprecationWarning, until version 0.3."""

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
