"""The price of a joule over time: schedule files, functions, the cap in watts, and the policies that look at it."""

from __future__ import annotations

import json
import math
import pickle
from pathlib import Path
from typing import Any

import pytest

from placement.errors import OptionError
from placement.prediction.estimate import Estimate
from placement.scheduling.candidate_set import candidate_set
from placement.scheduling.candidates import Candidate
from placement.scheduling.energy_price import (
    LARGEST_CAP_FACTOR,
    SECONDS_PER_JOULE,
    PriceSchedule,
    data_of_price,
    joule_price,
    parse_schedule,
    price_of_data,
    read_schedule,
)
from placement.scheduling.policies.balanced import Balanced
from placement.scheduling.policies.registry import policy_of, priced
from placement.scheduling.queue_model import Backlog, Load
from placement.spec.task import TaskSpec

HOUR = 3600.0
TARIFF = "time,seconds_per_joule\n07:00,0.5\n21:30,0.001\n"
CAPPED = "time,seconds_per_joule,cap_watts\n00:00,0.002,1000\n"
TASK = TaskSpec()
COSTLY = Estimate(0.9, cpu_seconds=10.0, gpu_seconds=1.0, cpu_joules=10.0, gpu_joules=300.0)
"""Faster on the GPU, for thirty times the joules."""
PAIR = [Candidate("A", "cpu", 1.0, 0.0, COSTLY, 0.0), Candidate("A", "gpu", 1.0, 1.0, COSTLY, 0.0)]


def test_a_price_holds_until_the_next_one_and_the_last_one_over_midnight() -> None:
    tariff = parse_schedule(TARIFF)
    for day in (0.0, 86_400.0 * 20_000):
        assert tariff.price(day + 6.9 * HOUR) == 0.001
        assert tariff.price(day + 7.0 * HOUR) == 0.5
        assert tariff.price(day + 21.5 * HOUR) == 0.001


def test_dates_hold_once_and_name_their_offset() -> None:
    dated = parse_schedule("time,seconds_per_joule\n2026-01-31T07:00+01:00,1\n2026-01-31T07:00,2\n")
    first = 1769839200.0  # 06:00 UTC
    assert [dated.price(first + s) for s in (-1e6, 0.0, HOUR - 1, HOUR, 1e9)] == [1.0, 1.0, 1.0, 2.0, 2.0]


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "first line is ''"),
        ("time;seconds_per_joule\n", "first line"),
        ("time,seconds_per_joule\n", "one time or more"),
        ("time,seconds_per_joule\n25:00,1\n", "line 2"),
        ("time,seconds_per_joule\n07:00,-1\n", "line 2: seconds_per_joule is '-1'"),
        ("time,seconds_per_joule\n07:00,nan\n", "line 2"),
        ("time,seconds_per_joule\n07:00,x\n", "line 2"),
        ("time,seconds_per_joule\n07:00,1,5\n", "line 2: 3 values, not 2"),
        ("time,seconds_per_joule,cap_watts\n07:00,1,0\n", "line 2: cap_watts is '0'"),
        ("time,seconds_per_joule\n07:00,1\n06:00,2\n", "ascending"),
        ("time,seconds_per_joule\n07:00,1\n2026-01-31T07:00,2\n", "of one kind"),
    ],
)
def test_a_wrong_file_says_in_one_line_what_is_wrong_and_how_it_should_read(text: str, says: str) -> None:
    with pytest.raises(OptionError) as error:
        parse_schedule(text, "tariff.csv")
    message = str(error.value)
    assert "tariff.csv" in message
    assert says in message
    assert "time,seconds_per_joule[,cap_watts]" in message
    assert "\n" not in message


def test_a_file_that_is_not_there_or_no_text_is_named(tmp_path: Path) -> None:
    (tmp_path / "binary.csv").write_bytes(b"\xff\xfe\x00")
    for name in ("none.csv", "binary.csv"):
        with pytest.raises(OptionError, match=name):
            read_schedule(tmp_path / name)


@pytest.mark.parametrize("value", [-1, True, math.inf, [], PriceSchedule])
def test_what_is_no_price_is_refused(value: Any) -> None:
    with pytest.raises(OptionError, match="a schedule file"):
        joule_price(value)


def test_near_the_cap_a_joule_counts_more_and_more_but_never_without_bound() -> None:
    capped = parse_schedule(CAPPED)
    prices = [capped.price(0.0, watts) for watts in (0.0, 500.0, 700.0, 900.0, 950.0, 1e6)]
    assert prices[:2] == [0.002, 0.002]
    assert prices == sorted(prices)
    assert prices[3] == pytest.approx(0.002 + 4 * SECONDS_PER_JOULE)
    assert prices[-1] == pytest.approx(0.002 + (LARGEST_CAP_FACTOR - 1) * SECONDS_PER_JOULE)


def test_a_schedule_outlives_json_and_pickle() -> None:
    for schedule in (parse_schedule(TARIFF), parse_schedule(CAPPED)):
        assert price_of_data(json.loads(json.dumps(data_of_price(schedule)))) == schedule
        assert pickle.loads(pickle.dumps(Balanced(seconds_per_joule=schedule))) == Balanced(seconds_per_joule=schedule)
    assert price_of_data(data_of_price(0.25)) == 0.25
    with pytest.raises(OptionError, match="give a function to a policy"):
        data_of_price(lambda now: 1.0)


def test_a_clusters_price_is_given_to_policies_that_price_joules(tmp_path: Path) -> None:
    file = tmp_path / "tariff.csv"
    file.write_text(TARIFF)
    assert priced(policy_of("balanced"), parse_schedule(TARIFF)) == Balanced(seconds_per_joule=str(file))
    assert priced(policy_of("selector"), 1.0) == policy_of("selector")
    assert priced(Balanced(seed=3), None) == Balanced(seed=3)


def test_a_policy_decides_by_the_price_of_the_moment() -> None:
    now = [0.0]
    for price in (parse_schedule(TARIFF), lambda s: 0.5 if 7 * HOUR <= s < 21.5 * HOUR else 0.001):
        policy = Balanced(seconds_per_joule=price, seed=0, clock=lambda: now[0])
        chosen = []
        for hour in (3.0, 12.0, 22.0):
            now[0] = hour * HOUR
            chosen.append(policy.choose(TASK, PAIR).device)
        assert chosen == ["gpu", "cpu", "gpu"]


def test_a_function_that_gives_no_price_is_named() -> None:
    with pytest.raises(OptionError, match="gave nan"):
        Balanced(seconds_per_joule=lambda now: math.nan).choose(TASK, PAIR)


def test_the_draw_is_that_of_the_tasks_that_run() -> None:
    now = [0.0]
    backlog = Backlog(lambda: now[0], exact=True)
    backlog.merge({("A", "gpu"): Load(2.0), ("A", "cpu"): Load(4.0)}, 0.0)
    assert backlog.draw_w == 0.0
    sent = [backlog.enqueue("A", "gpu", 2.0, joules=400.0) for _ in range(3)]
    backlog.enqueue("A", "cpu", 1.0)  # of unknown joules
    assert backlog.draw_w == pytest.approx(400.0)  # two run, at 200 W
    for seconds in sent[:2]:
        backlog.complete("A", "gpu", seconds)
    assert backlog.draw_w == pytest.approx(200.0)


def test_under_a_cap_a_policy_tells_the_joules_and_shuns_the_hungry_device() -> None:
    class Drawing:
        age_s, gpu_price = 0.0, 1.0

        def __init__(self, watts: float) -> None:
            self.draw_w = watts

        def wait_s(self, config: str, device: str) -> float:
            return 0.0

        def waits_s(self, queues: Any) -> list[float]:
            return [0.0 for _ in queues]

    policy = Balanced(seconds_per_joule=parse_schedule(CAPPED), seed=0)
    chosen = []
    for watts in (100.0, 1100.0):
        found = candidate_set(PAIR)
        found.waits = Drawing(watts)
        chosen.append(policy.choose(TASK, found))
    assert [choice.device for choice in chosen] == ["gpu", "cpu"]
    assert [choice.joules for choice in chosen] == [300.0, 10.0]
    assert Balanced(seed=0).choose(TASK, PAIR).joules is None
