"""What a sweep measures next where its time is short."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

import workloads
from placement.errors import OptionError
from placement.log import LogWriter
from placement.spec.joint_threshold import JointThreshold
from placement.spec.node import NodeSpec, paper_configs
from placement.spec.task import TaskSpec
from placement.spec.task_record import TaskRecord
from profiling.active_learning.accuracy_curves import ORDERS, accuracy_curves
from profiling.active_learning.acquisition import drawn_pairs, next_pairs, round_size, unsureness
from profiling.active_learning.budgeted_choice import BudgetedChoice, choice_for, selector_of_log
from profiling.active_learning.traffic import production_counts, traffic
from profiling.dataset.frames import of_labelled
from profiling.dataset.pairs import labelled, pairs
from profiling.sweep.cell_jobs import Job, jobs_of
from profiling.sweep.measurement_nodes import Site, sites_of
from profiling.sweep.preset_grid import emulated_table, work_of_presets
from profiling.sweep.sweep_rows import cpus_of

TABLES = [one for one in workloads.all_presets() if one.workload == "xgboost_iris"]
PARSING = workloads.preset("parse_table_b100")
REAL = replace(paper_configs()["A"], emulated=False)
SITE = Site("n", REAL, float(REAL.cpus))


def row(key: str, flops: float, **more: object) -> TaskRecord:
    return TaskRecord(**{"run_id": "r", "source": "production", "function": "f", "device": "cpu", "policy": "balanced",
                         "function_key": key, "flops": flops, **more})  # fmt: skip


def test_unsure_is_what_may_as_well_be_the_other_and_what_is_not_known() -> None:
    assert unsureness(np.array([0.0, 0.5, 0.75, 1.0, np.nan])) == pytest.approx([0, 1, 0.5, 0, 1])


def test_further_pairs_of_the_same_work_count_less_in_a_round() -> None:
    value = np.array([1.0, 0.9, 0.8, 0.6, 0.1])
    assert next_pairs(value, np.array([0, 0, 0, 1, 2]), 3).tolist() == [0, 3, 1]
    assert next_pairs(value, np.arange(5), 3).tolist() == [0, 1, 2]


def test_pairs_are_drawn_by_their_traffic() -> None:
    shares = np.r_[np.full(10, 0.09), np.full(10, 0.01)]
    drawn = [drawn_pairs(shares, 5, seed) for seed in range(200)]
    assert all(len(set(some.tolist())) == 5 for some in drawn)
    assert np.mean(np.concatenate(drawn) < 10) > 0.75
    assert len(drawn_pairs(shares, 99)) == 20


def test_rounds_double_what_is_measured() -> None:
    assert [round_size(0), round_size(40), round_size(80)] == [40, 40, 80]


def test_traffic_is_that_of_the_nearest_sizes_of_the_same_function() -> None:
    specs = [TaskSpec(flops=1e6), TaskSpec(flops=1e9), TaskSpec(flops=1e9)]
    counted = [
        {"function_key": "own", "flops": 2e9, "input_bytes": None, "parameters": None, "batch_size": None, "count": 96},
        {"function_key": "another", "flops": 1e6, "input_bytes": 8.0, "parameters": 1, "batch_size": 1, "count": 900},
    ]
    assert traffic(specs, ["own", "own", "other"], counted) == pytest.approx([1 / 99, 97 / 99, 1 / 99])
    assert traffic(specs, [None, None, "own"], counted)[0] == pytest.approx(901 / 999)
    assert traffic(specs, [None, None, None], []) == pytest.approx([1 / 3] * 3)


def test_production_is_counted_from_the_log(tmp_path: Path) -> None:
    assert production_counts(tmp_path / "log") == []
    unplaced, swept = row("f", 1e6, policy=None), row("f", 1e6, source="sweep")
    LogWriter(tmp_path / "log").append([row("f", 1e6), row("f", 1e6), row("f", 1e9), unplaced, swept])
    found = production_counts(tmp_path / "log")
    assert sorted((one["flops"], one["count"]) for one in found) == [(1e6, 2), (1e9, 1)]


def names(jobs: list[Job]) -> list[str]:
    return list(dict.fromkeys(job.preset.name for job in jobs))


def test_the_first_round_is_drawn_and_pairs_stay_together(tmp_path: Path) -> None:
    jobs, _ = jobs_of([SITE], [PARSING, *TABLES], set(), cpus=(1, 4))
    now, others = BudgetedChoice(tmp_path / "log")(jobs)
    assert len(now) + len(others) == len(jobs)
    assert len(now) == 2 * 40
    assert [job.cell.device for job in now] == ["cpu", "gpu"] * 40
    assert PARSING.name in names(others), "work without a pair teaches the selector nothing"


def test_what_comes_often_in_production_is_drawn_first(tmp_path: Path) -> None:
    jobs, _ = jobs_of([SITE], TABLES, set(), cpus=(1, 4))
    often = TABLES[7]
    spec = often.spec()
    sizes = {name: getattr(spec, name) for name in ("input_bytes", "parameters", "batch_size")}
    LogWriter(tmp_path / "log").append([row("f", spec.flops, **sizes)] * 2000)
    now, _ = BudgetedChoice(tmp_path / "log")(jobs)
    assert names(now[:4]) == [often.name]


def test_later_rounds_take_what_the_selector_of_the_log_is_least_sure_of(tmp_path: Path) -> None:
    measured = [work for work in work_of_presets() if work.workload in ("xgboost_iris", "mobilenetv3_imagenet100")]
    rows = emulated_table(measured[::6], [paper_configs()["A"]]).to_pylist()
    LogWriter(tmp_path / "log").append([TaskRecord.from_dict(one) for one in rows])
    jobs, _ = jobs_of([replace(SITE, spec=paper_configs()["A"])], TABLES, set(), cpus=(1, 4, 12))
    choice = BudgetedChoice(tmp_path / "log")
    now, others = choice(jobs)
    later, rest = choice(others)
    assert rest == []
    spec = {job.preset.name: job.preset.spec() for job in jobs}
    selector = selector_of_log(tmp_path / "log", JointThreshold())
    sure = [[abs(selector.estimate(spec[job.preset.name], job.site.spec, job.cell.cpus).p_gpu - 0.5) for job in some]
            for some in (now, later)]  # fmt: skip
    assert np.mean(sure[0]) < np.mean(sure[1])


def test_a_sweep_without_a_budget_goes_by_the_grid(tmp_path: Path) -> None:
    assert choice_for(tmp_path, None) is None
    assert isinstance(choice_for(tmp_path, 60.0), BudgetedChoice)


def test_cpus_and_configs_narrow_what_is_measured() -> None:
    assert cpus_of(REAL, (1, 4)) == (1.0, 4.0)
    assert cpus_of(NodeSpec("two", cpus=2), (1, 4)) == (1.0, 2.0)
    local = Site("m", NodeSpec("local", cpus=2), 1.0, (2.0,), tuple(paper_configs().values()))
    (computing,) = sites_of([SITE, local], ["B"])
    assert [spec.config for spec in computing.emulates] == ["B"]
    assert [site.spec.config for site in sites_of([SITE, local], ["local"])] == ["local"]
    assert sites_of([SITE, local], None) == [SITE, local]
    with pytest.raises(OptionError, match="no node of E; it has A, B, C, D, local"):
        sites_of([SITE, local], ["E"])


def test_curves_have_a_figure_for_each_order_size_and_seed() -> None:
    works = [work for work in work_of_presets() if work.workload == "xgboost_iris"]
    frame = of_labelled(labelled(pairs(emulated_table(works))))
    curves = accuracy_curves(frame, (0,), rounds=2)
    assert {order: list(curve) for order, curve in curves.items()} == {order: [80, 160] for order in ORDERS}
    assert curves["random"][80] == curves["chosen"][80], "the first round is drawn"
    assert all(0.5 < accuracy <= 1 for curve in curves.values() for found in curve.values() for accuracy in found)
