"""Costs of a learner that is full: microseconds of a shadow decision, bytes of its state. Callers pay nothing of it."""

from __future__ import annotations

import time
import tracemalloc
from collections.abc import Callable
from itertools import islice, product
from typing import Any

from placement.prediction.drift_correction import corrected_by
from placement.prediction.selector import Selector
from placement.prediction.selector_file import shipped_selector
from profiling.learning_loop.beliefs import LARGEST_CELLS, Cell, SelectorView
from profiling.learning_loop.loop import LearningLoop
from profiling.learning_loop.scenarios import CPUS, nodes

CELLS = 200  # that are measured
ROUNDS = 20


def learner_cost() -> dict[str, Any]:
    """The costs as plain data, measured with CELLS cells.

    decision_us: of a shadow decision, the challenger's belief being at hand, as it is unless the task's runs have grown
    by a tenth since it was worked out.  new_belief_us: of one that is worked out.  Both are the least of ROUNDS.
    cell_bytes: of the state for a cell, a trial being under way.  cells, state_bytes: of the largest learner by that.
    """
    selector, cells = shipped_selector(), _cells()
    _full(selector, cells[:1])  # what is loaded and made but once
    tracemalloc.start()
    loop, view = _full(selector, cells)
    cell_bytes = tracemalloc.get_traced_memory()[0] / len(loop.history.cells)
    tracemalloc.stop()

    def decide() -> None:
        for at in range(CELLS):
            view.belief(at)

    def work_out() -> None:
        view.forget_beliefs()
        decide()

    new_belief_us = _least_us(work_out)
    return {
        "decision_us": _least_us(decide), "new_belief_us": new_belief_us,
        "cell_bytes": cell_bytes, "cells": LARGEST_CELLS, "state_bytes": cell_bytes * LARGEST_CELLS,
    }  # fmt: skip


def _cells() -> list[Cell]:
    """CELLS presets on all kinds of node."""
    from profiling.sweep.preset_grid import work_of_presets

    pairs = islice(product(work_of_presets(), nodes().values()), CELLS)
    return [Cell(work.workload, work.spec, node, CPUS) for work, node in pairs]


def _full(selector: Selector, cells: list[Cell]) -> tuple[LearningLoop, SelectorView]:
    """A loop of cells that ran on both devices, and the view of a challenger on trial that knows them all."""
    loop = LearningLoop(selector)
    for cell in cells:
        at = loop.history.index(cell)
        assert at is not None
        for device in ("cpu", "gpu"):
            for _ in range(2):  # the first run is set aside
                loop.add(at, device, 10.0, None, 0.5)
    loop.challenge(corrected_by(selector, "B", "gpu", 1.0))
    challenger = loop.service.challenger
    assert challenger is not None
    for view in (loop.champion, loop.served, challenger.view):
        for at in range(len(cells)):
            view.belief(at)
    return loop, challenger.view


def _least_us(action: Callable[[], None]) -> float:
    def once() -> float:
        began = time.perf_counter()
        action()
        return time.perf_counter() - began

    return min(once() for _ in range(ROUNDS)) / CELLS * 1e6
