"""Which selectors serve: a version names one content, and what is no longer needed leaves Ray's key-value store."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from placement.control_plane.selector_store import MOST_SELECTORS, SelectorStore, stored_selector
from placement.control_plane.settings_store import load_count, load_settings, save_count, save_settings
from placement.errors import ControlPlaneError, SelectorError
from placement.messages.control import Settings, Update
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


def stored(store: dict[str, bytes]) -> set[str]:
    return {key.removeprefix("selector:") for key in store}


def test_a_version_names_one_content() -> None:
    store: dict[str, bytes] = {}
    serving = SelectorStore(store)
    serving.serve(named("one"))
    serving.serve(named("one"))  # the same again is no change
    assert serving.versions == ("one",)
    before = dict(store)
    with pytest.raises(SelectorError, match=r"version 'one'.*of its own"):
        serving.serve(named("one", training={"rows": 3}))
    serving.serve(named("two"))
    with pytest.raises(SelectorError, match="version 'one'"):  # one that a rollback would bring back
        serving.serve(named("one", training={"rows": 3}))
    serving.rollback()
    assert serving.current.version == "one"
    with pytest.raises(SelectorError, match="version 'two'"):  # callers may not have heard of the rollback yet
        serving.serve(named("two", training={"rows": 3}))
    assert store == before


def test_what_neither_serves_nor_can_be_rolled_back_to_leaves_the_store() -> None:
    store: dict[str, bytes] = {}
    serving = SelectorStore(store)
    for i in range(MOST_SELECTORS + 3):
        serving.serve(named(str(i)))
        assert len(stored(store)) <= MOST_SELECTORS
    assert stored(store) == {str(i) for i in range(3, MOST_SELECTORS + 3)}
    serving.rollback()
    assert serving.current.version == str(MOST_SELECTORS + 1)
    assert str(MOST_SELECTORS + 2) not in stored(store)
    serving.serve(named("5"))  # it served before and can be rolled back to, too
    serving.rollback()
    assert serving.current.version == str(MOST_SELECTORS + 1)
    assert "5" in stored(store)
    while len(serving.versions) > 1:
        serving.rollback()
    with pytest.raises(SelectorError, match="no selector was in service before"):
        serving.rollback()
    assert stored(store) == {"3"}


def test_a_restarted_actor_serves_what_the_last_one_served() -> None:
    store: dict[str, bytes] = {}
    serving = SelectorStore(store)
    for version in "abc":
        serving.serve(named(version))
    settings = Settings(log="s3://b/log", policy="cpu_only", keep_days=3.0, seconds_per_joule=0.5)
    save_settings(store, settings, serving.to_list())
    restored = load_settings(store, Settings(emulator="m:f"))
    assert restored is not None
    assert restored[0] == settings
    again = SelectorStore(store)
    again.restore(restored[1])
    assert again.versions == ("a", "b", "c")
    assert again.to_list() == serving.to_list()
    assert stored_selector(store, "c").to_dict() == named("c").to_dict()
    with pytest.raises(ControlPlaneError, match="selector z"):
        stored_selector(store, "z")


def test_a_cluster_without_stored_settings_has_none() -> None:
    store: dict[str, bytes] = {}
    assert load_settings(store, Settings()) is None
    assert load_count(store, "epoch") == 0
    save_count(store, "epoch", 7)
    assert load_count(store, "epoch") == 7


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
