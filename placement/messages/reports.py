"""Observation, Unfit and Window: the reports of workers on their runs."""

from __future__ import annotations

from typing import NamedTuple

from placement.prediction.runtime_history import Key, Place, Sample

Observation = tuple[Key, Place, list[Sample]]
"""The task's key, where it ran, and the timings of its warm runs."""

Unfit = tuple[Key, str, str]
"""The task's key, the config whose GPU could not take it, and why."""


class Window(NamedTuple):
    """When a task ran (time.time() seconds), the CPU seconds it used, and its CUDA_VISIBLE_DEVICES (None: no GPU)."""

    start: float
    end: float
    cpu_seconds: float
    visible: str | None
