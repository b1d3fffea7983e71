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


def test_the_core_pulls_in_no_ray_and_nothing_heavy(loaded_by: LoadedBy) -> None:
    heavy = {"ray", "torch", "pandas", "pyarrow", "numpy", "xgboost", "pynvml"}
    assert not loaded_by(*PURE) & heavy


def test_the_contract_names_every_module_of_the_core() -> None:
    core = {"decision", "policies", "history", "selector", "features", "rule", "task", "node", "options", "errors"}
    assert {f"placement.{name}" for name in core} <= set(PURE)
    strict = (rule for rule in SETTINGS["mypy"]["overrides"] if rule.get("strict") or rule.get("disallow_untyped_defs"))
    held_strictly = {name for rule in strict for name in rule["module"]}
    assert set(PURE) <= held_strictly
