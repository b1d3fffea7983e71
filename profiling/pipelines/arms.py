"""The ways to run a pipeline, each as a Ray Data dataset whose rows say what they used.

pinned        the model's stage on GPUs alone, one actor for each, as Ray's own benchmark files have it
cpu_only      the model's stage on CPUs alone
half          half of the rows by each
best_fixed    the share on GPUs with which the linear programme says that a division by hand ends first
choose        the device that placement.choose names, once for the whole stage
placed        placement.map_batches: each batch by itself
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np

from placement.spec.task import TaskSpec
from profiling.pipelines.gate import Gate
from profiling.pipelines.shapes import Shape
from profiling.pipelines.timed_work import CORES, Model, Prepare, Spec

ARMS = ("pinned", "cpu_only", "half", "best_fixed", "choose", "placed")


class Stages(Protocol):
    """The two stages that a pipeline consists of, whatever the arm."""

    @property
    def cores(self) -> float:
        """CPUs of each task and worker on a CPU."""

    def prepared(self, setting: Setting, start: int, stop: int) -> Any:
        """The rows from `start` on as a Dataset, prepared on CPUs."""

    def model(self, setting: Setting) -> tuple[type, tuple[Any, ...]]:
        """(the class of the model's stage, the arguments of its constructor)."""

    def spec(self, setting: Setting) -> Callable[[dict[str, Any]], TaskSpec]:
        """The function that gives the spec of a batch of the model's stage."""


@dataclass(frozen=True)
class Setting:
    """One run of an arm.

    compression: emulated seconds in a second of the clock.  slots: CPU workers that fit on the cluster at once.
    gpus: of the cluster.  share: of the rows that GPUs compute; None: placed batch by batch.  gate: starts the clock.
    stages: what is computed.
    """

    shape: Shape
    rows: int
    compression: float
    slots: int
    gpus: int
    share: float | None
    gate: Gate
    stages: Stages


class TimedStages:
    """Stages that take their emulated seconds (`timed_work`)."""

    cores = CORES

    def prepared(self, setting: Setting, start: int, stop: int) -> Any:
        """A block for each batch of the model's.

        The blocks are there from the beginning: tasks that read them would take a worker process for each CPU of a
        node, where those that prepare them take CORES each.
        """
        import pyarrow as pa
        import ray

        prepare, batch = Prepare(*self._arguments(setting)), setting.shape.batch

        def prepared(rows: dict[str, Any]) -> dict[str, Any]:
            return prepare(rows)

        blocks = [pa.table({"id": np.arange(at, min(at + batch, stop))}) for at in range(start, stop, batch)]
        return ray.data.from_arrow(blocks).map_batches(prepared, batch_size=batch, num_cpus=CORES)

    def model(self, setting: Setting) -> tuple[type, tuple[Any, ...]]:
        """(the class of the model's stage, the arguments of its constructor)."""
        return Model, self._arguments(setting)

    def spec(self, setting: Setting) -> Spec:
        """The function that gives the spec of a batch of the model's stage."""
        return Spec(setting.shape, setting.rows)

    def _arguments(self, setting: Setting) -> tuple[Shape, int, float, Gate]:
        return setting.shape, setting.rows, setting.compression, setting.gate


def share_of(arm: str, shape: Shape, best: float, cores: float = CORES) -> float | None:
    """The share of the rows that an arm gives to GPUs; None: it decides batch by batch. best: of a division by hand.

    cores: CPUs of each worker on a CPU.
    """
    if arm == "choose":
        import placement

        chosen = placement.choose(shape.spec(shape.batch), cpu_options={"num_cpus": cores})
        return 1.0 if chosen.device == "gpu" else 0.0
    shares: dict[str, float | None] = {
        "pinned": 1.0, "cpu_only": 0.0, "half": 0.5, "best_fixed": best, "placed": None,
    }  # fmt: skip
    return shares[arm]


def first_workers(share: float | None, gpus: int) -> int:
    """Workers of the model's stage for which the clock waits: one for each free GPU, and the first on a CPU."""
    if share is None:
        return gpus
    return gpus * (share > 0) + (share < 1)


def dataset(setting: Setting) -> Any:
    """The pipeline of a run, not begun yet."""
    prepared = setting.stages.prepared
    if setting.share is None:
        return _placed(prepared(setting, 0, setting.rows), setting)
    middle = round(setting.rows * setting.share / setting.shape.batch) * setting.shape.batch
    parts = [(0, middle, _on_gpus), (middle, setting.rows, _on_cpus)]
    made = [on(prepared(setting, start, stop), setting) for start, stop, on in parts if stop > start]
    return made[0] if len(made) == 1 else made[0].union(made[1])


def _pool(prepared: Any, setting: Setting, least: int, most: int, **resources: float) -> Any:
    from ray.data import ActorPoolStrategy

    model, arguments = setting.stages.model(setting)
    return prepared.map_batches(
        model, fn_constructor_args=arguments, batch_size=setting.shape.batch,
        compute=ActorPoolStrategy(min_size=least, max_size=most), **resources,
    )  # fmt: skip


def _on_gpus(prepared: Any, setting: Setting) -> Any:
    return _pool(prepared, setting, setting.gpus, setting.gpus, num_gpus=1, num_cpus=0)


def _on_cpus(prepared: Any, setting: Setting) -> Any:
    return _pool(prepared, setting, 1, setting.slots, num_cpus=setting.stages.cores)


def _placed(prepared: Any, setting: Setting) -> Any:
    import placement

    model, arguments = setting.stages.model(setting)
    return placement.map_batches(
        prepared, model, spec=setting.stages.spec(setting), batch_size=setting.shape.batch,
        concurrency={"gpu": (setting.gpus, setting.gpus)}, fn_constructor_args=arguments,
        cpu_options={"num_cpus": setting.stages.cores}, gpu_options={"num_cpus": 0},
    )  # fmt: skip
