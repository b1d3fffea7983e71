"""What the tests of reports, demo and notebook share: a small log of made-up times, and one run of the demo."""

from __future__ import annotations

from pathlib import Path

import pytest
from made_up import made_up_rows, write_flops_selector

from placement.records import LogWriter


@pytest.fixture
def made_up_log(tmp_path: Path) -> Path:
    LogWriter(tmp_path / "log").append(made_up_rows())
    return tmp_path / "log"


@pytest.fixture
def selector_file(tmp_path: Path) -> Path:
    return write_flops_selector(tmp_path)
