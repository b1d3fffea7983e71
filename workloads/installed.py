"""Presets that installed packages bring, by entry points of the group `placement.workloads`.

    [project.entry-points."placement.workloads"]
    sentiment = "my_package.presets:presets"

The object that an entry point names is an iterable of Presets, or a function without arguments that gives one.
"""

from __future__ import annotations

from functools import cache
from importlib.metadata import EntryPoint, entry_points

from workloads.base import Preset

GROUP = "placement.workloads"


@cache
def installed_presets() -> tuple[Preset, ...]:
    """The presets of all entry points, in the order of the entry points' names.

    Raises ValueError that names the entry point where it cannot be loaded or gives anything but Presets, and where two
    presets have one name.
    """
    found: dict[str, Preset] = {}
    for entry in sorted(entry_points(group=GROUP)):
        for preset in _presets_of(entry):
            if preset.name in found:
                raise ValueError(f"{_told(entry)}: a preset is called {preset.name!r} already; give it another name.")
            found[preset.name] = preset
    return tuple(found.values())


def _presets_of(entry: EntryPoint) -> list[Preset]:
    try:
        loaded = entry.load()
        presets = list(loaded() if callable(loaded) else loaded)
    except Exception as error:
        raise ValueError(
            f"{_told(entry)} cannot be loaded: {type(error).__name__}: {error}. It must name an iterable of "
            "workloads.Preset, or a function that gives one; mend or uninstall its package."
        ) from error
    if wrong := [one for one in presets if not isinstance(one, Preset)]:
        raise ValueError(f"{_told(entry)} gives {wrong[0]!r}, which is no workloads.Preset.")
    return presets


def _told(entry: EntryPoint) -> str:
    package = entry.dist.name if entry.dist is not None else "unknown"
    return f"the entry point {entry.name!r} = {entry.value!r} (group {GROUP}) of the package {package!r}"
