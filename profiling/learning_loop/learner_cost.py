"""Costs of a learner that is full: microseconds of a shadow decision, bytes of its state. Callers pay nothing of it."""

from __future__ import annotations

import time
import tracemalloc
from collections.abc import Callable
from dataclasses import replace
from typing import Any

from placement.prediction.drift_correction import corrected_by
from placement.prediction.selector_file import shipped_selector
from profiling.learning_loop.beliefs import LARGEST_CELLS, Cell
from profiling.learning_loop.loop import LearningLoop
from profiling.learning_loop.scenarios import world_of

ROUNDS = 20
DECISIONS = 1_000  # of a round


def learner_cost() -> dict[str, Any]:
    """The costs as plain data.

    decision_us: of a shadow decision, the challenger's belief being at hand, as it is unless the task's runs have grown
    by a tenth since it was worked out.  new_belief_us: of one that is worked out.  Both are the least of ROUNDS.
    cells, state_bytes: of the largest learner, with a trial under way.
    """
    tracemalloc.start()
    loop = _full()
    state_bytes = tracemalloc.get_traced_memory()[0]
    tracemalloc.stop()
    challenger = loop.service.challenger
    assert challenger is not None
    view, cells = challenger.view, range(DECISIONS)

    def anew() -> None:
        view.forget_beliefs()
        _each(view.belief, cells)

    new_belief_us = _least_us(anew)
    return {
        "decision_us": _least_us(lambda: _each(view.belief, cells)), "new_belief_us": new_belief_us,
        "cells": len(loop.history.cells), "state_bytes": state_bytes,
    }  # fmt: skip


def _full() -> LearningLoop:
    """A loop of LARGEST_CELLS that ran on both devices, with a challenger on trial."""
    selector = shipped_selector()
    loop, cells = LearningLoop(selector), world_of("a", 0).cells
    loop.challenge(corrected_by(selector, "B", "gpu", 1.0))
    for number in range(LARGEST_CELLS):
        cell = cells[number % len(cells)]
        at = loop.history.index(_larger(cell, 1 + number // len(cells)))
        assert at is not None
        for device in ("cpu", "gpu"):
            for _ in range(2):  # the first run is set aside
                loop.add(at, device, 10.0, None, 0.5)
    return loop


def _larger(cell: Cell, times: int) -> Cell:
    return cell._replace(task=replace(cell.task, steps=cell.task.steps * times**2))


def _each(belief: Callable[[int], Any], cells: range) -> None:
    for at in cells:
        belief(at)


def _least_us(action: Callable[[], None]) -> float:
    def once() -> float:
        began = time.perf_counter()
        action()
        return time.perf_counter() - began

    return min(once() for _ in range(ROUNDS)) / DECISIONS * 1e6
