"""Which selectors serve: a version names one content, and what is no longer needed leaves Ray's key-value store."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import pytest

from placement.control_plane import placement_actor as module
from placement.control_plane.placement_actor import MOST_SELECTORS, PlacementActor
from placement.errors import ControlPlaneError, SelectorError
from placement.messages.control import Update
from placement.prediction.selector import Selector
from placement.prediction.selector_file import shipped_selector
from placement.prediction.speedup_selector import SpeedupSelector
from placement.scheduling.policies.registry import policy_of
from placement.spec.node import Inventory, paper_configs
from placement.spec.task import TaskSpec
from placement.submission import snapshot_client as caller_module
from placement.submission.snapshot_client import Caller

SHIPPED = shipped_selector()
assert isinstance(SHIPPED, SpeedupSelector)
TASK = TaskSpec(flops=1e12, input_bytes=1e7, batch_size=64, parameters=10_000_000, framework="torch")


def named(version: str, **changed: Any) -> Selector:
    assert isinstance(SHIPPED, SpeedupSelector)
    return replace(SHIPPED, version=version, **changed)


class Serving:
    """A PlacementActor's selectors, with a dict in place of Ray's key-value store."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.store: dict[bytes, bytes] = {}
        monkeypatch.setattr(module.control_store, "put", lambda key, value, **_: self.store.update({key: value}))
        monkeypatch.setattr(module.control_store, "delete", lambda key, **_: self.store.pop(key))
        self.actor = SimpleNamespace(selectors=[], contents={}, _persist=lambda: None, _changed=lambda: None)
        self.actor.ready = lambda: asyncio.sleep(0)
        self.actor._keep = lambda selectors: PlacementActor._keep(self.actor, selectors)  # type: ignore[arg-type]

    def serve(self, selector: Selector) -> None:
        PlacementActor._serve(self.actor, selector)  # type: ignore[arg-type]

    def rollback(self) -> str:
        return asyncio.run(PlacementActor.rollback(self.actor))  # type: ignore[arg-type]

    @property
    def stored(self) -> set[str]:
        return {key.decode().removeprefix("selector:") for key in self.store}


def test_a_version_names_one_content(monkeypatch: pytest.MonkeyPatch) -> None:
    serving = Serving(monkeypatch)
    serving.serve(named("one"))
    serving.serve(named("one"))  # the same again is no change
    assert len(serving.actor.selectors) == 1
    before = dict(serving.store)
    with pytest.raises(SelectorError, match=r"version 'one'.*of its own"):
        serving.serve(named("one", training={"rows": 3}))
    serving.serve(named("two"))
    with pytest.raises(SelectorError, match="version 'one'"):  # one that a rollback would bring back
        serving.serve(named("one", training={"rows": 3}))
    assert serving.rollback() == "one"
    with pytest.raises(SelectorError, match="version 'two'"):  # callers may not have heard of the rollback yet
        serving.serve(named("two", training={"rows": 3}))
    assert serving.store == before


def test_what_neither_serves_nor_can_be_rolled_back_to_leaves_the_store(monkeypatch: pytest.MonkeyPatch) -> None:
    serving = Serving(monkeypatch)
    for i in range(MOST_SELECTORS + 3):
        serving.serve(named(str(i)))
        assert len(serving.stored) <= MOST_SELECTORS
    assert serving.stored == {str(i) for i in range(3, MOST_SELECTORS + 3)}
    assert serving.rollback() == str(MOST_SELECTORS + 1)
    assert str(MOST_SELECTORS + 2) not in serving.stored
    serving.serve(named("5"))  # it served before and can be rolled back to, too
    assert serving.rollback() == str(MOST_SELECTORS + 1)
    assert "5" in serving.stored
    while len(serving.actor.selectors) > 1:
        serving.rollback()
    with pytest.raises(SelectorError, match="no selector was in service before"):
        serving.rollback()
    assert serving.stored == {"3"}


def test_a_caller_whose_selector_has_just_been_replaced_asks_again(monkeypatch: pytest.MonkeyPatch) -> None:
    there = {"new": named("new")}
    told = iter(["gone", "gone", "new", *["gone"] * 100])

    def served(version: str) -> Selector:
        if version not in there:
            raise ControlPlaneError(version)
        return there[version]

    def update(*_: Any, **__: Any) -> Update:
        return Update(1, Inventory(()), next(told), policy_of("selector"), {}, 0, 0.0)

    monkeypatch.setattr(caller_module.client, "served_selector", served)
    monkeypatch.setattr(caller_module.client, "call", update)
    monkeypatch.setattr(Caller, "_ask", lambda self: None)
    monkeypatch.setattr(caller_module.weakref, "ref", lambda node: lambda: node)
    caller = Caller("session")
    assert caller.current().selector.version == "new"
    with pytest.raises(ControlPlaneError):  # and not for ever
        caller.renew()


def test_a_copy_with_other_trees_or_thresholds_does_not_answer_from_the_first_ones_tables() -> None:
    assert isinstance(SHIPPED, SpeedupSelector)
    nodes = tuple(paper_configs().values())
    first = list(SHIPPED.prepare(nodes, 1.0)(TASK))
    stricter = replace(SHIPPED, thresholds=replace(SHIPPED.thresholds, speedup=1e5))
    assert [e.p_gpu for e in first if e] != [0.0] * 4
    assert max(e.p_gpu for e in stricter.prepare(nodes, 1.0)(TASK) if e) < 1e-3
    assert list(SHIPPED.prepare(nodes, 1.0)(TASK)) == first
    assert replace(SHIPPED, version="x") == replace(SHIPPED, version="x")
