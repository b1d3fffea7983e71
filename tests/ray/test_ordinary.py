"""What ordinary placed functions leave alone: each program has a process and a cluster of its own."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from programs.output import results

PROGRAMS = Path(__file__).with_name("programs")


def run(program: str) -> list[str]:
    """The results that a program of the folder `programs` prints, a line each."""
    # As on a user's machine: the session's emulated cluster sets this for its own nodes.
    environment = {name: value for name, value in os.environ.items() if name != "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO"}
    command = [sys.executable, str(PROGRAMS / program)]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=600, check=False)
    assert done.returncode == 0, done.stderr[-3000:]
    return results(done.stdout)


def test_ordinary_tasks_and_actors_start_no_control_plane_and_know_their_gpu() -> None:
    out = run("no_control_plane.py")
    assert out == ["[('cpu', 0), ('cuda:0', 1)]", "[('cpu', None), ('cuda:0', '0')]", "[]"]


def test_another_driver_uses_handles_and_actors_of_the_first() -> None:
    out = run("first_driver.py")
    assert out[-1] == "[2, 4, 6, 1]"


def test_a_second_cluster_in_one_script() -> None:
    out = run("second_cluster.py")
    assert out[-1] == "[1, 2] [3, 1, 2]"


def test_ray_client() -> None:
    pytest.importorskip("grpc")
    out = run("client_server.py")
    assert out == ["[2, 6, 3, 6]"] * 4


def test_the_name_swapped_in_ray_itself() -> None:
    out = run("swapped_name.py")
    once = ["[(2, '1'), (3, '2'), (3, '3')] 5 [1, 2]", "7", "AssertionError", "AssertionError", "AttributeError"]
    assert out == [*once, "[0, 2, 4]", *once]
