"""One Ray cluster for the whole session: the emulated A-D, so that tests of the Ray layer share its workers."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from hypothesis import settings

os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
# Ray's workers run at nice 15: beside other work on the machine they would get a thirtieth of what the tests get.
os.environ.setdefault("RAY_worker_niceness", "0")

PROJECT = Path(__file__).resolve().parent.parent

# These machines are noisy: how fast anything is, the benchmark tells. (With CI set, hypothesis has no deadline either.)
settings.register_profile("default", settings.get_profile("default"), deadline=None)

# Ray cancels a running task by SIGINT. A shell that starts the tests in the background has it ignored, and the workers,
# which are started from here, would ignore it too.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)


SHARED = re.compile(r"(?:usefixtures\(|\bdef \w+\()[^)]*\b(emulated|demo_run)\b")
"""The use of a fixture that takes long to make, and is made once."""


@pytest.hookimpl(optionalhook=True)  # small environments have no pytest-xdist
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    """The scheduler of several test processes (`make test`).

    All files that use the same of these fixtures run in the same process. Any other file runs in one process, wherever
    there is room. (pytest-xdist's own groups are marks that newer releases of pytest do not show it.)
    """
    from xdist.scheduler import LoadScopeScheduling

    class FileScheduling(LoadScopeScheduling):
        def _split_scope(self, nodeid: str) -> str:
            return process_of(nodeid.partition("::")[0])

    return FileScheduling(config, log)


@cache
def process_of(file: str) -> str:
    """The test process of a file, by the name of the fixture that it shares, or its own."""
    use = SHARED.search((PROJECT / file).read_text())
    return use.group(1) if use else file


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

    # An idle worker takes nearly a percent of a core, and the tests of a session leave some eighty behind.
    with emulated_cluster(
        num_cpus_per_node=1, system_config={"idle_worker_killing_time_threshold_ms": 60_000}
    ) as address:
        placement.start(log=log_uri, timeout_s=600)
        yield address
