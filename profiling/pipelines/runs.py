"""Runs, one after the other, on one cluster; on a new one after a run that failed or killed a node."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import asdict
from typing import Any

from profiling.pipelines.measure import START_S, RunFailed, RunFigures

QUIET_S = 20.0
"""Patience with the workers of the last run, which give their devices back."""

Advance = Callable[[str], None]
Found = dict[str, Any]


class Runs:
    """Runs on clusters that `cluster` starts; the first at the first run. advance: is called with each run's title."""

    def __init__(self, cluster: Callable[[], AbstractContextManager[None]], advance: Advance) -> None:
        self._start, self._advance = cluster, advance
        self._cluster = ExitStack()
        self._open = False

    def __enter__(self) -> Runs:
        return self

    def __exit__(self, *_: object) -> None:
        self._cluster.close()

    def one(self, title: str, run: Callable[[], RunFigures], *, breaks: bool = False) -> Found:
        """The figures of one run, or its error. breaks: the cluster is not fit for another run afterwards."""
        self._advance(title)
        if not self._open:
            self._cluster.enter_context(self._start())
            self._open = True
        try:
            found = asdict(run())
        except RunFailed as error:
            found = {"error": str(error)}
        if "error" in found or breaks:
            self._cluster.close()
            self._open = False
        else:
            _wait_for_quiet()
        return found


def _wait_for_quiet() -> None:
    """Returns once every device is free again, or after a while."""
    import ray

    deadline = time.monotonic() + QUIET_S
    while time.monotonic() < deadline:
        free, total = ray.available_resources(), ray.cluster_resources()
        if all(free.get(name, 0.0) == total[name] for name in ("CPU", "GPU")):
            return
        time.sleep(0.2)


@contextmanager
def emulated_nodes(configs: Sequence[str], cpus: int) -> Iterator[None]:
    """An emulated cluster with its placement actor. cpus: of each node."""
    import placement
    from profiling.emulation.emulated_cluster import EMULATOR, emulated_cluster

    system = {"prestart_worker_first_driver": False, "enable_worker_prestart": False}
    with emulated_cluster(configs, num_cpus_per_node=cpus, system_config=system):
        placement.start(emulator=EMULATOR, timeout_s=START_S)
        without_progress_bars()
        yield


def without_progress_bars() -> None:
    """Ray Data prints no bars of its own in this process."""
    import ray

    ray.data.DataContext.get_current().enable_progress_bars = False
