"""The threads of the numerical libraries during a placed task, and after it."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest

from placement.worker import device, thread_limits
from placement.worker.thread_limits import ThreadLimits


class Torch:
    def __init__(self, threads: int) -> None:
        self.threads = threads

    def get_num_threads(self) -> int:
        return self.threads

    def set_num_threads(self, threads: int) -> None:
        self.threads = threads


class XGBoost:
    """Its global configuration, which has had `nthread` since version 3."""

    def __init__(self, version: str) -> None:
        self.__version__ = version
        self.config = {"nthread": 0} if version >= "3" else {}

    def get_config(self) -> dict[str, int]:
        return dict(self.config)

    def set_config(self, **given: int) -> None:
        if set(given) - set(self.config):
            raise ValueError(f"Unknown global parameters: {given}")
        self.config |= {name: value or self.config[name] for name, value in given.items()}


@pytest.fixture(autouse=True)
def no_user(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(device, "users_variables", frozenset)
    for name in ("torch", "xgboost"):
        monkeypatch.delitem(sys.modules, name, raising=False)
    thread_limits._set_by_launcher.cache_clear()


@pytest.mark.parametrize(
    ("found", "launched", "cpus", "during"),
    [
        ("2", False, [2.0], ["2"]), ("1", False, [0.5], ["1"]), ("3", False, [3.7], ["3"]),
        (None, False, [2.0, 4.0, 1.0], ["2", "4", "1"]),
        ("1", True, [2.0, 1.0, 2.0], ["2", "1", "2"]),  # the cluster launcher's
        ("1", False, [2.0], ["1"]), ("3", False, [2.0, 3.0], ["3", "3"]), ("all", False, [1], ["all"]),
    ],
)  # fmt: skip
def test_the_libraries_get_the_cpus_granted_and_are_left_as_they_were_found(
    monkeypatch: pytest.MonkeyPatch, found: str | None, launched: bool, cpus: list[float], during: list[str]
) -> None:
    """found: OMP_NUM_THREADS as Ray or the node set it.  during: as each task then finds it."""
    torch, xgboost = Torch(17), XGBoost("3.0.0")
    monkeypatch.setitem(sys.modules, "torch", torch)
    monkeypatch.setitem(sys.modules, "xgboost", xgboost)
    monkeypatch.setattr(thread_limits, "_set_by_launcher", lambda: launched)
    if found is None:
        monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    else:
        monkeypatch.setenv("OMP_NUM_THREADS", found)
    for granted, expected in zip(cpus, during, strict=True):
        limits = ThreadLimits(granted)
        holds = expected == str(max(1, int(granted)))
        assert os.environ["OMP_NUM_THREADS"] == expected
        assert (torch.threads, xgboost.config["nthread"]) == ((int(expected),) * 2 if holds else (17, 0))
        limits.restore()
        assert os.environ.get("OMP_NUM_THREADS") == found
        default = int(found or os.cpu_count() or 1) if holds else 0
        assert (torch.threads, xgboost.config["nthread"]) == (17, default)


def test_what_the_task_itself_set_stays(monkeypatch: pytest.MonkeyPatch) -> None:
    torch = Torch(17)
    monkeypatch.setitem(sys.modules, "torch", torch)
    monkeypatch.setenv("OMP_NUM_THREADS", "1")  # so that the limits' own value does not outlive the test
    monkeypatch.delenv("OMP_NUM_THREADS")
    limits = ThreadLimits(2.0)
    torch.threads = 5
    monkeypatch.setenv("OMP_NUM_THREADS", "5")
    limits.restore()
    assert (torch.threads, os.environ["OMP_NUM_THREADS"]) == (5, "5")


def test_torch_that_the_task_has_loaded_is_left_with_the_nodes_own_threads(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    monkeypatch.setattr(thread_limits, "_set_by_launcher", lambda: True)
    limits = ThreadLimits(4.0)
    torch = Torch(int(os.environ["OMP_NUM_THREADS"]))
    monkeypatch.setitem(sys.modules, "torch", torch)
    assert torch.threads == 4
    limits.restore()
    assert torch.threads == 1


class Broken(ModuleType):
    """A module whose import failed half-way, or is made at first use and fails then."""

    def __getattr__(self, name: str) -> Any:
        raise OSError("libcudart.so.12: cannot open shared object file")


@pytest.mark.parametrize(
    "loaded",
    [XGBoost("2.1.4"), SimpleNamespace(), SimpleNamespace(__version__="unknown"), Broken("torch"), Torch],
)  # fmt: skip
def test_a_library_that_cannot_be_told_is_left_out(monkeypatch: pytest.MonkeyPatch, loaded: Any) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", "2")
    for name in ("torch", "xgboost"):
        monkeypatch.setitem(sys.modules, name, loaded)
    limits = ThreadLimits(2.0)
    limits.restore()
    assert os.environ["OMP_NUM_THREADS"] == "2"


@pytest.mark.parametrize(
    ("raylets", "runtime_env", "launched"),
    [
        (b"PATH=x\0OMP_NUM_THREADS=1\0PYTHONWARNINGS=ignore\0", (), True),
        (b"OMP_NUM_THREADS=1\0PYTHONWARNINGS=ignore\0", ("OMP_NUM_THREADS",), False),
        (b"OMP_NUM_THREADS=1\0PATH=x\0", (), False),  # a user's `export` before `ray start`
        (b"PYTHONWARNINGS=ignore\0PATH=x\0", (), False),
    ],
)
def test_the_launchers_1_is_told_apart_from_the_users(
    monkeypatch: pytest.MonkeyPatch, raylets: bytes, runtime_env: tuple[str, ...], launched: bool
) -> None:
    read: list[Path] = []
    monkeypatch.setattr(device, "users_variables", lambda: frozenset(runtime_env))
    monkeypatch.setattr(Path, "read_bytes", lambda path: read.append(path) or raylets)
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    limits = ThreadLimits(4.0)
    assert os.environ["OMP_NUM_THREADS"] == ("4" if launched else "1")
    limits.restore()
    assert all(path == Path(f"/proc/{os.getppid()}/environ") for path in read)
