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
from typing import Any

from profiling.pipelines.shapes import Shape
from profiling.pipelines.timed_work import CORES, Model, Prepare, Spec

ARMS = ("pinned", "cpu_only", "half", "best_fixed", "choose", "placed")


@dataclass(frozen=True)
class Setting:
    """The settings that all arms of one comparison share.

    slots: CPU workers that fit on the cluster at once.  gpus: its GPUs.
    """

    shape: Shape
    rows: int
    compression: float
    slots: int
    gpus: int
    share: float

    @property
    def arguments(self) -> tuple[Any, ...]:
        """Of the constructors of the stages."""
        return self.shape, self.rows, self.compression


def dataset(arm: str, setting: Setting) -> Any:
    """The pipeline of an arm, not begun yet."""
    if arm == "placed":
        return _placed(_prepared(setting, 0, setting.rows), setting)
    if arm == "choose":
        return _chosen(_prepared(setting, 0, setting.rows), setting)
    share = {"pinned": 1.0, "cpu_only": 0.0, "half": 0.5, "best_fixed": setting.share}[arm]
    middle = round(setting.rows * share / setting.shape.batch) * setting.shape.batch
    parts = [(0, middle, _on_gpus), (middle, setting.rows, _on_cpus)]
    made = [on(_prepared(setting, start, stop), setting) for start, stop, on in parts if stop > start]
    return made[0] if len(made) == 1 else made[0].union(made[1])


def _prepared(setting: Setting, start: int, stop: int) -> Any:
    """The rows from `start` on, read and prepared on CPUs, a block for each batch of the model's."""
    import ray

    shape = setting.shape
    blocks = max(1, -(-(stop - start) // shape.batch))
    read = ray.data.range(stop - start, override_num_blocks=blocks)
    prepare = Prepare(*setting.arguments)

    def prepared(batch: dict[str, Any]) -> dict[str, Any]:
        return prepare({"id": batch["id"] + start})

    return read.map_batches(prepared, batch_size=shape.batch, num_cpus=CORES)


def _pool(setting: Setting, size: int, **resources: float) -> Callable[[Any], Any]:
    from ray.data import ActorPoolStrategy

    def run(prepared: Any) -> Any:
        return prepared.map_batches(
            Model, fn_constructor_args=setting.arguments, batch_size=setting.shape.batch,
            compute=ActorPoolStrategy(min_size=1, max_size=size), **resources,
        )  # fmt: skip

    return run


def _on_gpus(prepared: Any, setting: Setting) -> Any:
    return _pool(setting, setting.gpus, num_gpus=1, num_cpus=0)(prepared)


def _on_cpus(prepared: Any, setting: Setting) -> Any:
    return _pool(setting, setting.slots, num_cpus=CORES)(prepared)


def _chosen(prepared: Any, setting: Setting) -> Any:
    import placement

    chosen = placement.choose(setting.shape.spec(setting.shape.batch), cpu_options={"num_cpus": CORES})
    return (_on_gpus if chosen.device == "gpu" else _on_cpus)(prepared, setting)


def _placed(prepared: Any, setting: Setting) -> Any:
    import placement

    return placement.map_batches(
        prepared, Model, spec=Spec(setting.shape, setting.rows), batch_size=setting.shape.batch,
        fn_constructor_args=setting.arguments, cpu_options={"num_cpus": CORES}, gpu_options={"num_cpus": 0},
    )  # fmt: skip
