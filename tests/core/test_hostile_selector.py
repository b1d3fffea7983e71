"""The shipped selector file, changed where its structure is: it is refused by SelectorError, or it answers.

Random bytes and the net's file are in test_selector.py. Here every change knows the format: another type at a path, a
number that no fit gives, a list cut or doubled, nesting, a name that is not known.
"""

from __future__ import annotations

import copy
import functools
import json
import math
import random
from importlib import resources
from typing import Any

import numpy as np
import pytest
from test_gaussian_process import world

from placement.errors import SelectorError
from placement.prediction.runtime_history import History
from placement.prediction.selector import Selector
from placement.prediction.selector_file import parse_selector, selector_of
from placement.prediction.speedup_selector import SpeedupSelector
from placement.scheduling.decision import decide
from placement.scheduling.explanation import explain
from placement.scheduling.feasibility import Limits
from placement.scheduling.policies.registry import policy_of
from placement.scheduling.snapshot import Snapshot
from placement.spec.node import Inventory, NodeKind, paper_configs
from placement.spec.task import TaskSpec
from profiling.learning.fit_gaussian_process import fit_ratio

TEXT = resources.files("placement").joinpath("data/selector.json").read_text()
NODES = tuple(paper_configs()[name] for name in "ABCD")
INVENTORY = Inventory(tuple(NodeKind(node, (f"{node.config}-0",)) for node in NODES))
TASKS = (
    TaskSpec(flops=1e12, input_bytes=1e7, batch_size=64, parameters=10_000_000, kernels=300, framework="torch"),
    TaskSpec(flops=1.0),
    TaskSpec(flops=1e300, batch_size=1, framework="xgboost", steps=10**6),
    TaskSpec(flops=5e-324, input_bytes=1e300, parameters=10**18, kernels=10**12, framework="never heard of"),
    TaskSpec(input_bytes=80.0),
)
NESTED = "nested"
"""Stands in the data where the text gets a value nested deeper than any reader recurses."""

NUMBERS: tuple[Any, ...] = (
    0, -1, 1, 2, 3, 0.5, -0.0, 1e6, 1e7, -1e6, 1e39, 1e154, 1e308, -1e308, 5e-324, 1e-300, 2**31, 2**32, 2**63,
    -(2**63), 10**30, 10**400, -(10**400),
)  # fmt: skip
OTHERS: tuple[Any, ...] = (
    None, True, False, "", "NaN", "nan", "Infinity", "-inf", "1", "1e400", "x" * 3000, "\ud800", "torch", NESTED,
    [], {}, [[]], [{}], [None], [[1.0, 2.0], [3.0]], {"a": 1}, {"mean": 0.0, "std": 0.0}, [0.0] * 10, ["torch"] * 3,
    [1, "1"], {"splits": [], "values": [0.0]}, {"splits": [[0, 0.0, 0, 1]], "values": [1e308, -1e308]},
)  # fmt: skip
NOT_JSON: tuple[Any, ...] = (math.nan, math.inf, -math.inf, object(), b"1", {1}, 1j, lambda: 1, range(3), (1, 2))
"""What a file cannot hold, and a selector given as a dict can."""


def place_in(data: Any, chance: random.Random) -> tuple[Any, Any]:
    """A container and a key in it; each level is as likely as the next, or the 150 trees would take it all."""
    node = data
    while True:
        keys = list(node) if isinstance(node, dict) else list(range(len(node)))
        key = chance.choice(keys)
        inner = node[key]
        if not (isinstance(inner, dict | list) and inner) or chance.random() < 0.3:
            return node, key
        node = inner


def change(data: Any, chance: random.Random, junk: tuple[Any, ...]) -> None:
    """One change at one place."""
    node, key = place_in(data, chance)
    value, action = node[key], chance.randrange(8)
    if action == 0:
        del node[key]
    elif action == 1 and isinstance(value, list) and value:
        node[key] = chance.choice(
            [value[:-1], value + value, value[::-1], [*value, value[0]], [value], value[:1] * 2001]
        )
    elif action == 2 and isinstance(value, int | float) and not isinstance(value, bool):
        node[key] = chance.choice([-value, value * 10**300, value + 1, str(value)[:1000], [value]])
    elif action == 3 and isinstance(node, dict):
        node[chance.choice(["more", key.upper(), ""])] = node.pop(key)
    elif action == 4 and isinstance(node, list):
        chance.shuffle(node)
    elif action == 5:
        node[key] = chance.choice(NUMBERS)
    else:
        node[key] = copy.deepcopy(chance.choice(junk))


def answers(selector: Selector) -> None:
    """Whatever was loaded answers for every node and task, alone and prepared, and can be served and read again."""
    for cpus in (1.0, 0.5, 16.0):
        prepared = selector.prepare(NODES, cpus)  # type: ignore[attr-defined]
        for task in TASKS:
            together = prepared(task)
            for i, node in enumerate(NODES):
                for estimate in (selector.estimate(task, node, cpus), together[i]):
                    assert estimate is None or 0.0 <= estimate.p_gpu <= 1.0
    for policy in ("selector", "balanced", "min_time", "min_energy"):
        now = Snapshot(1, INVENTORY, selector, policy_of(policy), selector.thresholds, History())
        for task in TASKS:
            assert decide(task, "f", Limits(), now).device in ("cpu", "gpu")
    assert str(explain(TASKS[0], "f", Limits(), now))
    assert parse_selector(json.dumps(selector.to_dict())).version == selector.version


def as_text(data: Any) -> str:
    return json.dumps(data).replace(f'"{NESTED}"', "[" * 100_000 + "]" * 100_000)


def shipped() -> Any:
    """Trees alone; fewer of them, so that a change is quick."""
    whole = json.loads(TEXT)
    trees, ends = whole["trees"], whole["trees"]["ends"]
    trees["trees"] = [tree for end in ends for tree in trees["trees"][end - 4 : end]]
    trees["ends"] = [4 * number for number in range(1, len(ends) + 1)]
    return whole


@functools.cache
def with_curves() -> str:
    """The other halves of the format: curves, beside trees."""
    curves = fit_ratio(world(sizes=np.geomspace(1e6, 1e10, 6), energy=True))
    trees = selector_of(shipped()).trees  # type: ignore[attr-defined]
    return json.dumps(SpeedupSelector("both", curves, trees=trees, share=0.5).to_dict())


def fuzz(whole: Any, number: int, seed: int) -> dict[str, int]:
    chance, outcomes, longest = random.Random(seed), {"refused": 0, "read": 0}, 0
    answers(selector_of(whole))
    for _ in range(number):
        data = copy.deepcopy(whole)
        in_file = chance.random() < 0.7
        for _ in range(chance.randrange(1, 4)):
            if data:
                change(data, chance, OTHERS if in_file else OTHERS + NOT_JSON)
        try:
            selector = parse_selector(as_text(data)) if in_file else selector_of(data)
        except SelectorError as error:
            outcomes["refused"] += 1
            longest = max(longest, len(str(error)))
            continue
        answers(selector)
        outcomes["read"] += 1
    assert longest < 1_000  # however much a file holds
    return outcomes


@pytest.mark.filterwarnings("error")  # an overflow is a fault too
def test_four_hundred_changes_of_the_shipped_selector_and_of_curves() -> None:
    for whole in (shipped(), json.loads(with_curves())):
        outcomes = fuzz(whole, 200, seed=1)
        assert min(outcomes.values()) > 8, outcomes  # both ends are reached, or the changes test nothing


@pytest.mark.slow
@pytest.mark.soak
@pytest.mark.filterwarnings("error")
def test_ten_thousand_changes_of_the_shipped_selector_and_of_curves() -> None:
    for whole in (shipped(), json.loads(with_curves())):
        outcomes = fuzz(whole, 10_000, seed=2)
        assert min(outcomes.values()) > 500, outcomes


def test_the_whole_shipped_file_answers() -> None:
    answers(parse_selector(TEXT))


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("value", [1e308, -1e308, 1e7, math.nan])
@pytest.mark.parametrize("where", ["values", "splits", "bases"])
def test_sums_that_no_float_can_hold_are_refused_on_load(value: float, where: str) -> None:
    data = json.loads(TEXT)
    if where == "bases":
        data["trees"]["bases"] = [value] * len(data["trees"]["bases"])
    for tree in data["trees"]["trees"]:
        if where == "values":
            tree["values"] = [value] * len(tree["values"])
        elif where == "splits":
            tree["splits"] = [[which, value, first, end] for which, _, first, end in tree["splits"]]
    with pytest.raises(SelectorError, match="not finite or beyond"):
        selector_of(data)


def test_a_selector_given_as_a_dict_that_no_file_could_hold_is_refused() -> None:
    for name in ("training", "metrics"):
        for value in (math.nan, object(), {1, 2}):
            with pytest.raises(SelectorError, match=f"{name} cannot be written as JSON"):
                selector_of({**json.loads(TEXT), name: {"rows": value}})
    with pytest.raises(SelectorError, match="cannot be written as JSON"):
        selector_of({**json.loads(TEXT), "version": None, "notes": object()})
