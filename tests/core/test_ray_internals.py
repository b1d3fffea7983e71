"""Ray's private names are in placement/ray_internals alone and in its table; those that are missing decide the way."""

from __future__ import annotations

import ast
import logging
from collections.abc import Callable, Iterator
from functools import cache
from importlib import import_module
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import ray

from placement.ray_internals import names, way

ROOT = Path(__file__).parents[2]
INTERNALS = ROOT / "placement" / "ray_internals"
PRIVATE = (
    "ray._",
    "ray.core",
    "ray.dag.",
    "ray.remote_function",
    "ray.actor",
    "ray.experimental",
    "ray.util.tracing",
    "ray.autoscaler",
)
SOURCES = [
    path
    for package in ("placement", "profiling", "workloads")
    for path in sorted((ROOT / package).rglob("*.py"))
    if INTERNALS not in path.parents
]
MEASURED = ROOT / "placement" / "describe" / "arguments.py"
"""It measures an ObjectRef where Ray is loaded already, and brings no Ray in."""


def imported(path: Path) -> Iterator[str]:
    """module.name of all that a file imports at run time, and the dotted names that it reads."""
    tree = ast.parse(path.read_text())
    unseen = {
        id(inner)
        for node in ast.walk(tree)
        if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING"
        for inner in ast.walk(node)
    }
    for node in ast.walk(tree):
        if id(node) in unseen:
            continue
        if isinstance(node, ast.ImportFrom) and node.module:
            yield from (f"{node.module}.{alias.name}" for alias in node.names)
        elif isinstance(node, ast.Import):
            yield from (f"{alias.name}." for alias in node.names)
        elif isinstance(node, ast.Attribute):
            yield ast.unparse(node)


def is_private(name: str) -> bool:
    return name.startswith(PRIVATE) and not name.startswith("ray.__")


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: str(path.relative_to(ROOT)))
def test_nobody_else_imports_a_private_name_of_ray(path: Path) -> None:
    found = {name for name in imported(path) if is_private(name)}
    if path == MEASURED:
        found.discard("ray.experimental.get_local_object_locations")
    assert not found, f"{path.name} imports {found}: put them into placement/ray_internals, and its table"


def test_a_private_name_is_seen(tmp_path: Path) -> None:
    """The test above can fail."""
    path = tmp_path / "module.py"
    for line in ("from ray._private import worker", "import ray._raylet", "import ray\nray._private.worker.x", "x = 1"):
        path.write_text(line)
        assert any(map(is_private, imported(path))) == (line != "x = 1")


def test_the_table_has_every_name_that_is_imported() -> None:
    table = {f"{one.module}.{one.name}" for one in names.NAMES}
    known = {*table, *(name.rpartition(".")[0] for name in table)}
    for path in INTERNALS.glob("*.py"):
        missing = {
            name
            for node in ast.walk(ast.parse(path.read_text()))
            if isinstance(node, ast.ImportFrom) and node.module and node.module.split(".")[0] == "ray"
            for name in (f"{node.module}.{alias.name}" for alias in node.names)
            if name not in known and not any(one.startswith(f"{name}.") for one in table)
        }
        assert not missing, f"{path.name}: {missing}"


def test_this_ray_has_every_name_of_the_table() -> None:
    assert names.absent(names.NAMES) == []
    assert all(one.purpose and one.without and one.seen for one in names.NAMES)


class Told(NamedTuple):
    """The ways as they are found out anew, and what was said of it."""

    of_tasks: Callable[[], way.Way]
    of_actors: Callable[[], way.Way]
    log: pytest.LogCaptureFixture

    @property
    def records(self) -> list[logging.LogRecord]:
        return self.log.records


@pytest.fixture
def told(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> Iterator[Told]:
    """The way is found out anew, and its warnings are kept.

    The package's own functions keep the answer they have: its threads ask them while a test changes what is there,
    and would find, and keep for good, the answer of the test, or fill the test's before it begins.
    """
    way.of_tasks()
    way.of_actors()
    monkeypatch.delenv(way.FORCE, raising=False)
    with caplog.at_level(logging.WARNING, "placement"):
        yield Told(cache(way.of_tasks.__wrapped__), cache(way.of_actors.__wrapped__), caplog)


def test_a_tested_ray_goes_the_fast_way_and_says_nothing(told: Told) -> None:
    assert (told.of_tasks(), told.of_actors()) == ("fast", "fast")
    assert not told.records


def hide(monkeypatch: pytest.MonkeyPatch, one: names.PrivateName) -> None:
    parts = one.name.split(".")
    holder: Any = import_module(one.module)
    for part in parts[:-1]:
        holder = getattr(holder, part)
    monkeypatch.delattr(holder, parts[-1])


def gone(one: names.PrivateName) -> names.PrivateName:
    """The same name as a Ray would have it that has renamed it."""
    return one._replace(name=f"{one.name}_renamed")


@pytest.mark.parametrize("one", names.TASKS, ids=lambda one: one.name)
def test_a_task_goes_the_public_way_where_a_name_is_gone(
    one: names.PrivateName, monkeypatch: pytest.MonkeyPatch, told: Told
) -> None:
    monkeypatch.setattr(way, "TASKS", [*names.TASKS, gone(one)])
    assert (told.of_tasks(), told.of_tasks(), told.of_actors()) == ("public", "public", "fast")
    (record,) = told.records
    assert f"{one.module}.{one.name}_renamed" in record.getMessage()
    assert ray.__version__ in record.getMessage()


@pytest.mark.parametrize("one", names.ACTORS, ids=lambda one: one.name)
def test_an_actor_goes_the_public_way_where_a_name_is_gone(
    one: names.PrivateName, monkeypatch: pytest.MonkeyPatch, told: Told
) -> None:
    monkeypatch.setattr(way, "ACTORS", [*names.ACTORS, gone(one)])
    assert (told.of_tasks(), told.of_actors()) == ("fast", "public")
    (record,) = told.records
    assert f"{one.module}.{one.name}_renamed" in record.getMessage()


def test_an_attribute_that_is_gone_is_found(monkeypatch: pytest.MonkeyPatch, told: Told) -> None:
    monkeypatch.delattr("ray.remote_function.RemoteFunction.options")
    assert told.of_tasks() == "public"
    assert "RemoteFunction has no options" in told.log.text


@pytest.mark.parametrize(
    ("parameters", "said"),
    [
        (("urgency",), "unknown parameter 'urgency'"),
        ((), "no parameter 'labels'"),
    ],
)
def test_other_arguments_of_the_submission_are_found(
    parameters: tuple[str, ...], said: str, monkeypatch: pytest.MonkeyPatch, told: Told
) -> None:
    from placement.ray_internals import task_submission

    there = task_submission.parameters()
    wanted = (*there, *parameters) if parameters else tuple(name for name in there if name != "labels")
    monkeypatch.setattr(task_submission, "parameters", lambda: wanted)
    assert told.of_tasks() == "public"
    assert said in told.log.text


def test_without_the_control_store_nothing_is_placed(monkeypatch: pytest.MonkeyPatch, told: Told) -> None:
    hide(monkeypatch, names.CONTROL_STORE[0])
    monkeypatch.setattr(way, "of_tasks", told.of_tasks)
    assert (told.of_tasks(), told.of_actors(), way.places()) == ("plain", "plain", False)
    assert [("_internal_kv_get" in record.getMessage()) for record in told.records] == [True, True]


@pytest.mark.parametrize("forced", way.FORCED)
def test_a_way_can_be_forced(forced: str, monkeypatch: pytest.MonkeyPatch, told: Told) -> None:
    monkeypatch.setenv(way.FORCE, forced)
    assert (told.of_tasks(), told.of_actors()) == (forced, forced)
    assert not told.records


def test_a_forced_way_that_is_none_is_left_out_with_a_warning(monkeypatch: pytest.MonkeyPatch, told: Told) -> None:
    monkeypatch.setenv(way.FORCE, "quick")
    assert told.of_tasks() == "fast"
    assert "PLACEMENT_RAY_API='quick' is not known: public or plain" in told.log.text
