"""Rows of the log from measurements of a sweep or predictions of the emulator. No Ray, no clock.

Rows of an emulated config: GPU rows are the emulator's own figures. CPU rows are the emulator's too, times how much
slower or faster than the emulator's figure the real code ran on this machine (`Anchor`): the seconds measured here
times emulate(config) / emulate(here). All of them are marked `emulated`, the anchored ones too.
"""

from __future__ import annotations

import math
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from placement.spec.features import FEATURES, granted_gflops
from placement.spec.node import NodeSpec
from placement.spec.task import Device, TaskSpec
from placement.spec.task_record import TaskRecord
from profiling.emulation.emulator import emulate
from profiling.sweep.measurable import Measurable


@dataclass(frozen=True, slots=True)
class SweepCell:
    """The unit of a sweep: one preset on one device of one config, with so many CPUs granted."""

    preset: str
    config: str
    device: Device
    cpus: float

    @property
    def key(self) -> tuple[str, str, str, float]:
        """The cell's key in `placement.log.done_cells`."""
        return self.preset, self.config, self.device, self.cpus


@dataclass(frozen=True, slots=True)
class PresetDescription:
    """The description of a preset in the log's rows.

    function: its name in the log.  function_key: under which history keeps the runs of a user's function.
    """

    preset: str
    workload: str
    family: str | None
    framework: str | None
    has_gpu: bool
    spec: TaskSpec
    function: str
    function_key: str | None = None

    @classmethod
    def of(cls, preset: Measurable) -> PresetDescription:
        """The description of a preset."""
        return cls(
            preset.name, preset.workload, preset.family, preset.framework, preset.has_gpu, preset.spec(),
            preset.function, preset.function_key,
        )  # fmt: skip


@dataclass(frozen=True, slots=True)
class CellMeasurement:
    """A worker's measurement of one cell: means of one run. None = not measured.

    seconds: warm, of one run; the budget where `censored`.  repeats: runs in the mean.
    """

    seconds: float
    repeats: int
    began: float
    seconds_std: float | None = None
    transfer_s: float | None = None
    censored: bool = False
    synthetic: bool | None = None
    cpu_joules: float | None = None
    gpu_joules: float | None = None
    cpu_utilisation: float | None = None
    gpu_utilisation: float | None = None
    energy_provenance: Any = None
    energy_error: float | None = None
    peak_memory_bytes: float | None = None
    reason: str | None = None
    error: str | None = None


@dataclass(frozen=True, slots=True)
class Anchor:
    """The ratio of measured to emulated time of a preset on this machine's CPU, by which emulated CPU times are scaled.

    residual: seconds measured / seconds emulated, here.  synthetic: its input was generated.
    """

    residual: float = 1.0
    synthetic: bool | None = None
    repeats: int | None = field(default=None)


def anchor_of(work: PresetDescription, measured: CellMeasurement, here: NodeSpec, cpus: float) -> Anchor | None:
    """The anchor of a CPU run on this machine; None where it did not finish or the emulator has no prediction."""
    predicted = emulate(work.spec, here, "cpu", cpus=cpus).seconds
    if measured.censored or measured.error or not predicted:
        return None
    return Anchor(measured.seconds / predicted, measured.synthetic, measured.repeats)


def measured_row(
    cell: SweepCell, work: PresetDescription, node: NodeSpec, measured: CellMeasurement, run_id: str
) -> TaskRecord:
    """The row of a cell that ran."""
    transfer = measured.transfer_s if cell.device == "gpu" else 0.0
    seconds, failed = measured.seconds, measured.error is not None
    return TaskRecord(
        **_common(cell, work, node, run_id),
        emulated=False,
        time_utc=measured.began,
        repeats=measured.repeats,
        transfer_s=None if failed else transfer,
        compute_s=None if failed else seconds - (transfer or 0.0),
        seconds_std=measured.seconds_std,
        censored=measured.censored,
        cpu_joules=measured.cpu_joules,
        gpu_joules=measured.gpu_joules,
        cpu_watts=_over(measured.cpu_joules, seconds),
        gpu_watts=_over(measured.gpu_joules, seconds),
        cpu_utilisation=measured.cpu_utilisation,
        gpu_utilisation=measured.gpu_utilisation,
        peak_memory_bytes=measured.peak_memory_bytes,
        time_provenance=None if failed else "measured",
        energy_provenance=measured.energy_provenance,
        energy_error=measured.energy_error,
        synthetic=measured.synthetic,
        reason=measured.reason,
        error=measured.error,
    )


def emulated_row(
    cell: SweepCell, work: PresetDescription, node: NodeSpec, anchor: Anchor, run_id: str
) -> TaskRecord | None:
    """The row of a cell of a config that is not here; None where it does not fit the memory or has no prediction."""
    told = emulate(work.spec, node, cell.device, cpus=cell.cpus)
    if not told.fits or told.compute_s is None:
        return None
    factor = anchor.residual if cell.device == "cpu" else 1.0
    finite = math.isfinite(told.energy_error)
    return TaskRecord(
        **_common(cell, work, node, run_id),
        emulated=True,
        time_utc=time.time(),
        startup_s=told.startup_s,
        transfer_s=told.transfer_s,
        compute_s=told.compute_s * factor,
        censored=False,
        cpu_joules=_times(told.cpu_joules, factor),
        gpu_joules=told.gpu_joules,
        cpu_watts=told.cpu_watts,
        gpu_watts=told.gpu_watts,
        time_provenance="emulated",
        energy_provenance="emulated" if told.cpu_joules is not None else None,
        energy_error=told.energy_error if finite and told.cpu_joules is not None else None,
        synthetic=anchor.synthetic,
    )


def _common(cell: SweepCell, work: PresetDescription, node: NodeSpec, run_id: str) -> dict[str, Any]:
    spec = work.spec
    hardware = {name: getattr(node, name) for name in (*list(FEATURES)[1:5], "ram_gb", "cpu_name", "gpu_name")}
    hardware["probes"] = node.probes_json
    described = {
        name: getattr(spec, name)
        for name in (
            "flops",
            "batch_size",
            "parameters",
            "input_bytes",
            "memory_bytes",
            "kernels",
            "steps",
            "kind",
            "inputs_on_device",
        )
    }
    return {
        "run_id": run_id,
        "source": "sweep",
        "function": work.function,
        "function_key": work.function_key,
        "workload": work.workload,
        "family": work.family,
        "framework": work.framework,
        "preset": work.preset,
        "config": cell.config,
        "device": cell.device,
        "cpus": cell.cpus,
        "gpus": 1.0 if cell.device == "gpu" else 0.0,
        "cpu_gflops": granted_gflops(node, cell.cpus),
        "gflops_basis": "sustained",
        **hardware,
        **described,
    }


def _over(joules: float | None, seconds: float) -> float | None:
    return joules / seconds if joules is not None and seconds else None


def _times(joules: float | None, factor: float) -> float | None:
    return None if joules is None else joules * factor


def cpus_of(node: NodeSpec, wanted: Sequence[float] | None = None) -> tuple[float, ...]:
    """The CPUs that the cells of a node are run with: those wanted, at most all of them.

    wanted: None: one, a few between and all. Ray gives a task one, the paper's CPU is all of it.
    """
    return tuple(sorted({float(min(cpus, node.cpus)) for cpus in (wanted or (1, 4, node.cpus))}))


def cells_of(preset: str, has_gpu: bool, node: NodeSpec, cpus: Sequence[float] | None = None) -> list[SweepCell]:
    """A preset's cells on a kind of node: a CPU's and, where both have one, a GPU's, for each number of CPUs."""
    devices = ("cpu", "gpu") if has_gpu and node.gpus else ("cpu",)
    return [
        SweepCell(preset, node.config, device, granted)
        for granted in (cpus or cpus_of(node))
        for device in devices  # type: ignore[misc]
    ]


def computed_rows(
    work: PresetDescription, cells: Sequence[tuple[SweepCell, NodeSpec]], anchor: Anchor, run_id: str
) -> list[TaskRecord]:
    """The rows of emulated configs; cells that would not fit their memory have none."""
    rows = [emulated_row(cell, work, node, anchor, run_id) for cell, node in cells]
    return [row for row in rows if row is not None]
