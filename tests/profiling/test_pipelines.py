"""The benchmark of pipelines: its bound, its arms, its table; and, as a long run, the whole of it on little work."""

from __future__ import annotations

import pytest

from placement.errors import OptionError
from profiling.pipelines.arms import ARMS, first_workers, share_of
from profiling.pipelines.benchmark import CONFIGS, DISTURBANCES, SLOTS, benchmark
from profiling.pipelines.makespan_bound import best_fixed_share, bound_seconds
from profiling.pipelines.shapes import SHAPES
from profiling.pipelines.table import HEADER, rows_of

FOUND = {
    "makespan_seconds": 2.0, "bound_ratio": 1.1, "rows_per_s": 50.0, "joules_per_row": 0.5,
    "busy": {"cpu": 0.25, "gpu": 0.9}, "peak_store_bytes": 3_000_000, "rows_lost": 0, "rows_twice": 0,
    "recovery_seconds": 0.1,
}  # fmt: skip


@pytest.mark.parametrize("shape", SHAPES.values(), ids=list(SHAPES))
def test_no_fixed_share_beats_the_bound(shape):
    rows = 100 * shape.batch
    bound = bound_seconds(shape, rows, CONFIGS, SLOTS)
    best = bound_seconds(shape, rows, CONFIGS, SLOTS, best_fixed_share(shape, rows, CONFIGS, SLOTS))
    for share in (0.0, 0.5, 1.0):
        assert bound <= best * (1 + 1e-9) <= bound_seconds(shape, rows, CONFIGS, SLOTS, share) * (1 + 2e-9)


def test_work_that_grows_has_a_larger_bound():
    shape = SHAPES["multimodal"]
    assert bound_seconds(shape.growing(), 1_600, CONFIGS, SLOTS) > bound_seconds(shape, 1_600, CONFIGS, SLOTS)


def test_the_clock_waits_for_the_gpus_and_for_the_first_cpu_worker_of_a_fixed_share():
    shares = {arm: share_of(arm, SHAPES["multimodal"], 0.9) for arm in ARMS if arm != "choose"}
    assert {arm: first_workers(share, 4) for arm, share in shares.items()} == {
        "pinned": 4, "cpu_only": 1, "half": 5, "best_fixed": 5, "placed": 4,
    }  # fmt: skip


def test_the_table_compares_with_pinned_and_shows_what_failed():
    report = {
        "shapes": {"multimodal": {"pinned": FOUND, "placed": {**FOUND, "makespan_seconds": 1.6}}},
        "disturbances": {"growth": {"pinned": {"error": "it did not end"}, "placed": FOUND}},
    }
    rows = rows_of(report)
    assert {len(row) for row in rows} == {len(HEADER)}
    assert [row[:3] + row[4:5] for row in rows] == [
        ["multimodal", "pinned", "2", "1.00"], ["multimodal", "placed", "1.6", "1.25"],
        ["growth", "pinned", "failed", ""], ["growth", "placed", "2", "-"],
    ]  # fmt: skip


def test_unknown_names_are_refused_before_anything_starts():
    with pytest.raises(OptionError, match="are not known; valid are"):
        benchmark(arms=["fast"])


@pytest.mark.soak
def test_the_whole_benchmark_ends_and_loses_no_row():
    report = benchmark(["document_embedding"], seconds=2.0, batches=20)
    assert set(report["shapes"]["document_embedding"]) == set(ARMS)
    assert set(report["disturbances"]) == set(DISTURBANCES)
    for arms in (*report["shapes"].values(), *report["disturbances"].values()):
        for found in arms.values():
            assert (found["rows_lost"], found["rows_twice"]) == (0, 0)
            assert found["makespan_seconds"] > 0
