"""What the tests of reports, demo and notebook share: a small log of made-up times, and one run of the demo."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from made_up import made_up_rows, write_flops_selector

from placement.log import LogWriter, read_log

DEMO_TIMEOUT_S = 900  # the demo's own limit is 300 s; a test tells it from one that hangs


@pytest.fixture
def made_up_log(tmp_path: Path) -> Path:
    LogWriter(tmp_path / "log").append(made_up_rows())
    return tmp_path / "log"


@pytest.fixture
def selector_file(tmp_path: Path) -> Path:
    return write_flops_selector(tmp_path)


@dataclass(frozen=True)
class DemoRun:
    """One run of `placement demo`: where it wrote, what it printed, what it found."""

    out: Path
    stdout: str
    summary: dict[str, Any]
    table: pa.Table

    @property
    def production(self) -> list[dict[str, Any]]:
        """The stream's rows of the log."""
        return [row for row in self.table.to_pylist() if row["source"] == "production"]


@pytest.fixture(scope="session")
def demo_run(tmp_path_factory: pytest.TempPathFactory) -> DemoRun:
    """The demo, run once for the whole session by its command, in a process and a cluster of its own."""
    out = tmp_path_factory.mktemp("demo") / "out"
    command = [str(Path(sys.executable).parent / "placement"), "demo", "-o", str(out)]
    environment = {name: value for name, value in os.environ.items() if name != "RAY_ADDRESS"} | {"COLUMNS": "160"}
    done = subprocess.run(command, capture_output=True, text=True, timeout=DEMO_TIMEOUT_S, env=environment, check=False)
    assert done.returncode == 0, f"{done.stdout[-3000:]}\n{done.stderr[-3000:]}"
    return DemoRun(out, done.stdout, json.loads((out / "summary.json").read_text()), read_log(out / "log"))
