"""Hostile labels and environment variables: an error of ours, or words that mean nothing to a shell; nothing else.

Hostile selector files and log files are in test_selector.py and test_records_fuzz.py, 10,000 of each under `soak`.
"""

from __future__ import annotations

import logging
import random
import re
import shlex
from typing import Any

import pytest
from ray._private.label_utils import LABEL_SELECTOR_REGEX, validate_label_value

from placement.control_plane.node_registry import NodeRegistry
from placement.errors import OptionError, PlacementError
from placement.prediction.selector_file import shipped_selector
from placement.scheduling.decision import decide
from placement.scheduling.explanation import explain
from placement.scheduling.feasibility import Limits
from placement.scheduling.policies.registry import policy_of
from placement.scheduling.snapshot import Snapshot
from placement.spec.autoscaler_types import checked
from placement.spec.node import CONFIG, EMULATED, Inventory, NodeKind, NodeSpec, paper_configs
from placement.spec.ray_start_args import ray_start_args
from placement.spec.task import TaskSpec
from placement.submission.ray_constraints import matches

SAFE_WORD = re.compile(r"--(labels|num-cpus|num-gpus)=[A-Za-z0-9._=,-]*")
PIECES = (
    "$(touch /tmp/x)", "`id`", ";", "&&", "|", ">", "'", '"', "\\", "\n", "\r", "\x00", "\x1b[31m", " ", "\t", "in(",
    ")", ",", "!", "=", "config=A", "placement.emulated=true", "..", "/", "%s", "{}", "{0.__class__}", "--address=x",
    "-", "_", "A", "D", "a" * 70, "ä", "日", "\ud800", "\u202e", "1e999", "-1", "0", "999999999999999999999", "nan",
    "True", "null",
)  # fmt: skip
TASK = TaskSpec(flops=1e9, input_bytes=1e6, batch_size=8, parameters=1_000_000)


def words(number: int, seed: int) -> list[str]:
    chance = random.Random(seed)
    return ["".join(chance.choices(PIECES, k=chance.randrange(1, 5))) for _ in range(number)]


def check_start_args(word: str, chance: random.Random) -> bool:
    """`placement node-args` of a hostile config; True where it took it."""
    try:
        made = ray_start_args(word, chance.choice([1, -1, 10**30, 0]), 0, emulated=chance.random() < 0.3)
    except OptionError:
        return False
    assert all(SAFE_WORD.fullmatch(one) for one in made), made
    assert shlex.split(" ".join(made)) == list(made)
    return True


def check_node_types(word: str) -> None:
    types = {word: {"resources": {"CPU": 1, "GPU": word}, "labels": {CONFIG: word, EMULATED: word}}}
    for one in (types, {word: word}, {"available_node_types": word}, {word: {"resources": {"CPU": 2}, "labels": word}}):
        try:
            found = checked(one)
        except OptionError:
            continue
        assert all(isinstance(entry["cpus"], int) for entry in found.values())


def check_label_of_a_node(word: str) -> None:
    """The actor meets an emulated node of this config: it is known, or it is left out."""
    registry = NodeRegistry(None, lambda: None)  # type: ignore[arg-type]  # no agent is started for it
    labels = {EMULATED: "true", CONFIG: word}
    registry.update([{"NodeID": "f" * 56, "Alive": True, "Resources": {"CPU": 1.0}, "Labels": labels}])
    assert [kind.spec.config for kind in registry.inventory(None).kinds] == [word] * (word in paper_configs())


def check_decision(word: str) -> None:
    """A kind of that name is a kind like another; Ray would refuse its label, or reads it in a selector as it is."""
    node = NodeSpec(word, cpus=4, cpu_gflops=100.0)
    now = Snapshot(1, Inventory((NodeKind(node, ("n",)),)), shipped_selector(), policy_of("balanced"))
    decision = decide(TASK, "f", Limits(), now)
    assert decision.configs == (word,)
    assert word in str(explain(TASK, "f", Limits(), now)) or "\n" in word or not word.isprintable()
    try:
        validate_label_value(word)
    except ValueError:
        return
    assert LABEL_SELECTOR_REGEX.fullmatch(f"in({word})")
    assert not set(word) & set("(),!")


def check_user_selector(word: str) -> None:
    """A user's own label selector against a node's labels: it matches or it does not."""
    assert matches({CONFIG: "A", word: word}, {CONFIG: word}) in (True, False)
    assert matches({CONFIG: word}, {CONFIG: f"in({word})", word: f"!in({word}"}) in (True, False)


def fuzz(number: int, seed: int) -> int:
    chance, taken = random.Random(seed), 0
    logging.getLogger("placement").setLevel(logging.CRITICAL)
    for word in words(number, seed):
        taken += check_start_args(word, chance)
        check_node_types(word)
        check_label_of_a_node(word)
        check_decision(word)
        check_user_selector(word)
    logging.getLogger("placement").setLevel(logging.NOTSET)
    return taken


def test_a_hundred_hostile_labels() -> None:
    assert 0 < fuzz(100, seed=3) < 50


@pytest.mark.soak
def test_ten_thousand_hostile_labels() -> None:
    assert 0 < fuzz(10_000, seed=2) < 5_000


VARIABLES = ("PLACEMENT_CONFIG", "PLACEMENT_CPUS", "PLACEMENT_GPUS", "PLACEMENT_EMULATED")


def ask_node_args(monkeypatch: pytest.MonkeyPatch, number: int, seed: int) -> dict[str, int]:
    """`placement node-args` under hostile environments: safe words and 0, or none and an error."""
    from typer.testing import CliRunner

    from profiling.cli.app import main

    chance, outcomes = random.Random(seed), {"taken": 0, "refused": 0}
    usable = [word for word in words(4 * number, seed) if "\x00" not in word and word.isprintable()]
    for _ in range(number):
        for name in VARIABLES:
            if chance.random() < 0.25:
                monkeypatch.setenv(name, chance.choice([*usable, "2", "A", "true"]))
            else:
                monkeypatch.delenv(name, raising=False)
        result = CliRunner().invoke(main, ["node-args"])
        fault: Any = result.exception
        assert fault is None or isinstance(fault, SystemExit | PlacementError), fault
        if result.exit_code == 0:
            assert all(SAFE_WORD.fullmatch(one) for one in result.stdout.split()), result.stdout
        else:
            assert "--labels" not in result.stdout
        outcomes["refused" if result.exit_code else "taken"] += 1
    return outcomes


def test_hostile_environments_of_a_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    outcomes = ask_node_args(monkeypatch, 100, seed=3)
    assert min(outcomes.values()) > 5, outcomes


@pytest.mark.soak
def test_two_thousand_hostile_environments_of_a_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    outcomes = ask_node_args(monkeypatch, 2_000, seed=4)
    assert min(outcomes.values()) > 200, outcomes


def test_only_1_disables_placement(monkeypatch: pytest.MonkeyPatch) -> None:
    from placement import placed_remote

    for word in [word for word in words(100, seed=5) if "\x00" not in word and word.isprintable()]:
        monkeypatch.setenv("PLACEMENT_DISABLE", word)
        assert hasattr(placed_remote(spec=TASK)(len_of), "explain")
    monkeypatch.setenv("PLACEMENT_DISABLE", "1")
    assert not hasattr(placed_remote(spec=TASK)(len_of), "explain")


def len_of(x: str) -> int:
    return len(x)


def test_a_data_folder_that_is_none_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    from profiling.emulation.timm_traces import measured_rows

    for word in [word for word in words(20, seed=6) if "\x00" not in word and word.isprintable()]:
        monkeypatch.setenv("PLACEMENT_DATA", word)
        with pytest.raises((FileNotFoundError, NotADirectoryError, OSError)):
            measured_rows()
