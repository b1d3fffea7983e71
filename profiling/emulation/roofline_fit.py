"""Fits the roofline coefficients of `profiling.emulation.step_cost` to measured networks, by robust least squares."""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from scipy.optimize import least_squares, nnls

from profiling.emulation.assumptions import FAMILY_PARTS
from profiling.emulation.hardware_table import SUSTAINED_SHARE, cpu_node, cpu_of, gpu_node, gpu_of
from profiling.emulation.step_cost import KINDS
from profiling.emulation.timm_traces import at_batch

TEST_PARTS = (3, 4)
"""Parts of the families on which the coefficients are tested. A name's hash puts it into one of FAMILY_PARTS."""


LEAST_TRAFFIC = 0.3
"""Least share of an operation's bytes that reaches memory: caches hold some of them, and AMP halves most."""


CPU_LAUNCH_US = (5.0, 40.0)


MOST_OVERLAP = 6.0
"""Nearly the longer of the two."""


ROBUST = 0.1
"""Log residuals beyond this count linearly: a model with a custom kernel must not bend the rest."""


class CoefficientSet(NamedTuple):
    """One set of coefficients to fit: which rows, and on which peak and bandwidth they stand."""

    name: str
    hardware: str
    mode: str
    layout: str
    target: float

    def rows(self, measured: pd.DataFrame) -> pd.DataFrame:
        """The measurements that this set is fitted to and tested on."""
        chosen = (measured.hw == self.hardware) & (measured["mode"] == self.mode) & (measured.layout == self.layout)
        return measured[chosen].reset_index(drop=True)

    def roof(self) -> tuple[float, float]:
        """Peak FLOP/s (tensor cores' for AMP, sustained FP32 on the CPU) and bandwidth, B/s."""
        if self.hardware.startswith("RTX"):
            node = gpu_node(self.hardware)
            gpu = gpu_of(node)
            return (node.gpu_gflops or 0) * 1e9 * gpu.amp_ratio / SUSTAINED_SHARE, gpu.bandwidth
        cpu = cpu_node(self.hardware)
        return (cpu.cpu_gflops or 0) * 1e9, cpu_of(cpu).bandwidth


SETS = (
    CoefficientSet("gpu_infer", "RTX 3090", "infer", "nchw", 0.12),
    CoefficientSet("gpu_infer_nhwc", "RTX 3090", "infer", "nhwc", 0.12),
    CoefficientSet("gpu_train", "RTX 3090", "train", "nchw", 0.12),
    CoefficientSet("gpu_train_nhwc", "RTX 3090", "train", "nhwc", 0.12),
    CoefficientSet("cpu_infer", "i9-10940X", "infer", "nchw", 0.20),
)


def part_of(family: str) -> int:
    """The part a family falls into, the same in every run."""
    return zlib.crc32(family.encode()) % FAMILY_PARTS


def terms(rows: pd.DataFrame, roof: tuple[float, float]) -> pd.DataFrame:
    """Seconds each coefficient multiplies, a column for each: compute and memory by kind, launches in us."""
    peak, bandwidth = roof
    sizes = at_batch(rows)
    columns = {f"compute_{kind}": sizes[f"flops_{kind}"] / peak for kind in KINDS if kind != "memory"}
    columns |= {f"memory_{kind}": sizes[f"bytes_{kind}"] / bandwidth for kind in KINDS}
    return pd.DataFrame({**columns, "launch_us": 1e-6 * sum(sizes[f"launches_{kind}"] for kind in KINDS)})


def bounds_of(columns: list[str], launch_us: tuple[float, float]) -> tuple[np.ndarray, np.ndarray]:
    """The physical limits: no faster than the peak, no less traffic than caches allow."""
    least = [1.0 if name.startswith("compute") else LEAST_TRAFFIC for name in columns]
    most = [20.0] * len(columns)
    least[columns.index("launch_us")], most[columns.index("launch_us")] = launch_us
    return np.array(least), np.array(most)


def predicted_seconds(
    design: np.ndarray, columns: Sequence[str], coefficients: np.ndarray, overlap: float
) -> np.ndarray:
    """Seconds of each row: its kinds' arithmetic and memory, which overlap, and its launches."""
    terms = dict(zip(columns, (design * coefficients).T, strict=True))
    seconds = terms["launch_us"].copy()
    for kind in KINDS:
        compute, memory = terms.get(f"compute_{kind}", 0.0), terms[f"memory_{kind}"]
        longer = np.maximum(np.maximum(compute, memory), 1e-30)
        seconds += longer * ((compute / longer) ** overlap + (memory / longer) ** overlap) ** (1 / overlap)
    return seconds


def fit(design: pd.DataFrame, rows: pd.DataFrame, launch_us: tuple[float, float], overlaps: bool) -> np.ndarray:
    """The coefficients, in the columns' order, and the overlap: robust least squares of log time in physical bounds.

    Rows weigh by the root of their family's size, downwards: a hundred ResNets must not decide for a family unseen.
    overlaps: whether the overlap of arithmetic and memory is fitted; it is 1 else.
    """
    seconds, columns = rows.seconds.to_numpy(), list(design.columns)
    weights = 1 / np.sqrt(rows.groupby("family").model.transform("size").to_numpy())
    weights /= weights.mean()
    relative = design.to_numpy() / seconds[:, None]
    least, most = bounds_of(list(design.columns), launch_us)
    start = np.clip(nnls(relative, np.ones(len(seconds)))[0], least + 1e-3, most - 1e-3)
    if overlaps:
        least, most, start = np.append(least, 1.0), np.append(most, MOST_OVERLAP), np.append(start, 1.5)

    def off(x: np.ndarray) -> np.ndarray:
        both = (x[:-1], x[-1]) if overlaps else (x, 1.0)
        return np.asarray(np.log(predicted_seconds(relative, columns, *both)) * weights)

    found = least_squares(off, start, bounds=(least, most), loss="soft_l1", f_scale=ROBUST).x
    return found if overlaps else np.append(found, 1.0)


def residuals(predicted: np.ndarray, seconds: np.ndarray, rows: pd.DataFrame) -> dict[str, float]:
    """Median and 90th percentile of the absolute relative error, and the bias (median signed error)."""
    relative = predicted / seconds - 1
    return {
        "rows": len(seconds),
        "families": int(rows.family.nunique()),
        "median": round(float(np.median(np.abs(relative))), 4),
        "p90": round(float(np.percentile(np.abs(relative), 90)), 4),
        "bias": round(float(np.median(relative)), 4),
    }


def fit_set(one: CoefficientSet, measured: pd.DataFrame, launch_us: tuple[float, float]) -> dict[str, Any]:
    """One set's coefficients from the calibration families, its errors on the test families and across all."""
    rows = one.rows(measured)
    design, seconds = terms(rows, one.roof()), rows.seconds.to_numpy()
    parts = rows.family.map(part_of).to_numpy()
    test = np.isin(parts, TEST_PARTS)
    columns, overlaps = list(design.columns), one.name.startswith("gpu")
    found = fit(design[~test], rows[~test], launch_us, overlaps)
    predicted = predicted_seconds(design.to_numpy(), columns, found[:-1], found[-1])
    across = np.zeros(len(rows))
    for part in range(FAMILY_PARTS):
        of_others = fit(design[parts != part], rows[parts != part], launch_us, overlaps)
        here = design[parts == part].to_numpy()
        across[parts == part] = predicted_seconds(here, columns, of_others[:-1], of_others[-1])
    coefficients = {name: round(float(value), 4) for name, value in zip(columns, found[:-1], strict=True)}
    return {
        "compute": {"memory": 2.0} | by_kind(coefficients, "compute"),
        "memory": by_kind(coefficients, "memory"),
        "launch_us": coefficients["launch_us"],
        "overlap": round(float(found[-1]), 4),
        # The 68th percentile of the absolute log error: 1 sigma, were it normal.
        "error": round(float(np.percentile(np.abs(np.log(predicted / seconds)[test]), 68.27)), 4),
        "hardware": one.hardware,
        "target": one.target,
        "calibration": residuals(predicted[~test], seconds[~test], rows[~test]),
        "test": residuals(predicted[test], seconds[test], rows[test]),
        "every_family_held_out_once": residuals(across, seconds, rows),
    }


def by_kind(coefficients: dict[str, float], term: str) -> dict[str, float]:
    """The coefficients of one term, kind -> value."""
    return {kind: coefficients[f"{term}_{kind}"] for kind in KINDS if f"{term}_{kind}" in coefficients}


def guess_without_operations(measured: pd.DataFrame) -> dict[str, float]:
    """Median FLOPs a byte and launches of a forward pass, for networks of which only FLOPs are known."""
    rows = measured[measured["mode"] == "infer"].drop_duplicates("model")
    sizes = at_batch(rows.assign(batch_size=8))
    flops, moved, launches = (sum(sizes[f"{name}_{kind}"] for kind in KINDS) for name in ("flops", "bytes", "launches"))
    return {"flops_per_byte": round(float(np.median(flops / moved)), 1), "launches": int(np.median(launches))}
