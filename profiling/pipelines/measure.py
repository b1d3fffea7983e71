"""One run of an arm, as figures."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import Any

import numpy as np

from profiling.pipelines.arms import Setting, dataset


@dataclass(frozen=True)
class Measured:
    """The figures of a run. Seconds and joules are emulated; busy: share of each device's time in the model's stage.

    bound_ratio: makespan over the linear programme's bound.  recovery_seconds: the longest time in which nothing came.
    """

    makespan_seconds: float
    bound_ratio: float
    rows_per_s: float
    joules_per_row: float
    busy: dict[str, float]
    peak_store_bytes: int
    rows_lost: int
    rows_twice: int
    recovery_seconds: float


def run(
    arm: str, setting: Setting, bound_s: float,
    disturbance: Callable[[], AbstractContextManager[Any]] = nullcontext,
) -> Measured:  # fmt: skip
    """Runs an arm to its end. The clock starts with the first result: the start of processes is not emulated, and on
    two cores it takes longer than many a pipeline.
    """
    pipeline = dataset(arm, setting)
    ids: list[np.ndarray] = []
    busy: Counter[str] = Counter()
    joules, done = 0.0, []
    store = _StorePeak()
    with disturbance(), store:
        for batch in pipeline.iter_batches(batch_size=None, batch_format="numpy"):
            ids.append(np.array(batch["id"]))
            on_gpu = batch["gpu"] == 1
            busy["gpu"] += float(batch["busy_s"][on_gpu].sum())
            busy["cpu"] += float(batch["busy_s"][~on_gpu].sum())
            joules += float(batch["joules"].sum())
            done += [float(moment) for moment in np.unique(batch["done"])]
    done.sort()
    makespan = max(done[-1] - done[0], 1e-9) * setting.compression
    came = Counter(np.concatenate(ids).tolist()) if ids else Counter()
    gaps = np.diff(done)
    return Measured(
        makespan, makespan / bound_s, setting.rows / makespan, joules / setting.rows,
        {"cpu": busy["cpu"] / makespan / setting.slots, "gpu": busy["gpu"] / makespan / setting.gpus},
        store.bytes, setting.rows - len(came), sum(n - 1 for n in came.values()),
        float(gaps.max() if len(gaps) else 0.0) * setting.compression,
    )  # fmt: skip


class _StorePeak:
    """The most bytes in the object stores, by polls of what is left of them."""

    def __init__(self) -> None:
        self.bytes = 0

    def __enter__(self) -> _StorePeak:
        import threading

        self._ends = threading.Event()
        self._thread = threading.Thread(target=self._poll, daemon=True)
        self._thread.start()
        return self

    def _poll(self) -> None:
        import ray

        while not self._ends.wait(0.5):
            total = ray.cluster_resources().get("object_store_memory", 0.0)
            free = ray.available_resources().get("object_store_memory", 0.0)
            self.bytes = max(self.bytes, int(total - free))

    def __exit__(self, *_: object) -> None:
        self._ends.set()
        self._thread.join()
