"""One run of an arm, as figures."""

from __future__ import annotations

import threading
from collections import Counter
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from placement.errors import PlacementError
from profiling.pipelines.arms import Setting, dataset
from profiling.pipelines.disturbances import Act

START_S, RUN_S = 300.0, 180.0
"""Patience with the start of the first workers, and with a run; a run that takes longer has failed."""


class RunFailed(PlacementError):
    """A run raised an error, or did not end in time."""


@dataclass(frozen=True)
class RunFigures:
    """The figures of a run. Seconds and joules are emulated; busy: share of each device's time in the model's stage.

    bound_ratio: makespan over the linear programme's bound.  recovery_seconds: the longest time in which nothing came.
    None: not known.
    """

    makespan_seconds: float
    bound_ratio: float | None
    rows_per_s: float
    joules_per_row: float | None
    busy: dict[str, float]
    peak_store_bytes: int
    rows_lost: int
    rows_twice: int
    recovery_seconds: float


@dataclass
class _Results:
    """The columns of the rows that came out."""

    ids: list[np.ndarray] = field(default_factory=list)
    done: list[float] = field(default_factory=list)
    busy: Counter[str] = field(default_factory=Counter)
    joules: float = 0.0
    error: BaseException | None = None

    def collect(self, pipeline: Any) -> None:
        """Runs the pipeline to its end."""
        try:
            for batch in pipeline.iter_batches(batch_size=None, batch_format="numpy"):
                self._add(batch)
        except BaseException as error:  # it is raised by whoever waits for this thread
            self.error = error

    def _add(self, batch: dict[str, np.ndarray]) -> None:
        self.ids.append(np.array(batch["id"]))
        on_gpu = batch["gpu"] == 1
        self.busy["gpu"] += float(batch["busy_s"][on_gpu].sum())
        self.busy["cpu"] += float(batch["busy_s"][~on_gpu].sum())
        self.joules += float(batch["joules"].sum())
        self.done += [float(moment) for moment in np.unique(batch["done"])]


def run(setting: Setting, bound_s: float | None, act: Act | None = None, patience_s: float = RUN_S) -> RunFigures:
    """Runs an arm to its end; the clock starts as the gate opens. act: a disturbance.  patience_s: with the run.

    Raises RunFailed; the pipeline may still run then, so that its cluster is not fit for another.
    """
    from ray.exceptions import GetTimeoutError

    results = _Results()
    thread = threading.Thread(target=results.collect, args=(dataset(setting),), daemon=True)
    with _StorePeak() as store:
        thread.start()
        try:
            start = setting.gate.opened_at(START_S)
        except GetTimeoutError:
            raise RunFailed(f"its first workers were not there in {START_S:.0f} s: {results.error}") from None
        timer = None if act is None else threading.Timer(act.after_s, act.do)
        if timer is not None:
            timer.start()
        thread.join(patience_s)
        if timer is not None:
            timer.cancel()
    if thread.is_alive():
        raise RunFailed(f"it did not end in {patience_s:.0f} s: {len(results.done)} batches came.")
    if results.error is not None:
        raise RunFailed(f"{type(results.error).__name__}: {results.error}"[:500]) from results.error
    return _figures(setting, bound_s, start, results, store.bytes)


def _figures(setting: Setting, bound_s: float | None, start: float, results: _Results, store_bytes: int) -> RunFigures:
    moments = np.sort([start, *results.done])
    makespan = float(moments[-1] - start) * setting.compression
    came = Counter(np.concatenate(results.ids).tolist())
    return RunFigures(
        makespan, makespan / bound_s if bound_s else None, setting.rows / makespan,
        results.joules / setting.rows if np.isfinite(results.joules) else None,
        {"cpu": results.busy["cpu"] / makespan / setting.slots, "gpu": results.busy["gpu"] / makespan / setting.gpus},
        store_bytes, setting.rows - len(came), sum(n - 1 for n in came.values()),
        float(np.diff(moments).max()) * setting.compression,
    )  # fmt: skip


class _StorePeak:
    """The most bytes in the object stores, by polls of what is left of them."""

    def __init__(self) -> None:
        self.bytes = 0
        self._ends = threading.Event()
        self._thread = threading.Thread(target=self._poll, daemon=True)

    def __enter__(self) -> _StorePeak:
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
