"""Observation, Unfit and Window: what workers report of their runs."""

from __future__ import annotations

from typing import NamedTuple

from placement.prediction.runtime_history import Key, Place, Sample

Observation = tuple[Key, Place, list[Sample]]


Unfit = tuple[Key, str, str]
"""The task's key, the config whose GPU could not take it, and why."""


class Window(NamedTuple):
    """When a task ran (time.time() seconds), the CPU seconds it used, and its CUDA_VISIBLE_DEVICES (None: no GPU)."""

    start: float
    end: float
    cpu_seconds: float
    visible: str | None
