"""The learner on a cluster: it starts, looks, survives its own death, and ends; the selector in service stays."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import ray

import placement
from placement.control_plane.client import call
from placement.control_plane.ray_context import NAMESPACE
from placement.errors import OptionError
from placement.log.events import read_events
from profiling.learning_loop.learner_actor import NAME, RayControl


@pytest.fixture
def learner(emulated: str) -> Iterator[Any]:
    placement.start(learn=True)
    yield ray.get_actor(NAME, namespace=NAMESPACE)
    placement.start(learn=False)


def wait_for(what: Callable[[], Any], timeout_s: float = 120.0) -> Any:
    deadline = time.monotonic() + timeout_s
    while not (found := what()):
        assert time.monotonic() < deadline, "it did not come"
        time.sleep(0.2)
    return found


def looked_since(moment: float) -> bool:
    age = call("view")["learning"]["seen_s"]
    return age is not None and time.monotonic() - age > moment


def test_it_looks_is_killed_and_looks_again_and_the_champion_stays(learner: Any, log_uri: str) -> None:
    before = placement.status()["selector"]
    wait_for(lambda: looked_since(0.0))
    learning = call("view")["learning"]
    assert (learning["on"], learning["champion"]) == (True, before)
    killed_at, pid = time.monotonic(), ray.get(learner.process_id.remote())
    os.kill(pid, signal.SIGKILL)
    wait_for(lambda: looked_since(killed_at + 1.0))
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
