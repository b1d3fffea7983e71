"""The core is pure, and the lists that hold it name it whole. Which module may import which, `make lint` holds."""

from __future__ import annotations

import tomllib
from collections.abc import Callable
from pathlib import Path

LoadedBy = Callable[..., set[str]]
ROOT = Path(__file__).parents[2]
SETTINGS = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]
PURE = next(c for c in SETTINGS["importlinter"]["contracts"] if c["name"] == "the core is pure")["source_modules"]


def test_import_placement_pulls_in_nothing_heavy(loaded_by: LoadedBy) -> None:
    heavy = {"ray", "torch", "pandas", "pyarrow", "numpy", "xgboost", "transformers", "pynvml"}
    assert not loaded_by("placement") & heavy


def modules_of(rooms: list[str]) -> list[str]:
    """Every module of these rooms, by its dotted name."""
    paths = [path for room in rooms for path in [*ROOT.glob(f"{room.replace('.', '/')}.py"), *room_files(room)]]
    return [".".join(path.relative_to(ROOT).with_suffix("").parts) for path in paths]


def room_files(room: str) -> list[Path]:
    return sorted((ROOT / room.replace(".", "/")).rglob("*.py"))


def test_the_core_pulls_in_no_ray_and_nothing_heavy(loaded_by: LoadedBy) -> None:
    heavy = {"ray", "torch", "pandas", "pyarrow", "numpy", "xgboost", "pynvml"}
    modules = modules_of(PURE)
    assert len(modules) > 30
    assert not loaded_by(*modules) & heavy


def test_a_worker_loads_neither_pyarrow_nor_pandas(loaded_by: LoadedBy) -> None:
    heavy = {"torch", "pandas", "pyarrow", "xgboost", "pynvml", "ray.data"}
    assert not loaded_by("placement.worker.outbox", "placement.stages.device_worker") & heavy


def test_mypy_holds_the_pure_rooms_strictly() -> None:
    strict = (rule for rule in SETTINGS["mypy"]["overrides"] if rule.get("disallow_untyped_defs"))
    held_strictly = {name.removesuffix(".*") for rule in strict for name in rule["module"]}
    assert set(PURE) <= held_strictly
