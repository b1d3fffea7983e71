"""What the tests of the README and of the pages share: a page's scripts and commands, and how one is run."""

from __future__ import annotations

import os
import re
import subprocess
from pathlib import Path

PROJECT = Path(__file__).resolve().parents[2]
README = PROJECT / "README.md"
PAGES = tuple(sorted((PROJECT / "docs").rglob("*.md")))
TIMEOUT_S = 300


def scripts_of(page: Path) -> list[str]:
    """The Python blocks of a page, in order."""
    return re.findall(r"```python\n(.*?)```", page.read_text(), re.DOTALL)


def commands_in(page: Path) -> list[str]:
    """Every `placement ...` of a page: in code spans, and in blocks of code by indentation."""
    text = re.sub(r"```.*?```", "", page.read_text(), flags=re.DOTALL)
    spans = re.findall(r"`(placement [a-z][^`\n]*)`", text)
    lines = re.findall(r"^ {4,}(placement [a-z].*)$", text, re.MULTILINE)
    return [command.split("  #")[0].strip() for command in [*spans, *lines]]


def make_targets_in(page: Path) -> set[str]:
    """Every `make target` of a page, in code."""
    text = page.read_text()
    return set(re.findall(r"`(make [a-z-]+)`", text)) | set(re.findall(r"^ {4,}(make [a-z-]+)", text, re.MULTILINE))


def run(command: list[str], cwd: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    """A command that must end with 0."""
    env = {**os.environ, "RAY_USAGE_STATS_ENABLED": "0", **environment}
    done = subprocess.run(command, cwd=cwd, env=env, capture_output=True, text=True, timeout=TIMEOUT_S)
    assert done.returncode == 0, f"{command}: {done.stdout[-2000:]}\n{done.stderr[-3000:]}"
    return done
