"""Selectors that the learner makes of others, for a drift and for a trial: estimates, files, and hostile files."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from functools import cache
from typing import Any

import pytest

from placement.errors import SelectorError
from placement.prediction.drift_correction import corrected_by
from placement.prediction.one_by_one import prepared
from placement.prediction.posterior import Slowdown, corrected
from placement.prediction.runtime_history import History, Place
from placement.prediction.selector_file import selector_of, shipped_selector
from placement.prediction.selector_trial import trial_of
from placement.spec.node import paper_configs
from placement.spec.task import TaskSpec

SHIPPED = cache(shipped_selector)
TASK = TaskSpec(flops=5e10, input_bytes=1e6, batch_size=8, parameters=10_000_000, kernels=300, framework="torch")
GPU_WORK = TaskSpec(flops=5e12, input_bytes=1e7, batch_size=64, parameters=10**8, kernels=300, framework="torch")
NODES = paper_configs()


def test_only_the_drifted_device_of_the_drifted_config_is_corrected() -> None:
    shipped = SHIPPED()
    slow = corrected_by(shipped, "D", "gpu", math.log(2.0))
    before, after = shipped.estimate(TASK, NODES["D"], 4), slow.estimate(TASK, NODES["D"], 4)
    assert before is not None
    assert after is not None
    assert after.gpu_seconds == pytest.approx(2 * before.gpu_seconds)
    assert after.gpu_joules == pytest.approx(2 * before.gpu_joules)
    assert after.cpu_seconds == before.cpu_seconds
    assert after.speedup.mean == pytest.approx(before.speedup.mean - math.log(2.0))
    assert after.p_gpu < before.p_gpu
    assert slow.estimate(TASK, NODES["A"], 4) == shipped.estimate(TASK, NODES["A"], 4)


@pytest.mark.parametrize("std", [0.0, 0.1])
def test_no_energy_is_not_an_uncertain_one(std: float) -> None:
    before = SHIPPED().estimate(TASK, NODES["D"], 4)
    assert before is not None
    after = corrected(replace(before, energy_ratio=None), Slowdown(0.0, 0.7), SHIPPED().thresholds, std)
    assert after is not None
    assert after.energy_decides


def test_it_answers_alike_for_many_nodes_at_once() -> None:
    slow = corrected_by(SHIPPED(), "D", "gpu", math.log(2.0))
    nodes = tuple(NODES.values())
    many = prepared(slow, nodes, 4)(TASK)
    assert list(many.p_gpu) == pytest.approx([slow.estimate(TASK, node, 4).p_gpu for node in nodes])


def test_later_factors_are_multiplied_and_versions_differ() -> None:
    once = corrected_by(SHIPPED(), "D", "gpu", math.log(2.0))
    twice = corrected_by(corrected_by(once, "D", "gpu", math.log(1.5)), "A", "cpu", -0.4)
    assert twice.log_factors == {"D": (0.0, pytest.approx(math.log(3.0))), "A": (-0.4, 0.0)}
    assert twice.selector == once.selector
    assert len({SHIPPED().version, once.version, twice.version}) == 3


def test_its_file_gives_it_back() -> None:
    made = corrected_by(SHIPPED(), "D", "gpu", 0.7)
    again = selector_of(json.loads(json.dumps(made.to_dict())))
    assert again.version == made.version
    assert again.estimate(TASK, NODES["D"], 4) == made.estimate(TASK, NODES["D"], 4)


@cache
def file_of_one() -> dict[str, Any]:
    return corrected_by(SHIPPED(), "D", "gpu", 0.7).to_dict()


@pytest.mark.parametrize("factors", [[0.1], "ab", [0.1, None], [0.1, 1e9], [True, 0.1], {"cpu": 1}])
def test_a_file_with_other_factors_is_refused(factors: object) -> None:
    data = file_of_one() | {"log_factors": {"D": factors}}
    with pytest.raises(SelectorError, match="log_factors"):
        selector_of(data)


def test_a_corrected_selector_within_another_is_refused() -> None:
    data = file_of_one()
    with pytest.raises(SelectorError, match="within a corrected one"):
        selector_of(data | {"selector": data})


def test_a_trial_doubts_the_champion_only_where_the_challenger_differs() -> None:
    champion = SHIPPED()
    challenger = corrected_by(champion, "D", "gpu", math.log(100.0))
    trial = trial_of(champion, challenger)
    sure, doubted = champion.estimate(GPU_WORK, NODES["D"], 4), trial.estimate(GPU_WORK, NODES["D"], 4)
    assert sure is not None
    assert doubted is not None
    assert sure.p_gpu > doubted.p_gpu > 0.5
    assert doubted.speedup.std > sure.speedup.std
    assert (doubted.gpu_seconds, doubted.speedup.mean) == (sure.gpu_seconds, sure.speedup.mean)
    assert trial.estimate(GPU_WORK, NODES["A"], 4) == champion.estimate(GPU_WORK, NODES["A"], 4)
    assert prepared(trial, (NODES["D"],), 4)(GPU_WORK)[0] == doubted


def test_the_file_of_a_trial_gives_it_back_and_holds_no_other_trial() -> None:
    trial = trial_of(SHIPPED(), corrected_by(SHIPPED(), "D", "gpu", 0.7))
    data = json.loads(json.dumps(trial.to_dict()))
    again = selector_of(data)
    assert again.version == trial.version
    assert again.estimate(GPU_WORK, NODES["D"], 4) == trial.estimate(GPU_WORK, NODES["D"], 4)
    with pytest.raises(SelectorError, match="trial within a trial"):
        selector_of(data | {"challenger": data})
    with pytest.raises(SelectorError):
        selector_of(data | {"challenger": None})


def test_a_drift_moves_the_runs_of_its_place_alone() -> None:
    history, key, place = History(), ("f", (1,)), Place("D", "gpu", 4.0)
    for _ in range(9):
        history.observe(key, place, 10.0, 50.0)
        history.observe(key, place._replace(device="cpu"), 30.0)
    history.shift(key, place, math.log(2.0))
    history.shift(("unknown", (1,)), place, math.log(2.0))
    moved, kept = history.get(key).timings[place], history.get(key).timings[place._replace(device="cpu")]
    assert (moved.runs, moved.seconds, moved.joules) == (1, pytest.approx(20.0), pytest.approx(100.0))
    assert (kept.runs, kept.seconds) == (8, pytest.approx(30.0))
    assert len(history) == 1
