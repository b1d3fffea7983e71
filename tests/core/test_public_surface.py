"""The public names, and the maps that the packages' docstrings draw of their rooms."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

import placement

ROOT = Path(__file__).parents[2]
PACKAGES = sorted(path.parent for name in ("placement", "profiling") for path in (ROOT / name).rglob("__init__.py"))


def test_the_public_names_are_these() -> None:
    """A name that is added or taken away changes what users may rely on: docs/versions.md says how."""
    assert placement.__all__ == [
        "Decision", "Inventory", "JointThreshold", "NodeSpec", "PlacementError", "TaskSpec",
        "choose", "current_device", "explain", "flush", "inventory", "map_batches", "placed_remote", "profile",
        "read_log", "rollback", "start", "status", "swap", "describe",
    ]  # fmt: skip
    assert all(getattr(placement, name) is not None for name in placement.__all__)
    assert dir(placement) == sorted(placement.__all__)


@pytest.mark.parametrize("package", PACKAGES, ids=lambda path: str(path.relative_to(ROOT)))
def test_a_packages_docstring_names_every_module_of_it(package: Path) -> None:
    text = ast.get_docstring(ast.parse((package / "__init__.py").read_text())) or ""
    words = set(re.findall(r"\w+", text))
    modules = {path.stem for path in package.glob("*.py")} - {"__init__"}
    rooms = {path.parent.name for path in package.glob("*/__init__.py")}
    assert not (modules | rooms) - words
