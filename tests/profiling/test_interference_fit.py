"""The interference model that refit learns from rows with neighbours."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from placement.errors import SelectorError
from placement.log.schema import table_of
from placement.prediction.interference import ASSUMED, Interference, interference_of
from placement.prediction.selector_file import selector_of, shipped_selector
from placement.spec.task_record import TaskRecord
from profiling.dataset.runs import usable
from profiling.emulation.gpu_sharing import slowdown
from profiling.learning.fit_interference import fit_interference


def row(function: str, seconds: float, own: float, others: float | None = None) -> TaskRecord:
    return TaskRecord(
        run_id="r", source="production", function=function, config="D", emulated=True, device="gpu", steps=1,
        gpus=1.0 if others is None else 0.25, transfer_s=0.2 * seconds, compute_s=0.8 * seconds, gpu_utilisation=own,
        neighbours=None if others is None else 2, neighbour_utilisation=others,
    )  # fmt: skip


def rows() -> list[TaskRecord]:
    """Three functions alone and beside others, slowed as the emulator has it."""
    rng, found = np.random.default_rng(0), []
    for name, seconds, own in (("f", 1.0, 0.1), ("g", 5.0, 0.4), ("h", 0.2, 0.7)):
        found += [row(name, seconds, own) for _ in range(3)]
        found += [row(name, seconds * slowdown(own, others), own, others) for others in rng.uniform(0.1, 1.0, 60)]
    return found


def test_it_finds_the_slowdown_of_the_emulator_which_has_another_form() -> None:
    model = fit_interference(table_of(rows()))
    assert model.runs == 180
    for own, others in ((0.1, 0.5), (0.4, 0.6), (0.4, 0.9), (0.7, 0.8)):
        assert model.slowdown(own, others) == pytest.approx(slowdown(own, others), rel=0.06)


def test_rows_that_cannot_be_compared_say_nothing() -> None:
    assert fit_interference(table_of([row("f", 1.0, 0.1)])) == ASSUMED
    failed = dataclasses.replace(row("f", 9.0, 0.1, 0.5), error="ValueError")
    cold = dataclasses.replace(row("f", 9.0, 0.1, 0.5), cold=True)
    never_alone = row("g", 9.0, 0.1, 0.5)
    assert fit_interference(table_of([row("f", 1.0, 0.1), failed, cold, never_alone])) == ASSUMED


def test_rows_with_neighbours_are_no_half_of_a_pair() -> None:
    assert usable(table_of(rows())).num_rows == 9


def test_a_selector_file_keeps_it_and_older_files_have_none() -> None:
    shipped = shipped_selector()
    learned = dataclasses.replace(shipped, interference=Interference(0.3, 1.2, 40))  # type: ignore[type-var]
    assert selector_of(learned.to_dict()).interference == Interference(0.3, 1.2, 40)  # type: ignore[attr-defined]
    data = shipped.to_dict()
    del data["interference"]
    assert selector_of(data).interference == ASSUMED  # type: ignore[attr-defined]
    for wrong in ([], {"contention": -1.0, "queueing": 1.0, "runs": 1}, {"contention": 1.0}):
        with pytest.raises(SelectorError, match="interference"):
            interference_of(wrong)
