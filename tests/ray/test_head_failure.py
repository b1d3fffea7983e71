"""The head's GCS killed, where Ray keeps its tables outside of it: tasks go on, and so does the control plane."""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from conditions import listens, wait_until

TASKS = 300


@contextmanager
def redis(folder: Path) -> Iterator[dict[str, str]]:
    """A Redis of its own on a free port of this machine; skipped where there is none."""
    server = shutil.which("redis-server")
    if server is None:
        pytest.skip("redis-server is not installed (apt-get install redis-server)")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = str(free.getsockname()[1])
    words = ("--bind", "127.0.0.1", "--port", port, "--save", "", "--appendonly", "no", "--dir", str(folder))
    with subprocess.Popen([server, *words], stdout=subprocess.DEVNULL) as process:
        try:
            wait_until(lambda: listens(int(port)), "redis-server does not listen")
            yield {"RAY_REDIS_ADDRESS": f"127.0.0.1:{port}"}
        finally:
            process.terminate()


@contextmanager
def rocksdb(folder: Path) -> Iterator[dict[str, str]]:
    """A folder; it comes with Ray."""
    (folder / "gcs").mkdir()
    yield {"RAY_gcs_storage": "rocksdb", "RAY_gcs_storage_path": str(folder / "gcs")}


@pytest.mark.soak
@pytest.mark.parametrize("store", [redis, rocksdb])
def test_the_head_is_killed_and_comes_back(store: Any, tmp_path: Path) -> None:
    env = {**os.environ, "RAY_USAGE_STATS_ENABLED": "0", "RAY_ENABLE_UV_RUN_RUNTIME_ENV": "0", "OMP_NUM_THREADS": "1"}
    script = str(Path(__file__).with_name("head_failure.py"))
    with store(tmp_path) as where:
        done = subprocess.run(
            [sys.executable, script, str(tmp_path)], env=env | where, capture_output=True, text=True, timeout=600
        )
    assert done.returncode == 0, done.stderr[-3000:]
    told = json.loads(next(line for line in reversed(done.stdout.splitlines()) if line.startswith("{")))
    print(told)
    assert told["before"]
    assert told["while_dead"]
    assert told["after"]
    assert told["last"]
    assert told["log_kept"]
    assert told["selector"] == told["selector_after_the_actor_too"] == "kept"
    assert told["nodes"] == {"here": 1, "there": 1}
    assert told["most_rows_of_a_task"] == 1
    assert told["rows"] == TASKS
