"""What a stage has done so far, by device, kept in Ray's key-value store and shown by `Dataset.stats()`.

The broker that counts it ends with the stage, before anybody asks.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from placement.ray_internals import control_store
from placement.spec.task import DEVICES, Device
from placement.stages.device_use import Figures

if TYPE_CHECKING:
    from ray.data import Dataset

    from placement.stages.stage import Stage


def keep(stage: Stage, seconds: float, use: Mapping[Device, Figures]) -> None:
    """Writes the figures of a stage. seconds: from its first batch to the end of its last."""
    control_store.put(_key(stage), json.dumps({"seconds": seconds, **use}).encode(), overwrite=True)


def with_stats(dataset: Dataset, stage: Stage) -> Dataset:
    """The dataset, whose `stats()` shows the stage by device, after what Ray Data tells of it."""
    own: Any = dataset.stats

    def stats() -> str:
        return str(own()) + _kept(stage)

    dataset.stats = stats  # type: ignore[method-assign]
    return dataset


def _kept(stage: Stage) -> str:
    """The figures that were kept, in words; nothing where the stage has not run."""
    found = control_store.get(_key(stage))
    if found is None:
        return ""
    kept = json.loads(found)
    return text(stage.name, kept.pop("seconds"), {device: Figures(*values) for device, values in kept.items()})


def text(name: str, seconds: float, use: Mapping[Device, Figures]) -> str:
    """The figures of a stage in lines like those of Ray Data's `Dataset.stats()`. seconds: from first to last batch."""
    lines = [f"Placed stage {name}:"]
    for device in DEVICES:
        found = use[device]
        rate = found.rows / seconds if seconds else 0.0
        busy = found.busy_s / found.worker_s if found.worker_s else 0.0
        each = "-" if found.joules is None or not found.rows else f"{found.joules / found.rows:.3g}"
        lines.append(
            f"* {device}: {found.batches} batches, {found.rows} rows, {rate:.1f} rows/s, "
            f"workers {busy:.0%} busy, {each} J/row"
        )
    return "\n".join(lines) + "\n"


def _key(stage: Stage) -> bytes:
    return f"placement-stage-{stage.id}".encode()
