"""Functions that cases of several files submit."""

from __future__ import annotations

import sys

from ray import cloudpickle

cloudpickle.register_pickle_by_value(sys.modules[__name__])  # workers cannot import the tests


def add(x: int, y: int = 10, *rest: int, scale: int = 1, **more: int) -> int:
    """Adds up."""
    return (x + y + sum(rest) + sum(more.values())) * scale
