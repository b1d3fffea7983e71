"""Every process that finds this on its path has a Ray whose private names placement cannot import, but its store."""

from __future__ import annotations

import builtins
import importlib
import sys
from typing import Any

PRIVATE = ("ray._", "ray.remote_function", "ray.actor", "ray.dag.", "ray.util.tracing", "ray.autoscaler", "ray.core")
ASKS = "placement.ray_internals"
_import, _import_module = builtins.__import__, importlib.import_module


def _refuse(name: str, asker: str, what: Any = ()) -> None:
    experimental = name == "ray.experimental" and "get_local_object_locations" in (what or ())
    if asker.startswith(ASKS) and (name.startswith(PRIVATE) or experimental):
        raise ImportError(f"{name} is hidden")


def _public_import(name: str, globals: Any = None, locals: Any = None, fromlist: Any = (), level: int = 0) -> Any:
    _refuse(name, (globals or {}).get("__name__") or "", fromlist)
    return _import(name, globals, locals, fromlist, level)


def _public_import_module(name: str, package: Any = None) -> Any:
    _refuse(name, sys._getframe(1).f_globals.get("__name__", ""))
    return _import_module(name, package)


builtins.__import__ = _public_import
importlib.import_module = _public_import_module
