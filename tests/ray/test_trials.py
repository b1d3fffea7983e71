"""Trials of the other device on the emulated cluster: chosen, charged to the budget, logged and shown."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from typing import Any

import pytest
import ray
from conditions import PATIENCE_S, wait_for_quiet, wait_until
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


def rows_of_work(log_uri: str) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """Rows of `work` that drew: those that tried the other device, and those that kept theirs."""
    placement.flush(PATIENCE_S)
    mine = [row for row in placement.read_log(log_uri).to_pylist() if row["function"].endswith("test_trials.work")]
    drew = [row for row in mine if row["propensity"] < 1.0]
    tried = [row for row in drew if row["reason"].startswith("tries_")]
    return tried, [row for row in drew if row not in tried]


def test_a_trial_is_charged_logged_and_shown(explores: None, log_uri: str) -> None:
    flops = open_question()
    before: dict[str, Any] = client.call("view")["exploration"]

    def drawn_both_ways() -> bool:
        wait_for_quiet()  # trials are made where both devices idle
        ray.get(work.remote(flops))
        return all(rows_of_work(log_uri))

    wait_until(drawn_both_ways, lambda: client.call("view")["exploration"])
    tried, kept = rows_of_work(log_uri)
    assert tried[0]["device"] != kept[0]["device"]
    assert tried[0]["propensity"] == pytest.approx(1.0 - kept[0]["propensity"])

    def charged() -> bool:
        return bool(client.call("view")["exploration"]["cost_s"] > before["cost_s"])

    wait_until(charged, "the trial's excess is charged once the driver has told of it")
    shown = client.call("view")["exploration"]
    assert shown["share"] == SHARE
    assert shown["trials"] >= before["trials"] + len(tried)
    assert shown["left_s"] < SHARE * shown["device_s"]
    assert caller().trials.spent.excess_s > 0


def test_strict_functions_try_nothing(explores: None, log_uri: str) -> None:
    flops = open_question()
    strict = work.options(strict=True)
    spent = caller().trials.spent
    ray.get([strict.remote(flops) for _ in range(20)])
    assert caller().trials.spent == spent
