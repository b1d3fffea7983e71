"""The threads of the numerical libraries during a placed task: as many as the CPUs granted, afterwards as before.

Ray sets OMP_NUM_THREADS to these where it is not set, and takes it away after the task. Libraries that an earlier task
has loaded do not read it again, and Ray's cluster launcher sets it to 1 on every node, which says nothing of a task.
"""

from __future__ import annotations

import os
from functools import cache
from pathlib import Path

from placement.worker import device
from placement.worker.numeric_libraries import set_torch_threads, set_xgboost_threads, torch_threads

NAME = "OMP_NUM_THREADS"
OMP = NAME.encode()
LAUNCHERS = (b"OMP_NUM_THREADS=1", b"PYTHONWARNINGS=ignore")
"""The settings that Ray's cluster launcher exports, together, to each command that it runs, `ray start` among them."""


class ThreadLimits:
    """Gives the numerical libraries as many threads as a task was granted CPUs, until `restore`.

    A number that is the user's own holds, and nothing is changed: one of the runtime_env, and any in the node's
    environment but the launcher's 1.
    """

    __slots__ = ("_found", "_holds", "_threads", "_torch", "_xgboost")

    def __init__(self, cpus: float) -> None:
        self._threads = max(1, int(cpus))
        self._found, wanted = device.variable(OMP), b"%d" % self._threads
        self._holds = self._found in (None, wanted) or (self._found == b"1" and _set_by_launcher())
        if not self._holds:
            return
        if self._found != wanted:
            os.environ[NAME] = str(self._threads)
        self._torch = set_torch_threads(self._threads)
        self._xgboost = set_xgboost_threads(self._threads)

    def restore(self) -> None:
        """Takes back what was set here, where the task has not set another number itself."""
        if not self._holds:
            return
        wanted = b"%d" % self._threads
        if self._found != wanted and device.variable(OMP) == wanted:
            if self._found is None:
                del os.environ[NAME]
            else:
                os.environ[NAME] = os.fsdecode(self._found)
        before = self._torch
        if before is None and self._found is not None:
            before = int(self._found)  # torch was loaded by the task, and has read the variable
        if before is not None and before != self._threads and torch_threads() == self._threads:
            set_torch_threads(before)
        if self._xgboost is not None:
            # Its default of 0 cannot be set again once another number was: it then stands for that number.
            set_xgboost_threads(self._xgboost or (int(self._found) if self._found else os.cpu_count() or 1))


@cache
def _set_by_launcher() -> bool:
    """The OMP_NUM_THREADS of 1 is in the environment that Ray's cluster launcher gave this worker's raylet."""
    if NAME in device.users_variables():
        return False
    try:
        raylets = Path(f"/proc/{os.getppid()}/environ").read_bytes().split(b"\0")
    except OSError:
        return False
    return all(setting in raylets for setting in LAUNCHERS)
