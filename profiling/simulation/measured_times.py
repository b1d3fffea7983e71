"""MeasuredTimes: warm seconds and joules of presets from a log, in place of the emulator's, for the simulator."""

from __future__ import annotations

import math
import os
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from placement.errors import LogError, OptionError
from placement.spec.joint_threshold import JointThreshold, run_joules
from placement.spec.node import Inventory, NodeSpec
from placement.spec.task import DEVICES, Device
from profiling.simulation.arrivals import ArrivalTrace
from profiling.simulation.runtimes import Times, gpu_is_right

Cell = tuple[str, str, Device, float]
"""(preset, config, device, CPUs granted)."""
COLUMNS = ["preset", "config", "device", "cpus", "gpus", "steps", "repeats", "transfer_s", "compute_s", "cpu_joules",
           "gpu_joules", "censored", "error", "fallback", "cpu_gflops", "gpu_gflops", "gpu_memory_gb", "cpu_tdp_w",
           "gpu_tdp_w", "ram_gb", "cpu_name", "gpu_name", "emulated"]  # fmt: skip
FIGURES = ("cpu_gflops", "gpu_gflops", "gpu_memory_gb", "cpu_tdp_w", "gpu_tdp_w", "ram_gb", "cpu_name", "gpu_name")


@dataclass(frozen=True, slots=True)
class MeasuredTimes:
    """Means of a log's runs. cells: cell -> (seconds, joules) of a step; joules NaN where not known.

    nodes: the configs of the log as NodeSpecs, as far as its rows tell them.
    """

    cells: Mapping[Cell, tuple[float, float]]
    nodes: Mapping[str, NodeSpec]

    @classmethod
    def of(cls, path: str | os.PathLike[str]) -> MeasuredTimes:
        """The finished runs of presets in a log (a path or URI). Raises LogError where there is none."""
        from placement.log import read_log

        rows = [row for row in read_log(path).select(COLUMNS).to_pylist() if _finished(row)]
        if not rows:
            raise LogError(
                f"simulate: {os.fspath(path)} has no finished run of a preset; `placement sweep` makes some."
            )
        sums: dict[Cell, list[tuple[float, float, float]]] = {}
        for row in rows:
            cell: Cell = (row["preset"], row["config"], row["device"], row["cpus"] or 0.0)
            joules = run_joules(row["device"], row["cpu_joules"], row["gpu_joules"])
            steps = row["steps"] or 1
            seconds = (row["transfer_s"] or 0.0) + row["compute_s"]
            each = seconds / steps, math.nan if joules is None else joules / steps, float(row["repeats"] or 1)
            sums.setdefault(cell, []).append(each)
        cells = {cell: _mean(each) for cell, each in sums.items()}
        return cls(cells, {config: _node(config, rows) for config in sorted({row["config"] for row in rows})})

    def over(self, times: Times, trace: ArrivalTrace, inventory: Inventory, thresholds: JointThreshold) -> Times:
        """Times with those of the log in place of the others, where it has them. OptionError where it has none."""
        seconds, joules = times.seconds.copy(), times.joules.copy()
        found = self.known(trace, inventory)
        if not found:
            presets, configs = (sorted({cell[at] for cell in self.cells}) for at in (0, 1))
            raise OptionError(
                f"simulate: the log of --times has no run of this trace's presets on these configs. It has the configs "
                f"{configs[:8]} and {len(presets)} presets ({', '.join(presets[:3])}, ...), with CPUs granted "
                f"{sorted({cell[3] for cell in self.cells})}: name its configs with --configs, or sweep the trace's."
            )
        for (t, k, d), (each_s, each_j) in found.items():
            steps = trace.types[t].steps
            seconds[t, k, d], joules[t, k, d] = each_s * steps, each_j * steps
        right = [
            [gpu_is_right(s, j, thresholds) for s, j in zip(*row, strict=True)]
            for row in zip(seconds, joules, strict=True)
        ]
        return Times(seconds, joules, np.array(right))

    def known(self, trace: ArrivalTrace, inventory: Inventory) -> dict[tuple[int, int, int], tuple[float, float]]:
        """(type, kind, device) -> (seconds, joules) of a step, where the log has it."""
        return {
            (t, k, d): self.cells[cell]
            for t, one in enumerate(trace.types)
            for k, kind in enumerate(inventory.kinds)
            for d, device in enumerate(DEVICES)
            if (cell := (one.preset, kind.spec.config, device, trace.cpus[device])) in self.cells
        }

    def share(self, trace: ArrivalTrace, inventory: Inventory) -> float:
        """The share of the types' times, on devices that they can run on, that are the log's."""
        devices = [1 + bool(kind.spec.gpus and one.has_gpu) for one in trace.types for kind in inventory.kinds]
        return len(self.known(trace, inventory)) / sum(devices)


def _finished(row: Mapping[str, object]) -> bool:
    told = row["preset"] is not None and row["config"] is not None and row["compute_s"] is not None
    return told and not (row["censored"] or row["error"] or row["fallback"])


def _mean(each: list[tuple[float, float, float]]) -> tuple[float, float]:
    seconds, joules, repeats = (np.array(values) for values in zip(*each, strict=True))
    known = np.isfinite(joules)
    mean = float(np.average(joules[known], weights=repeats[known])) if known.any() else math.nan
    return float(np.average(seconds, weights=repeats)), mean


def _node(config: str, rows: list[dict[str, object]]) -> NodeSpec:
    """The node of a config by its row with the most CPUs granted."""
    mine = [row for row in rows if row["config"] == config]
    whole = max(mine, key=lambda row: float(row["cpus"] or 0.0))  # type: ignore[arg-type]
    gpus = max(1 if row["device"] == "gpu" else 0 for row in mine)
    figures = {name: whole[name] for name in FIGURES}
    cpus = max(1, int(whole["cpus"] or 1))  # type: ignore[call-overload]
    return NodeSpec(config, cpus, gpus, emulated=bool(whole["emulated"]), **figures)  # type: ignore[arg-type]
