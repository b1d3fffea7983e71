"""The file of typed uses means to mypy --strict and to pyright what it says."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

USES = Path(__file__).with_name("uses.py")
PROJECT = USES.parents[2]


def wrong_lines() -> set[int]:
    return {n for n, line in enumerate(USES.read_text().splitlines(), 1) if "  # wrong" in line}


def run(command: list[str]) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command, cwd=PROJECT, capture_output=True, text=True, timeout=600, check=False)


def test_mypy_accepts_the_right_and_rejects_the_wrong() -> None:
    pytest.importorskip("mypy")
    # Strict, as a user would; the settings leave out large libraries that have no part in it.
    settings = ["--config-file", str(USES.with_name("mypy.ini"))]
    done = run([sys.executable, "-m", "mypy", *settings, "--no-error-summary", "--no-pretty", str(USES)])
    errors = [line for line in done.stdout.splitlines() if ": error:" in line]
    found = {int(line.split(":")[1]) for line in errors if line.split(":")[0].endswith("uses.py")}
    assert found == wrong_lines(), done.stdout + done.stderr


def test_pyright_accepts_the_right_and_rejects_the_wrong() -> None:
    pyright = shutil.which("pyright", path=f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', '')}")
    if pyright is None:
        pytest.skip("pyright is not installed: pip install pyright")
    done = run([pyright, "--outputjson", "--pythonpath", sys.executable, str(USES)])
    try:
        report = json.loads(done.stdout)
    except ValueError:
        pytest.skip(f"pyright does not run here: {done.stderr[-300:]}")
    errors = [d for d in report["generalDiagnostics"] if d["severity"] == "error"]
    assert {d["range"]["start"]["line"] + 1 for d in errors} == wrong_lines(), errors
