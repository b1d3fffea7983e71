"""The emulator's errors of time by class of device: GPUs at large and at small batches, CPUs, phones.

Everything is held out: model families, networks, or whole devices that nothing was calibrated on, unless a row says
otherwise.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from rich.table import Table

from placement.spec.node import NodeSpec
from placement.spec.task import Device, Operation, TaskSpec
from profiling.emulation.emulator import emulate
from profiling.emulation.hardware_table import gpu_node
from profiling.emulation.step_cost import calibration

LARGE_BATCH = 9
"""At smaller batches a GPU waits for launches; they are stated apart."""
GPU_TARGET, CPU_TARGET, PHONE_TARGET = 0.12, 0.20, 0.20
LARGE_PRODUCT = 1e9
"""FLOPs of a product that keeps a GPU of 2010 busy for milliseconds."""
EVERY = 10
"""One in so many of the small networks is looked at: they are much alike."""


@dataclass(frozen=True, slots=True)
class ClassError:
    """Relative errors of the time of a class of device. median, p90: absolute.  bias: the median with its sign.

    target: for the median; None where there is none.
    """

    split: str
    rows: int
    median: float
    p90: float
    bias: float
    target: float | None = None

    @property
    def missed(self) -> bool:
        """Whether the median is above the target."""
        return self.target is not None and self.median > self.target


def error_of_ratios(split: str, ratios: Sequence[float] | np.ndarray, target: float | None = None) -> ClassError:
    """The errors of predicted over measured times."""
    off = np.abs(np.asarray(ratios) - 1)
    median, p90 = (float(np.percentile(off, q)) for q in (50, 90))
    return ClassError(split, len(off), median, p90, float(np.median(ratios)) - 1, target)


def by_device_class(folder: Path, families: pd.DataFrame) -> list[ClassError]:
    """The errors of every class, from the folder of measurements.

    families: rows of `benchmark.errors_of` of all sets: hw, mode, batch_size, seconds, predicted.
    """
    more, pairs = pd.read_parquet(folder / "more_pairs.parquet"), pd.read_parquet(folder / "pairs.parquet")
    return [*of_families(families), *of_products(more), *of_small_networks(pairs), *of_phones()]


def of_families(rows: pd.DataFrame) -> Iterator[ClassError]:
    """timm's models of families that were held out."""
    ratios, gpu = rows.predicted / rows.seconds, rows.hw.str.startswith("RTX")
    for mode, title in (("infer", "inference"), ("train", "training")):
        large = gpu & (rows["mode"] == mode) & (rows.batch_size >= LARGE_BATCH)
        yield error_of_ratios(f"GPU, large batches, {title}, unseen families", ratios[large], GPU_TARGET)
    small = gpu & (rows.batch_size < LARGE_BATCH)
    yield error_of_ratios("GPU, batches 1 to 8, unseen families (timm has few)", ratios[small])
    yield error_of_ratios("CPU, compiled, batch 1, unseen families", ratios[~gpu], CPU_TARGET)


def of_products(more: pd.DataFrame) -> Iterator[ClassError]:
    """StarPU's large FP32 products on two GPUs of 2010 that nothing was calibrated on.

    From specifications alone, and with the throughput that a probe finds: that of the fastest product of other kinds.
    """
    rows = more[(more.framework == "starpu-fp32") & more.family.isin(["starpu-gemm", "starpu-syrk"])]
    rows = rows[rows.flops >= LARGE_PRODUCT]
    from_specifications, probed = [], []
    for name, group in rows.groupby("gpu"):
        node = gpu_node(str(name))
        kinds = group.task.str.split().str[0]
        for kind, row in zip(kinds, group.itertuples(), strict=True):
            others = group[kinds != kind]
            best = float((others.flops / others.gpu_seconds).max()) / 1e9
            from_specifications.append(product_seconds(row, node) / row.gpu_seconds)
            probed.append(product_seconds(row, replace(node, gpu_gflops=best)) / row.gpu_seconds)
    yield error_of_ratios("GPU not calibrated on, products, specifications alone", from_specifications)
    yield error_of_ratios("GPU not calibrated on, products, throughput probed", probed, GPU_TARGET)


def product_seconds(row: Any, node: NodeSpec) -> float:
    """Emulated seconds of a product on the device, its operands there already."""
    work = Operation("matmul", row.flops, 4.0 * row.input_elements, 1)
    out = emulate(TaskSpec(flops=row.flops, operations=(work,), input_bytes=0.0), node, "gpu", cpus=1)
    return out.compute_s or 0.0


def of_small_networks(pairs: pd.DataFrame) -> Iterator[ClassError]:
    """NAS-Bench-201 networks at batch 1, of which FLOPs and launches are known, eager, on three GPUs and three CPUs."""
    rows = pairs[pairs.source == "help"]
    ratios = [
        eager_seconds(row) / row.gpu_seconds
        for _, group in rows.drop_duplicates(["gpu", "task"]).groupby("gpu")
        for row in group.iloc[::EVERY].itertuples()
    ]
    yield error_of_ratios("GPU not calibrated on, eager, batch 1", ratios)
    one = calibration()["costs"]["cpu_infer_eager"]["every_processor_held_out_once"]
    yield ClassError("CPU not calibrated on, eager, batch 1", one["rows"], one["median"], one["p90"], one["bias"])


def eager_seconds(row: Any) -> float:
    """Emulated seconds of a small network on its GPU, its inputs there already."""
    task = TaskSpec(
        flops=row.flops, kernels=int(row.kernels), batch_size=1, framework="torch", kind="infer", execution="eager"
    )
    return emulate(task, gpu_node(row.gpu), "gpu", cpus=1).compute_s or 0.0


def of_phones() -> Iterator[ClassError]:
    """The phone's networks, each held out once; `profiling.emulation.phone_fit` makes the figures."""
    devices: tuple[Device, ...] = ("cpu", "gpu")
    for device in devices:
        one = calibration()["costs"][f"{device}_tflite"]["every_network_held_out_once"]
        split = f"Phone's {device.upper()}, TFLite, batch 1, unseen networks"
        yield ClassError(split, one["rows"], one["median"], one["p90"], one["bias"], PHONE_TARGET)


def class_table(found: Sequence[ClassError]) -> Table:
    """The errors as a table."""
    made = Table("class of device", "rows", "median", "90th percentile", "bias", "goal", title="Emulated time by class")
    for one in found:
        goal = "-" if one.target is None else f"{one.target:.0%}"
        made.add_row(one.split, str(one.rows), f"{one.median:.1%}", f"{one.p90:.1%}", f"{one.bias:+.1%}", goal)
    return made
