"""The three ways of submitting tasks and actors: what each places, on the session's cluster.

Each runs in a program of its own, because a process finds out its way once.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from programs.output import results

PROGRAM = Path(__file__).parent / "programs" / "one_way.py"


def outcome(address: str, way: str, **more: str) -> dict[str, Any]:
    """What the program saw under that way; "fast": nothing is forced.  more: variables of its environment."""
    environment = {name: value for name, value in os.environ.items() if name != "PLACEMENT_RAY_API"}
    if way != "fast":
        environment["PLACEMENT_RAY_API"] = way
    environment |= more
    command = [sys.executable, str(PROGRAM), address]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=600, check=False)
    assert done.returncode == 0, done.stderr[-3000:]
    found: dict[str, Any] = json.loads(results(done.stdout)[-1])
    return found


@pytest.mark.parametrize("way", ["fast", "public"])
def test_tasks_and_actors_are_placed(emulated: str, way: str) -> None:
    seen = outcome(emulated, way)
    assert seen["ways"] == [way, way]
    assert seen["pinned"] == {"cpu": ["", 0], "gpu": ["", 1]}  # an emulated GPU is hidden from the code, and held
    assert seen["explained"] == ["gpu", "cpu"]
    assert seen["policy"] == "gpu"
    assert seen["mapped"] == [0, 1, 4, 9]
    assert seen["streamed"] == [0, 1, 2]
    assert seen["actor"] == {"cpu": 0, "gpu": 1}
    assert seen["travelled"] == 1
    assert seen["by_self"] == {"self": 1}
    assert seen["records"] > 0
    assert seen["chosen"] == [1.0, 1.0]


def test_where_nothing_is_placed_a_pinned_device_holds(emulated: str) -> None:
    seen = outcome(emulated, "plain")
    assert seen["ways"] == ["plain", "plain"]
    assert {device: gpus for device, (_, gpus) in seen["pinned"].items()} == {"cpu": 0, "gpu": 1}
    assert seen["explained"] == "OptionError"
    assert seen["policy"] == "cpu"
    assert seen["mapped"] == [0, 1, 4, 9]
    assert seen["streamed"] == [0, 1, 2]
    assert seen["actor"] == {"cpu": 0, "gpu": 1}
    assert seen["travelled"] == 1
    assert seen["by_self"] == {"self": 1}
    assert seen["records"] == 0
    assert seen["chosen"] == [1.0, 1.0]


def test_by_the_public_api_alone() -> None:
    """No process of a cluster can import a private name of Ray's, but its key-value store."""
    path = os.pathsep.join([str(PROGRAM.parent / "no_private_names"), str(PROGRAM.parents[3])])
    seen = outcome("local", "fast", PYTHONPATH=path)
    assert seen["ways"] == ["public", "public"]
    assert {device: gpus for device, (_, gpus) in seen["pinned"].items()} == {"cpu": 0, "gpu": 1}
    assert seen["explained"] == ["gpu", "cpu"]
    assert seen["policy"] == "gpu"
    assert seen["mapped"] == [0, 1, 4, 9]
    assert seen["streamed"] == [0, 1, 2]
    assert seen["actor"] == {"cpu": 0, "gpu": 1}
    assert seen["travelled"] == 1
    assert seen["by_self"] == {"self": 1}
    assert seen["records"] > 0
    assert seen["connection"] == "PublicConnection"
