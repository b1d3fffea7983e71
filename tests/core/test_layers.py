from __future__ import annotations

import json
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SETTINGS = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]
PURE = next(c for c in SETTINGS["importlinter"]["contracts"] if c["name"] == "the core is pure")["source_modules"]


def loaded_by(statement: str) -> set[str]:
    """The top-level modules that a fresh interpreter holds after a statement."""
    code = f"{statement}\nimport json, sys\nprint(json.dumps(sorted(sys.modules)))"
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT)
    return {name.partition(".")[0] for name in json.loads(out.stdout)}


def test_import_placement_pulls_in_nothing_heavy() -> None:
    heavy = {"ray", "torch", "pandas", "pyarrow", "numpy", "xgboost", "transformers", "pynvml"}
    assert not loaded_by("import placement") & heavy


def modules_of(rooms: list[str]) -> list[str]:
    """Every module of these rooms, by its dotted name."""
    paths = [path for room in rooms for path in [*ROOT.glob(f"{room.replace('.', '/')}.py"), *room_files(room)]]
    return [".".join(path.relative_to(ROOT).with_suffix("").parts) for path in paths]


def room_files(room: str) -> list[Path]:
    return sorted((ROOT / room.replace(".", "/")).rglob("*.py"))


def test_the_core_pulls_in_no_ray_and_nothing_heavy() -> None:
    heavy = {"ray", "torch", "pandas", "pyarrow", "numpy", "xgboost", "pynvml"}
    modules = modules_of(PURE)
    assert len(modules) > 30
    assert not loaded_by("import " + ", ".join(modules)) & heavy


def test_mypy_holds_the_pure_rooms_strictly() -> None:
    strict = (rule for rule in SETTINGS["mypy"]["overrides"] if rule.get("disallow_untyped_defs"))
    held_strictly = {name.removesuffix(".*") for rule in strict for name in rule["module"]}
    assert set(PURE) <= held_strictly


def test_the_layers_hold() -> None:
    command = shutil.which("lint-imports", path=str(Path(sys.executable).parent)) or shutil.which("lint-imports")
    if command is None:
        pytest.skip("import-linter is not installed: make setup")
    result = subprocess.run([command, "--no-cache"], capture_output=True, text=True, cwd=ROOT, check=False)
    assert result.returncode == 0, result.stdout + result.stderr
