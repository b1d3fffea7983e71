"""The learner on a cluster: it starts, looks, survives its own death, and ends; the selector in service stays."""

from __future__ import annotations

import os
import random
import signal
import time
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest
import ray
from conditions import wait_until

import placement
from placement.control_plane.client import call
from placement.control_plane.ray_context import NAMESPACE
from placement.errors import OptionError
from placement.log import LogWriter, TaskRecord, records_of
from placement.log.events import read_events
from placement.prediction.selector_file import shipped_selector
from profiling.learning_loop.learner import tried_champion
from profiling.learning_loop.learner_actor import NAME, RayControl


@pytest.fixture
def learner(emulated: str) -> Iterator[Any]:
    placement.start(learn=True)
    yield ray.get_actor(NAME, namespace=NAMESPACE)
    placement.start(learn=False)


def looked_since(moment: float) -> bool:
    age = call("view")["learning"]["seen_s"]
    return age is not None and time.monotonic() - age > moment


def test_it_looks_is_killed_and_looks_again_and_the_champion_stays(learner: Any, log_uri: str) -> None:
    before = placement.status()["selector"]
    wait_until(lambda: looked_since(0.0), "the learner does not look")
    learning = call("view")["learning"]
    assert (learning["on"], learning["champion"]) == (True, before)
    killed_at, pid = time.monotonic(), ray.get(learner.process_id.remote())
    os.kill(pid, signal.SIGKILL)
    wait_until(lambda: looked_since(killed_at + 1.0), "the learner does not look")
    assert ray.get(learner.process_id.remote()) != pid
    assert placement.status()["selector"] == before


def test_its_events_are_in_the_status_and_beside_the_log(learner: Any, log_uri: str) -> None:
    RayControl().record({"champion": "x"}, [{"kind": "verdict", "verdict": "no overlap", "version": "made-up"}], [])
    assert call("view")["learning"]["events"][0]["version"] == "made-up"
    assert [event["version"] for event in read_events(log_uri) if event["kind"] == "verdict"][-1] == "made-up"


def test_off_until_asked_for_and_gone_once_ended(emulated: str) -> None:
    assert not call("view")["learning"]["on"]
    with pytest.raises(ValueError, match="Failed to look up actor"):
        ray.get_actor(NAME, namespace=NAMESPACE)


def test_without_a_log_there_is_nothing_to_learn_from(emulated: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("placement.commands.call", lambda *_, **__: {"log": None})
    with pytest.raises(OptionError, match="needs a log"):
        placement.start(learn=True)


SLOWER = 6.0  # times that the GPUs of this work are, of what the selector in service expects
PART = 400


def rows_of_slow_gpus(parts: int) -> list[list[TaskRecord]]:
    """Parts of a production log whose tasks take either device by a fair coin; hardly one has run before."""
    from profiling.sweep.preset_grid import emulated_table, work_of_presets

    made = records_of(emulated_table([work for work in work_of_presets() if work.has_gpu][::10]))
    known = [row for row in made if row.cpus == 1.0 and not row.censored and row.compute_s]
    chance, found = random.Random(0), []
    for number in range(parts * PART):
        row, steps = chance.choice(known), 1 + number
        factor = steps * (SLOWER if row.device == "gpu" else 1.0) * chance.uniform(0.9, 1.1)
        found.append(
            replace(
                row, source="production", policy="selector", propensity=0.5, run_id="soak", time_utc=time.time(),
                steps=(row.steps or 1) * steps, compute_s=(row.compute_s or 0.0) * factor,
                transfer_s=(row.transfer_s or 0.0) * factor,
            )
        )  # fmt: skip
    return [found[at : at + PART] for at in range(0, len(found), PART)]


@pytest.fixture
def shipped_again(learner: Any) -> Iterator[Any]:
    yield learner
    placement.swap(shipped_selector())


@pytest.mark.soak  # fits by Ray Train
def test_it_refits_by_ray_train_is_killed_in_the_middle_and_swaps_by_a_verdict(
    shipped_again: Any, log_uri: str
) -> None:
    learner, before, control = shipped_again, placement.status()["selector"], RayControl()

    def kinds() -> list[str]:
        return [event["kind"] for event in call("view")["learning"]["events"]]

    wait_until(lambda: looked_since(0.0), "the learner does not look")
    writer, parts = LogWriter(log_uri), iter(rows_of_slow_gpus(12))
    for _ in range(3):
        writer.append(next(parts))
    wait_until(lambda: "challenger" in kinds(), "no such event", 600.0)
    assert "refit" in kinds()
    killed_at = time.monotonic()
    os.kill(ray.get(learner.process_id.remote()), signal.SIGKILL)
    wait_until(lambda: looked_since(killed_at + 1.0), "the learner does not look")
    assert tried_champion(control.selector(control.version())).version == before
    for part in parts:
        writer.append(part)
    wait_until(lambda: "swap" in kinds(), "no such event", 600.0)
    assert tried_champion(control.selector(control.version())).version != before
    logged = {event["kind"] for event in read_events(log_uri)}
    assert {"refit", "challenger", "verdict", "swap"} <= logged & set(kinds())
