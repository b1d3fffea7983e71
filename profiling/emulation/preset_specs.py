"""The specs of the built-in presets as they were traced, from data/presets.json.

A trace of a network imports torch and takes up to a second; what only computes with a preset's work reads it here.
`profiling.sweep.preset_grid` makes the file, and a test holds it against fresh traces.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from functools import cache
from importlib import resources
from typing import Any

from placement.spec.task import Operation, TaskSpec

FILE = "data/presets.json"
SPEC = ("flops", "input_bytes", "batch_size", "parameters", "memory_bytes", "kernels", "framework", "kind", "steps")


@cache
def committed() -> dict[str, Any]:
    """The content of data/presets.json."""
    return dict(json.loads(resources.files("profiling").joinpath(FILE).read_text("utf-8")))


@cache
def preset_spec(name: str) -> TaskSpec | None:
    """The spec of one step of a preset; None where the file has no such preset."""
    found = committed()["presets"].get(name)
    return None if found is None else spec_of(found)


def spec_of(data: Mapping[str, Any]) -> TaskSpec:
    """The TaskSpec of an entry."""
    operations = data["operations"]
    told = None if operations is None else tuple(Operation(*operation) for operation in operations)
    return TaskSpec(**{name: data[name] for name in SPEC}, operations=told)


def entry_of(spec: TaskSpec) -> dict[str, Any]:
    """A TaskSpec's entry in the file."""
    operations = spec.operations
    told = None if operations is None else [[one[0], *map(_short, one[1:])] for one in operations]
    return {**{name: _short(getattr(spec, name)) for name in SPEC}, "operations": told}


def _short(value: Any) -> Any:
    return int(value) if isinstance(value, float) and value.is_integer() else value
