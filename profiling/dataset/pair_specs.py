"""TaskSpecs and NodeSpecs of a frame of published pairs: a selector is asked about them as a user would ask it.

A table of pairs gives spec-sheet peaks. A large matrix product sustains SUSTAINED_CPU and SUSTAINED_GPU of them.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from placement.spec.node import NodeSpec
from placement.spec.task import TaskSpec

if TYPE_CHECKING:
    import pandas as pd

SUSTAINED_CPU, SUSTAINED_GPU = 0.5, 0.6
WHOLE = ("batch_size", "parameters", "kernels")
BARE = ("kernels", "batch_size", "parameters", "framework")
"""Parts of a spec that a user leaves out who writes only FLOPs and bytes by hand."""


def sustained(frame: pd.DataFrame) -> pd.DataFrame:
    """The frame with `cpu_gflops` and `gpu_gflops` of peaks made sustained."""
    return frame.assign(cpu_gflops=SUSTAINED_CPU * frame["cpu_gflops"], gpu_gflops=SUSTAINED_GPU * frame["gpu_gflops"])


def task_of(row: Mapping[str, Any], leave_out: tuple[str, ...] = ()) -> TaskSpec:
    """The TaskSpec of a row of a frame (`profiling.dataset.frames`), without the fields of `leave_out`."""
    known = {
        name: _known(row.get(name)) for name in ("flops", "input_bytes", *WHOLE, "framework") if name not in leave_out
    }
    for name in WHOLE:
        if known.get(name) is not None:
            known[name] = round(known[name])
    if known.get("batch_size") is not None:
        known["batch_size"] = max(1, known["batch_size"])
    steps = _known(row.get("steps"))
    return TaskSpec(
        **known, steps=1 if steps is None else round(steps), inputs_on_device=_known(row.get("inputs_on_device"))
    )


def node_of(row: Mapping[str, Any]) -> NodeSpec:
    """The NodeSpec of a row: one CPU, all of it granted, and one GPU."""
    names = ("cpu_name", "gpu_name", "cpu_gflops", "gpu_gflops", "gpu_memory_gb", "cpu_tdp_w", "gpu_tdp_w")
    return NodeSpec(
        config=_known(row.get("config")) or "unknown", cpus=1, gpus=1, **{n: _known(row.get(n)) for n in names}
    )


def _known(value: Any) -> Any:
    """The value as Python's own; None for a missing one."""
    if value is None or value != value:
        return None
    return value.item() if hasattr(value, "item") else value
