"""The tasks that share a GPU: each has a file in its node's folder while it runs, in which the others note themselves.

The file's name is the process. Its first line is how busy the task is expected to keep the GPU; each task that comes
while it runs, or goes, appends a line "time process use", with a use of 0 as it goes. So a task knows at its end who
was there, however briefly. Files of processes that have died are removed by whoever finds them. It costs a few file
operations a task, and tasks with a whole GPU none.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path
from time import time

from placement.control_plane.ray_context import own_folder

FOLDER = "shared_gpus"


class SharedGpu:
    """A task's share of a GPU while it runs.

    neighbours: the most other tasks that were there at once.  utilisation: how busy they together are expected to have
    kept the GPU, the mean over the run; above 1 where they ask for more time than it has. Both as of the last `look`.
    """

    def __init__(self, gpu: str, busy: float, folder: Path | None = None) -> None:
        self.neighbours = 0
        self.utilisation = 0.0
        self._process = str(os.getpid())
        self._folder = (own_folder() / FOLDER if folder is None else folder) / (gpu.replace("/", "-") or "none")
        with contextlib.suppress(OSError):  # a full disk: the task then goes uncounted
            self._folder.mkdir(parents=True, exist_ok=True)
            (self._folder / self._process).write_text(f"{busy:.4f}\n")
        self._began = time()
        self._first = {other.name: use for other in self._others() if (use := _use_of(other)) is not None}
        self._note(busy)
        self.look()

    def look(self) -> None:
        """Works out who was there until now."""
        now = time()
        uses, since, area, most = dict(self._first), self._began, 0.0, len(self._first)
        for at, process, use in sorted(self._events()):
            area += sum(uses.values()) * max(0.0, at - since)
            since = max(at, since)
            if use:
                uses[process] = use
            else:
                uses.pop(process, None)
            most = max(most, len(uses))
        area += sum(uses.values()) * max(0.0, now - since)
        self.neighbours = most
        self.utilisation = area / (now - self._began) if now > self._began else sum(self._first.values())

    def leave(self) -> None:
        """Looks once more; from now on the others do not count this task."""
        self.look()
        self._note(0.0)
        with contextlib.suppress(OSError):
            (self._folder / self._process).unlink(missing_ok=True)

    def _others(self) -> Iterator[Path]:
        """The files of the other tasks that run."""
        with contextlib.suppress(OSError):
            for file in self._folder.iterdir():
                if file.name != self._process and Path("/proc", file.name).exists():
                    yield file
                elif file.name != self._process:
                    file.unlink(missing_ok=True)

    def _note(self, use: float) -> None:
        line = f"{time():.6f} {self._process} {use:.4f}\n".encode()
        for other in self._others():
            with contextlib.suppress(OSError):  # it has just ended
                file = os.open(other, os.O_WRONLY | os.O_APPEND)
                try:
                    os.write(file, line)
                finally:
                    os.close(file)

    def _events(self) -> Iterator[tuple[float, str, float]]:
        with contextlib.suppress(OSError):
            for line in (self._folder / self._process).read_text().splitlines()[1:]:
                with contextlib.suppress(ValueError):
                    at, process, use = line.split()
                    yield float(at), process, float(use)


def _use_of(file: Path) -> float | None:
    """How busy the task of a file keeps the GPU; None where it has just ended, or just begins."""
    try:
        return float(file.read_text().partition("\n")[0])
    except (OSError, ValueError):
        return None
