"""The emulator's fits that stand on few measurements: launches, trees, power, training on a CPU."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pandas as pd
from scipy.optimize import least_squares

from placement.describe import of_xgboost
from profiling.emulation.assumptions import ASSUMED
from profiling.emulation.cpu_training import MEASURED
from profiling.emulation.hardware_table import cpu_node, cpu_of, gpu_node, gpu_of

TRUST = 0.3
"""Distance from the coefficient of compiled inference, in log units, that weighs like a residual of 100 %."""
TRAINING_TERMS = ("compute_matmul", "compute_conv", "compute_grouped_conv", "memory_matmul", "memory_conv",
                  "memory_grouped_conv", "memory_memory")  # fmt: skip


def launch_of_small_networks(pairs: pd.DataFrame) -> float:
    """Microseconds of a launch: the slope of NAS-Bench-201 times at batch 1 over their kernels, on the newest GPU."""
    rows = pairs[(pairs.source == "help") & (pairs.gpu == "RTX 2080 Ti")].drop_duplicates("task")
    return float(np.polyfit(rows.kernels, rows.gpu_seconds * 1e6, 1)[0])


def fit_eager_cpu(pairs: pd.DataFrame, training: dict[str, Any]) -> dict[str, Any]:
    """Eager inference on a CPU: the eager training's coefficients, and a launch from small networks at batch 1.

    A launch costs the median of three server processors' medians. The error is that of each processor held out.
    """
    rows = pairs[pairs.source == "help"].drop_duplicates(["cpu", "task"])
    spent = {str(cpu): (group.cpu_seconds.to_numpy(), group.kernels.to_numpy()) for cpu, group in rows.groupby("cpu")}
    each = {cpu: float(np.median(seconds / kernels)) * 1e6 for cpu, (seconds, kernels) in spent.items()}
    ratios = np.concatenate(
        [
            np.median([launch for other, launch in each.items() if other != cpu]) * 1e-6 * kernels / seconds
            for cpu, (seconds, kernels) in spent.items()
        ]
    )
    off = np.abs(ratios - 1)
    return training | {
        "launch_us": round(float(np.median(list(each.values()))), 4),
        "error": round(float(np.percentile(off, 68.27)), 4),
        "hardware": sorted(each),
        "every_network_held_out_once": None,
        "every_processor_held_out_once": {
            "rows": len(off),
            "median": round(float(np.median(off)), 4),
            "p90": round(float(np.percentile(off, 90)), 4),
            "bias": round(float(np.median(ratios)) - 1, 4),
        },
    }


def fit_trees(pairs: pd.DataFrame, device: str) -> dict[str, Any]:
    """XGBoost on 0.1, 1 and 10 M rows: memory traffic and a launch's cost (of a thread team's wake-up on a CPU)."""
    rows = pairs[(pairs.source == "gbm") & (pairs.family == "gbm-xgboost")]
    rows = rows[rows.gpu == "A10"] if device == "gpu" else rows
    rows = rows.drop_duplicates([device, "batch_size"])
    moved, launches, computed = [], [], []
    for row in rows.itertuples():
        # GBM-perf: 100 trees of depth 10; 13 columns is what the pairs' own FLOPs assume of the one-hot table.
        tree = of_xgboost(int(row.batch_size), 13, trees=100, depth=10).operations[0]
        node = gpu_node(row.gpu) if device == "gpu" else cpu_node(row.cpu)
        bandwidth = gpu_of(node).bandwidth if device == "gpu" else cpu_of(node).bandwidth
        peak = 1e9 * ((node.gpu_gflops if device == "gpu" else node.cpu_gflops) or 0)
        moved.append(tree.bytes / bandwidth)
        computed.append(tree.flops / peak)
        launches.append(tree.launches * 1e-6)
    seconds = rows[f"{device}_seconds"].to_numpy()
    design = np.column_stack([moved, launches]) / seconds[:, None]
    rest = np.array(computed) / seconds
    least = ASSUMED["cpu_tree_launch_us"] if device == "cpu" else 1e-3
    found = least_squares(lambda x: np.log(design @ x + rest), [1.0, least + 1.0], bounds=([1e-3, least], np.inf)).x
    off = np.abs(np.log(design @ found + rest))
    return {
        "compute": {"tree": 1.0},
        "memory": {"tree": round(float(found[0]), 4)},
        "launch_us": round(float(found[1]), 4),
        # All of these few rows were fitted on: the error claimed for other inputs is a third at least.
        "error": round(max(0.35, float(off.max())), 4),
        "hardware": sorted(set(rows[device])),
        "calibration": {
            "rows": len(rows),
            "median": round(float(np.median(off)), 4),
            "p90": round(float(off.max()), 4),
        },
    }


def fit_power(energies: pd.DataFrame) -> dict[str, float]:
    """Shares of the TDP by what a device is busy with, from slm_energy.csv: RTX 4090 (450 W), processor of 150 W.

    One sequence at a time: PyTorch on the CPU waits for memory; on the GPU small models wait for launches, the largest
    for memory. Compute-bound shares and the GPU's idle one are assumed: see ASSUMED.
    """
    torch_runs = energies[energies.engine == "TORCH"]
    cpu, gpu = torch_runs[torch_runs.provider == "CPU"], torch_runs[torch_runs.provider == "CUDA"]
    cpu_idle, gpu_idle = float(gpu.cpu_W.min()) / 150, ASSUMED["gpu_idle_share"]

    def above(watts: float, tdp: float, idle: float) -> float:
        return round((watts / tdp - idle) / (1 - idle), 4)

    return {
        "cpu_idle": round(cpu_idle, 4),
        "cpu_launching_thread": above(float(gpu.cpu_W.median()), 150, cpu_idle),
        "cpu_memory": above(float(cpu.cpu_W.median()), 150, cpu_idle),
        "cpu_compute": 1.0,
        "gpu_idle": gpu_idle,
        "gpu_launch": above(float(gpu[gpu.params_M < 200].gpu_W.median()), 450, gpu_idle),
        "gpu_memory": above(float(gpu[gpu.params_M >= 2500].gpu_W.median()), 450, gpu_idle),
        "gpu_compute": ASSUMED["gpu_compute_share"],
        "error": 0.5,
    }


def fit_cpu_training(inference: dict[str, Any]) -> dict[str, Any]:
    """Training on a CPU, eager: compiled inference's coefficients, corrected by a few networks timed on one core.

    Fifteen networks cannot fix seven coefficients, so each is drawn to its inference value. The error is that of each
    network in turn held out, and it is one machine's: `widening` adds to it.
    """
    rows = json.loads(MEASURED.read_text())["rows"]
    prior = np.array([inference[term.split("_", 1)[0]][term.split("_", 1)[1]] for term in TRAINING_TERMS])
    design = np.array([[term_seconds(row, term) for term in TRAINING_TERMS] for row in rows])
    seconds = np.array([row["seconds"] for row in rows])
    launches = np.array([inference["launch_us"] * 1e-6 * sum(op[3] for op in row["operations"]) for row in rows])

    def predict(factors: np.ndarray, of: np.ndarray) -> np.ndarray:
        return design[of] @ (prior * np.exp(factors)) + launches[of]

    def solve(of: np.ndarray) -> np.ndarray:
        least = np.where([term.startswith("compute") for term in TRAINING_TERMS], np.minimum(-np.log(prior), -1e-9), -3)
        return least_squares(
            lambda x: np.append(np.log(predict(x, of) / seconds[of]), x * 0.1 / TRUST),
            np.maximum(0.0, least + 1e-6),
            bounds=(least, 4.0),
        ).x

    everything = np.arange(len(rows))
    found = prior * np.exp(solve(everything))
    held_out = np.array([predict(solve(everything[everything != i]), everything[i : i + 1])[0] for i in everything])
    off = np.abs(np.log(held_out / seconds))
    values = {term: round(float(value), 4) for term, value in zip(TRAINING_TERMS, found, strict=True)}
    return {
        "compute": {"memory": 2.0} | {t.removeprefix("compute_"): v for t, v in values.items() if t.startswith("c")},
        "memory": {t.removeprefix("memory_"): v for t, v in values.items() if t.startswith("m")},
        "launch_us": inference["launch_us"],
        "error": round(float(np.percentile(off, 68.27)), 4),
        "hardware": "one core, unnamed Intel Xeon",
        "every_network_held_out_once": {
            "rows": len(rows),
            "median": round(float(np.median(np.abs(held_out / seconds - 1))), 4),
            "p90": round(float(np.percentile(np.abs(held_out / seconds - 1), 90)), 4),
        },
    }


def term_seconds(row: dict[str, Any], term: str) -> float:
    """Seconds that a coefficient multiplies, of one network: FLOPs at its core's rate, or bytes at its bandwidth."""
    kind = term.split("_", 1)[1]
    amounts = [(op[1] / row["flops_s"], op[2] / row["bytes_s"]) for op in row["operations"] if op[0] == kind]
    return sum(compute if term.startswith("compute") else moved for compute, moved in amounts)
