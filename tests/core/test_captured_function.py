"""The key under which history keeps a function's runs."""

from __future__ import annotations

import sys
from collections.abc import Callable
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest
from ray import cloudpickle

from placement.submission import captured_function
from placement.submission.captured_function import CapturedFunction
from placement.worker.task_body import OrdinaryBody


def made(path: str, body: str) -> Callable[[], Any]:
    module: dict[str, Any] = {"__name__": "__main__"}
    exec(compile(f"def train():\n    return {body}", path, "exec"), module)
    function: Callable[[], Any] = module["train"]
    return function


def test_a_script_is_part_of_the_key_for_every_scripts_module_is_main() -> None:
    first, other, changed = (
        CapturedFunction(made(path, body)).history_key("__main__.train", "h" * 16)
        for path, body in (("/a/train.py", "1"), ("/b/train.py", "1"), ("/a/train.py", "2"))
    )
    assert first == changed != other
    assert first.startswith("__main__[")
    assert first.endswith(f"].train@{'h' * 16}")
    typed_in = CapturedFunction(made("<stdin>", "1")).history_key("__main__.train", "h" * 16)
    assert typed_in == f"__main__.train@{'h' * 16}"


def test_a_function_that_others_import_has_the_hash_of_its_code(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its pickle is its name alone, whatever its code is."""
    module = ModuleType("importable")
    monkeypatch.setitem(sys.modules, "importable", module)
    hashes = []
    for body in ("1", "2", "[x for x in 'a']", "[x for x in 'b']", "1"):
        exec(f"def train():\n    return {body}", module.__dict__)
        hashes.append(CapturedFunction(module.train).code_hash_now())
    assert len(set(hashes)) == 4
    assert hashes[0] == hashes[-1]


def test_a_function_that_calls_itself_by_its_placed_name_is_pickled(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its pickle holds the placed function, which is pickled by the function's pickle."""
    monkeypatch.setattr(captured_function, "connection", SimpleNamespace(current_cluster_and_job="a cluster"))

    def factorial(n: int) -> int:
        return 1 if n < 2 else n * body.function(n - 1)

    body = OrdinaryBody(factorial, "factorial", CapturedFunction(factorial))
    assert cloudpickle.loads(cloudpickle.dumps(body)).function(5) == 120
