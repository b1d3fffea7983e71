"""Decisions that see the cluster: other people's tasks, this driver's own, and what was decided for a task sent."""

from __future__ import annotations

import json
import os
import pickle
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import ray
from conditions import rows_of, wait_for_file, wait_for_use, wait_until

import placement
from placement import TaskSpec, placed_remote
from placement.control_plane.ray_context import own_node_id
from placement.errors import OptionError
from placement.prediction.runtime_history import Place
from placement.scheduling.candidates import Comparison
from placement.scheduling.decision import key_of
from placement.scheduling.policies.balanced import POWER, score
from placement.scheduling.policies.queue_aware import NEAR
from placement.submission.snapshot_client import caller

pytestmark = pytest.mark.usefixtures("emulated")

LARGE = TaskSpec(flops=1e13, input_bytes=1e6, batch_size=64, parameters=100_000_000)

SPECS = [replace(LARGE, input_bytes=size) for size in (1e6, 1e5, 1e4)]


@placed_remote(spec=LARGE, policy="balanced")
def worthy(end: Path | None = None) -> list[int]:
    """Runs until the file is there. The GPUs it was given."""
    if end is not None:
        wait_for_file(end, 300)
    return ray.get_gpu_ids()


@ray.remote(num_gpus=1, num_cpus=0, max_calls=0)
def foreign(end: Path) -> None:
    wait_for_file(end, 300)


def decided(**expected: Any) -> bool:
    """Whether the decision for `worthy` has these attributes now."""
    decision = worthy.explain().decision
    return all(getattr(decision, name) == value for name, value in expected.items())


@pytest.fixture
def timed(quiet: None) -> Iterator[None]:
    """How long the task takes is known to this driver: 2 s on a CPU, 0.4 s on a GPU."""
    history = caller().history
    before = pickle.dumps(history)
    caller().current()
    key = key_of(worthy.handle.history_key(), LARGE)
    for config in "ABCD":
        for _ in range(5):
            history.observe(key, Place(config, "cpu", 1.0), 2.0, 100.0, 0.0)
            history.observe(key, Place(config, "gpu", 1.0), 0.4, 90.0, 0.0)
    yield
    caller().history.__dict__.update(pickle.loads(before).__dict__)


def test_on_an_idle_cluster_it_takes_the_selectors_configs_and_says_how_fresh_it_is(timed: None) -> None:
    static = worthy.options(policy="selector").explain().decision
    wait_until(lambda: set(worthy.explain().decision.configs) == set(static.configs), worthy.explain)
    assert worthy.explain().decision.device == static.device == "gpu"
    # Callers hear of the queues every 5 s at least.
    explained = wait_until(lambda: (one := worthy.explain()).decision.backlog_age_s < 6 and one, worthy.explain)
    assert "queues of " in str(explained)


@placed_remote(spec=LARGE, policy="selector")
def ranked(started: Path, end: Path) -> str:
    """Runs until the file is there. The config it ran on."""
    started.touch()
    wait_for_file(end, 300)
    return str(ray.get_runtime_context().get_node_labels()["config"])


@pytest.mark.parametrize("device", ["gpu", "cpu"])
def test_a_task_runs_on_the_best_config_that_is_free(quiet: None, tmp_path: Path, device: str) -> None:
    key = key_of(ranked.handle.history_key(), LARGE)
    for config, factor in zip("DBCA", (1.0, 2.0, 3.0, 4.0), strict=True):
        for _ in range(5):
            caller().history.observe(key, Place(config, "cpu", 1.0), 4.0 * factor, None, 0.0)
            caller().history.observe(key, Place(config, "gpu", 1.0), 0.1 * factor, None, 0.0)
    here = ranked.options(device=device)
    assert here.explain(tmp_path, tmp_path).decision.tiers == (("D",), ("B",), ("C",), ("A",))
    refs = []
    for i in range(4):  # those before it still run, wherever they are
        refs.append(here.remote(tmp_path / str(i), tmp_path / "end"))
        wait_for_file(tmp_path / str(i))
        wait_for_use(device.upper(), i + 1)
    (tmp_path / "end").touch()
    assert ray.get(refs, timeout=300) == ["D", "B", "C", "A"]


def test_gpus_that_others_hold_are_seen(timed: None, tmp_path: Path) -> None:
    end = tmp_path / "end"
    held = [foreign.remote(end) for _ in range(12)]
    try:
        wait_until(lambda: decided(reason="cpu_ends_sooner"), worthy.explain)
        assert ray.get(worthy.remote(), timeout=300) == []
        waits = {c.config: c.wait_s for c in worthy.explain().considered if c.device == "gpu"}
        assert all(wait and wait > 0.4 for wait in waits.values())
    finally:
        end.touch()
        ray.get(held, timeout=600)
    wait_until(lambda: decided(device="gpu"), worthy.explain)


def test_a_burst_spreads_before_any_poll_could_tell(timed: None, log_uri: str, tmp_path: Path) -> None:
    wait_until(lambda: decided(reason="gpu_worth_it"), worthy.explain)
    end = tmp_path / "end"  # none ends before all are sent, however slowly that goes
    refs = [worthy.remote(end) for _ in range(24)]
    decisions = [placement.explain(ref).decision for ref in refs]
    end.touch()
    ray.get(refs, timeout=600)
    devices = {device: sum(d.device == device for d in decisions) for device in ("cpu", "gpu")}
    assert min(devices.values()) >= 3, devices  # 4 GPUs of 0.4 s and 4 CPUs of 2 s: level at 7 on the CPUs
    assert any(d.wait_s for d in decisions)
    rows = rows_of(log_uri, refs)
    assert [row["weighed"] for row in rows] == [d.comparison and str(d.comparison) for d in decisions]
    compared = [Comparison.of(row["weighed"]) for row in rows if row["weighed"]]
    assert len(compared) >= 10
    for w in compared:  # the decision follows from its row
        taken = score(w.wait_s, w.cost_s, w.device == "gpu", w.gpu_price)
        other = score(w.other_wait_s, w.other_cost_s, w.other_device == "gpu", w.gpu_price)
        assert taken <= other * NEAR ** (POWER - 1) * 1.05  # four digits are logged


def test_what_was_decided_for_a_task_sent(timed: None, log_uri: str, tmp_path: Path) -> None:
    ref = worthy.remote()
    explained = placement.explain(ref)
    assert explained.decision.policy == "balanced"
    assert {c.config for c in explained.considered} == set("ABCD")
    assert any(c.taken for c in explained.considered)
    rows_of(log_uri, [ref])
    from placement.submission import recent_decisions

    recent_decisions._newer.clear()
    told = placement.explain(ref).decision  # from the log
    assert (told.device, told.reason, told.policy) == (
        explained.decision.device, explained.decision.reason, "balanced",
    )  # fmt: skip
    for wrong in (foreign.remote(tmp_path), 3, [3], []):
        with pytest.raises(OptionError, match="explain"):
            placement.explain(wrong)


@placed_remote(spec=lambda item: SPECS[item % 3], policy="balanced")
def mixed(item: int) -> tuple[int, bool]:
    if item == 31:
        raise ValueError("unlucky")
    time.sleep(0.02)
    return item, bool(ray.get_gpu_ids())


@pytest.fixture
def mixed_times(quiet: None) -> None:
    """A GPU gains 20, 3 and nothing on the three kinds of item."""
    caller().current()
    for spec, cpu in zip(SPECS, (0.4, 0.06, 0.02), strict=True):
        key = key_of(mixed.handle.history_key(), spec)
        for config in "ABCD":
            for _ in range(5):
                caller().history.observe(key, Place(config, "cpu", 1.0), cpu, None, 0.0)
                caller().history.observe(key, Place(config, "gpu", 1.0), 0.02, None, 0.0)


@pytest.mark.parametrize("ordered", [True, False])
def test_a_map_sends_what_gains_most_to_the_gpus_and_loses_none(mixed_times: None, ordered: bool) -> None:
    results = mixed.map(range(90), ordered=ordered, in_flight=60, return_exceptions=True)
    assert type(results).__name__ == "ResultsByGain"
    told = list(results)
    found = [one for one in told if not isinstance(one, Exception)]
    assert len(found) == 89
    assert isinstance(told[31], ValueError) or not ordered
    assert (found if ordered else sorted(found)) == [(i, gpu) for i, gpu in sorted(found)]
    assert {i for i, _ in found} == set(range(90)) - {31}
    on_gpu = {kind: sum(gpu for i, gpu in found if i % 3 == kind) for kind in range(3)}
    assert on_gpu[0] > 22, on_gpu  # those that gain 20
    assert on_gpu[0] > on_gpu[2], on_gpu
    assert sum(on_gpu.values()) < 86, on_gpu  # the CPUs had a part


def test_a_map_reads_no_more_than_it_may_hold(mixed_times: None) -> None:
    read: list[int] = []

    def items() -> Iterator[int]:
        for i in range(100):
            read.append(i)
            yield i

    with mixed.map(items(), in_flight=10) as results:
        assert [i for i, _ in (next(results) for _ in range(12))] == list(range(12))
        assert len(read) <= 22


@pytest.mark.soak
def test_a_config_that_goes_strands_no_task(tmp_path: Path) -> None:
    script = str(Path(__file__).with_name("vanishing.py"))
    env = {**os.environ, "RAY_USAGE_STATS_ENABLED": "0", "RAY_ENABLE_UV_RUN_RUNTIME_ENV": "0"}
    command = [sys.executable, script, str(tmp_path / "release")]
    done = subprocess.run(command, env=env, capture_output=True, text=True, timeout=600)
    assert done.stdout.splitlines()[-1:] == ["ran on C"], done.stdout + done.stderr[-3000:]


def test_a_decision_is_asked_for_softly(timed: None) -> None:
    placer, snapshot = worthy.handle._placer, caller().current()
    decision = replace(worthy.explain().decision, device="cpu", configs=("B",), config="B")
    options = placer.ray_options_for(decision, snapshot, None, LARGE)
    assert options["label_selector"] == {"config": "in(B)"}
    (other,) = options["fallback_strategy"]
    assert other["label_selector"]["config"] in {"in(A)", "in(C)", "in(D)"}
    every = replace(decision, configs=tuple("ABCD"))
    assert "label_selector" not in placer.ray_options_for(every, snapshot, None, LARGE)
    mine = worthy.options(label_selector={"placement.emulated": "true"})._placer
    asked = mine.ray_options_for(decision, snapshot, None, LARGE)["fallback_strategy"]
    assert asked[0]["label_selector"]["placement.emulated"] == "true"
    static = worthy.options(policy="selector")._placer.ray_options_for(decision, snapshot, None, LARGE)
    assert "label_selector" not in static  # a CPU task without a preference is Ray's to place
    preferring = replace(decision, configs=("D", "B", "C"), config="D", tiers=(("D",), ("B", "C")))
    asked = placer.ray_options_for(preferring, snapshot, None, LARGE)
    told = [asked["label_selector"], *(one["label_selector"] for one in asked["fallback_strategy"])]
    assert told[0] == {"config": "in(D)"}
    assert [set(one["config"][3:-1].split(",")) for one in told] == [{"D"}, {"B", "C"}, {"A"}]


@placed_remote(spec=lambda *_: LARGE, policy="balanced")
def reads(*data: Any) -> int:
    return len(data)


def test_local_data_is_preferred_where_moving_it_costs_more_than_it_gains(quiet: None) -> None:
    snapshot = caller().current()
    place = {node_id: kind.spec.config for kind in snapshot.inventory.kinds for node_id in kind.node_ids}
    here = place[own_node_id()]
    for config in "ABCD":
        seconds, key = 0.42 if config == here else 0.40, key_of(reads.handle.history_key(), LARGE)
        for _ in range(5):
            caller().history.observe(key, Place(config, "gpu", 1.0), seconds, None, 0.0)
            caller().history.observe(key, Place(config, "cpu", 1.0), 4.0, None, 0.0)
    large, small = ray.put(np.zeros(60_000_000, dtype=np.uint8)), ray.put(np.zeros(2_000_000, dtype=np.uint8))
    other = next(c for c in "ABCD" if c != here)
    pinned = replace(reads.explain().decision, device="gpu", config=other, configs=(other,))
    placer, context = reads.handle._placer, None
    moved = placer.prefer_local_data(
        pinned, LARGE, (large,), {}, caller().current(), context
    )  # 48 ms to move, 20 to gain
    assert (moved.configs, moved.reason.endswith("its data is there")) == ((here,), True)
    for args in ((small,), (), (3,)):
        assert placer.prefer_local_data(pinned, LARGE, args, {}, caller().current(), context) is pinned
    assert ray.get(reads.remote(large, small), timeout=300) == 2


@pytest.mark.soak
def test_drivers_at_once_do_not_herd_onto_one_node(emulated: str) -> None:
    """Three drivers, 20 tasks each, at the same moment: each of the four GPUs gets its share."""
    script = str(Path(__file__).with_name("one_of_several_drivers.py"))
    env = {**os.environ, "RAY_ADDRESS": emulated, "RAY_USAGE_STATS_ENABLED": "0"}
    command = [sys.executable, script, str(time.time() + 20), "20"]
    drivers = [subprocess.Popen(command, env=env, stdout=subprocess.PIPE, text=True) for _ in range(3)]
    told = [json.loads(driver.communicate(timeout=600)[0].splitlines()[-1]) for driver in drivers]
    on: Counter[str] = Counter()
    for one in told:
        on.update(one["ran"])
    assert sum(on.values()) == 60
    gpus = [on[f"{config} gpu"] for config in "ABCD"]
    assert max(gpus) <= 2.5 * max(1, min(gpus)), on
