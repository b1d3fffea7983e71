"""One Ray cluster for the whole session: the emulated A-D, so that tests of the Ray layer share its workers."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from hypothesis import settings

os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")

PROJECT = Path(__file__).resolve().parent.parent

# These machines are noisy: how fast anything is, the benchmark tells. (With CI set, hypothesis has no deadline either.)
settings.register_profile("default", settings.get_profile("default"), deadline=None)

# Ray cancels a running task by SIGINT. A shell that starts the tests in the background has it ignored, and the workers,
# which are started from here, would ignore it too.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)


SHARED = ("emulated", "demo_run")
"""Fixtures that take long to make, and are made once: with several test processes (`make test`) all files that use one
of them run in the same process. Any other file runs in one process, wherever there is room.
"""


@pytest.hookimpl(tryfirst=True)  # before pytest-xdist reads the marks
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Groups the tests for `--dist loadgroup`; small environments have no pytest-xdist."""
    if not config.pluginmanager.hasplugin("xdist"):
        return
    used: dict[Path, set[str]] = {}
    for item in items:
        used.setdefault(item.path, set()).update(getattr(item, "fixturenames", ()))
    for item in items:
        group = next((name for name in SHARED if name in used[item.path]), item.path.name)
        item.add_marker(pytest.mark.xdist_group(group))


@pytest.fixture(scope="session")
def data_folder() -> Path:
    """Measurements by others; tests that need them are skipped where they are not."""
    folder = Path(os.environ.get("PLACEMENT_DATA", PROJECT.parent / "shared" / "data"))
    if not (folder / "pairs.parquet").exists():
        pytest.skip(f"measurements by others are not at {folder}; set PLACEMENT_DATA")
    return folder


@pytest.fixture(scope="session")
def loaded_by() -> Callable[..., set[str]]:
    """What a fresh interpreter has loaded once it has imported the modules named, or called module:function."""
    program = Path(__file__).parent / "programs" / "loaded_modules.py"

    def loaded(*modules: str) -> set[str]:
        command = [sys.executable, str(program), *modules]
        out = subprocess.run(command, capture_output=True, text=True, check=True, cwd=PROJECT).stdout
        names = json.loads(out)
        return {*names, *(name.partition(".")[0] for name in names)}

    return loaded


@pytest.fixture(scope="session")
def log_uri(tmp_path_factory: pytest.TempPathFactory) -> str:
    """The log of the session's cluster."""
    return str(tmp_path_factory.mktemp("log"))


@pytest.fixture(scope="session")
def emulated(log_uri: str) -> Iterator[str]:
    """The emulated A-D cluster with its placement actor, connected; its address."""
    import placement
    from profiling.emulation.emulated_cluster import emulated_cluster

    with emulated_cluster(num_cpus_per_node=1) as address:
        placement.start(log=log_uri, timeout_s=600)
        yield address
