"""Trials of the other device on the emulated cluster: chosen, charged to the budget, logged and shown."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from typing import Any

import pytest
import ray
from conditions import wait_until
from ray import cloudpickle

import placement
from placement import placed_remote
from placement.control_plane import client
from placement.spec.task import TaskSpec
from placement.spec.task_record import SCHEMA_VERSION, Rows
from placement.submission.snapshot_client import caller

cloudpickle.register_pickle_by_value(sys.modules[__name__])  # workers cannot import the tests

pytestmark = pytest.mark.soak
SHARE, SECONDS = 0.5, 2_000


def spec(flops: float) -> TaskSpec:
    return TaskSpec(flops=flops, input_bytes=flops / 1e5, batch_size=8, parameters=1_000_000, framework="torch")


@placed_remote(spec=spec, policy="selector")
def work(flops: float) -> float:
    return flops


@pytest.fixture
def explores(quiet: None) -> Iterator[None]:
    """The cluster explores tasks that it knows, with 2,000 device seconds behind it; afterwards nothing."""
    placement.start(exploration=SHARE)
    same = {
        "schema_version": SCHEMA_VERSION, "run_id": "before", "source": "production", "function": "before",
        "device": "cpu", "config": "A", "policy": "selector", "reason": "only_device",
    }  # fmt: skip
    each = {"compute_s": [1.0] * SECONDS, "time_utc": [time.time()] * SECONDS}
    client.call("report", f"before-{time.time()}", 0, [Rows(SECONDS, same, each)], [], [], 0)
    yield
    placement.start(exploration=0.0)


def open_question() -> float:
    """FLOPs of a task for which the selector leaves both devices open."""
    sizes = [10 ** (6 + 0.05 * i) for i in range(140)]
    return min(sizes, key=lambda flops: abs((work.explain(flops).decision.probability or 0.0) - 0.5))


def test_a_trial_is_charged_logged_and_shown(explores: None, log_uri: str) -> None:
    flops = open_question()
    before: dict[str, Any] = client.call("view")["exploration"]

    def tried() -> bool:
        ray.get([work.remote(flops) for _ in range(5)])
        return bool(client.call("view")["exploration"]["trials"] > before["trials"])

    wait_until(tried, lambda: client.call("view")["exploration"])
    placement.flush(30)
    shown = client.call("view")["exploration"]
    assert shown["share"] == SHARE
    assert shown["left_s"] == pytest.approx(SHARE * shown["device_s"] - shown["cost_s"])
    rows = placement.read_log(log_uri).to_pylist()
    mine = [row for row in rows if row["function"].endswith("test_trials.work")]
    trials = [row for row in mine if row["reason"].startswith("tries_")]
    assert trials
    assert all(row["propensity"] < 1.0 for row in trials)
    stayed = {round(1.0 - row["propensity"], 6) for row in mine if row["device"] != trials[0]["device"]}
    assert {round(row["propensity"], 6) for row in trials} & stayed
    assert caller().trials.spent.expected_s > 0


def test_strict_functions_try_nothing(explores: None, log_uri: str) -> None:
    flops = open_question()
    strict = work.options(strict=True)
    spent = caller().trials.spent
    ray.get([strict.remote(flops) for _ in range(20)])
    assert caller().trials.spent == spent
