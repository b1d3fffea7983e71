"""Fits TFLite on a phone to measured networks: FLOPs at a share of the peak, and a cost for each launch."""

from __future__ import annotations

import zlib
from typing import Any

import numpy as np
import pandas as pd
from scipy.optimize import least_squares

from profiling.emulation.hardware_table import cpu_node, cpu_of, gpu_node, gpu_of
from profiling.emulation.step_cost import KINDS

PARTS = 5
HARDWARE = {"cpu": "Cortex-A76", "gpu": "Adreno 640"}
MEMORY = 1.0
"""Traffic in multiples of the operands' bytes: small networks on a phone wait for arithmetic, and cannot tell it."""


def phone_rows(more_pairs: pd.DataFrame) -> pd.DataFrame:
    """The phone's networks, each once."""
    return more_pairs[more_pairs.source == "nnmeter"].drop_duplicates("task").reset_index(drop=True)


def part_of(task: str) -> int:
    """The part that a network falls into, the same in every run."""
    return zlib.crc32(task.encode()) % PARTS


def fit_phone(more_pairs: pd.DataFrame, device: str, flops_per_byte: float) -> dict[str, Any]:
    """The set of coefficients of a device, and its errors on networks held out, a fifth at a time.

    flops_per_byte: of networks of which only FLOPs are known, as the emulator takes it.
    """
    rows = phone_rows(more_pairs)
    seconds, parts = rows[f"{device}_seconds"].to_numpy(), rows.task.map(part_of).to_numpy()
    peak, bandwidth = roof_of(device)
    moved = MEMORY * rows.flops.to_numpy() / flops_per_byte / bandwidth
    design = np.column_stack([rows.flops.to_numpy() / peak, rows.kernels.to_numpy() * 1e-6])

    def solve(of: np.ndarray) -> np.ndarray:
        return least_squares(
            lambda x: np.log((design[of] @ x + moved[of]) / seconds[of]), [2.0, 1.0], bounds=([1.0, 0.0], np.inf)
        ).x

    held_out = np.zeros(len(rows))
    for part in range(PARTS):
        held_out[parts == part] = design[parts == part] @ solve(parts != part) + moved[parts == part]
    compute, launch_us = (round(float(value), 4) for value in solve(parts >= 0))
    off = np.abs(held_out / seconds - 1)
    return {
        "compute": {kind: max(compute, 2.0) if kind == "memory" else compute for kind in KINDS},
        "memory": dict.fromkeys(KINDS, MEMORY),
        "launch_us": launch_us,
        "error": round(float(np.percentile(np.abs(np.log(held_out / seconds)), 68.27)), 4),
        "hardware": HARDWARE[device],
        "every_network_held_out_once": {
            "rows": len(rows),
            "median": round(float(np.median(off)), 4),
            "p90": round(float(np.percentile(off, 90)), 4),
            "bias": round(float(np.median(held_out / seconds - 1)), 4),
        },
    }


def roof_of(device: str) -> tuple[float, float]:
    """Peak FLOP/s as the emulator takes it, and bandwidth, B/s."""
    if device == "gpu":
        node = gpu_node(HARDWARE["gpu"])
        return (node.gpu_gflops or 0) * 1e9, gpu_of(node).bandwidth
    node = cpu_node(HARDWARE["cpu"])
    return (node.cpu_gflops or 0) * 1e9, cpu_of(node).bandwidth
