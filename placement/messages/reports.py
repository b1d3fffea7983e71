"""Observation, Unfit and Window: the reports of workers on their runs."""

from __future__ import annotations

from typing import NamedTuple

from placement.prediction.runtime_history import Key, Place, Sample

Observation = tuple[Key, Place, list[Sample]]
"""The task's key, where it ran, and the timings of its warm runs."""


class Unfit(NamedTuple):
    """The task's key, the config whose GPU could not take it, why, and the share of it that the task had beside
    neighbours; 1 where it had none.
    """

    key: Key
    config: str
    why: str
    share: float = 1.0


class Window(NamedTuple):
    """When a task ran (time.time() seconds), the CPU seconds it used, and its CUDA_VISIBLE_DEVICES (None: no GPU)."""

    start: float
    end: float
    cpu_seconds: float
    visible: str | None
