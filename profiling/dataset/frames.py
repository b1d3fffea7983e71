"""The frame that learners take: the pairs of a log (`profiling.dataset.pairs.labelled`) with the names of the two
devices.

Columns used: `label`; INPUTS of `placement.prediction.gaussian_process` and `framework`; FEATURES of
`placement.spec.features`; `cpu_device`, `gpu_device`; `cpu_seconds`, `gpu_seconds`, `steps`, `cpu_censored`,
`gpu_censored`, `cpu_joules`, `gpu_joules`, `energy_ratio`. Held-out splits also use `workload`, `family`,
`source_name`. Unknown numbers are NaN.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from placement.prediction.gaussian_process import cpu_device, gpu_device
from placement.spec.joint_threshold import JointThreshold
from profiling.dataset.import_pairs import REQUIRED, read_pair_table
from profiling.dataset.table_file import is_parquet

if TYPE_CHECKING:
    import pandas as pd

BYTES_AN_ELEMENT = 4.0
_RENAMED = {
    "source": "source_name", "task": "workload", "cpu": "cpu_name", "gpu": "gpu_name",
    "cpu_peak_gflops": "cpu_gflops", "gpu_peak_gflops": "gpu_gflops",
}  # fmt: skip
_NUMBERS = ("cpu_gflops", "gpu_gflops", "gpu_memory_gb", "cpu_tdp_w", "gpu_tdp_w", "flops", "batch_size", "parameters",
            "kernels", "energy_ratio", "cpu_joules", "gpu_joules", "cpus", "steps")  # fmt: skip


def of_labelled(frame: pd.DataFrame) -> pd.DataFrame:
    """A labelled frame with `cpu_device` and `gpu_device`."""
    frame = frame.reset_index(drop=True).copy()
    text = {name: frame[name].astype(object).where(frame[name].notna(), None)
            for name in ("cpu_name", "gpu_name", "config")}  # fmt: skip
    frame["cpu_device"] = [
        cpu_device(name, config, cpus)
        for name, config, cpus in zip(text["cpu_name"], text["config"], frame["cpus"].astype(float), strict=True)
    ]
    frame["gpu_device"] = [
        gpu_device(name, config) for name, config in zip(text["gpu_name"], text["config"], strict=True)
    ]
    return frame


def published(path: str | os.PathLike[str], rule: JointThreshold | None = None) -> pd.DataFrame:
    """The frame of a table of pairs (columns in `profiling.dataset.import_pairs`), as if it had been imported into a
    log.

    Raises LogError where columns are missing.
    """
    frame = read_pair_table(path).to_pandas().rename(columns=_RENAMED)
    frame["input_bytes"] = frame.pop("input_elements") * BYTES_AN_ELEMENT if "input_elements" in frame else np.nan
    for name in _NUMBERS:
        frame[name] = frame[name].astype(float) if name in frame else np.nan
    for name in ("source_name", "family", "framework", "inputs_on_device"):
        frame[name] = frame.get(name)
    frame["config"] = frame["cpu_name"] + " + " + frame["gpu_name"]
    frame["cpu_censored"] = frame["gpu_censored"] = False
    frame = frame[(frame["cpu_seconds"] > 0) & (frame["gpu_seconds"] > 0)]
    for name in ("cpu_joules", "gpu_joules"):
        frame[name] = frame[name].where(frame[name] > 0)
    frame["energy_ratio"] = (frame["gpu_joules"] / frame["cpu_joules"]).fillna(frame["energy_ratio"])
    frame["label"] = labels_of(frame, rule or JointThreshold())
    return of_labelled(frame)


def labels_of(frame: pd.DataFrame, rule: JointThreshold) -> list[str]:
    """The rule's label of each row, by its seconds and its energy ratio."""
    speedups: Any = frame["cpu_seconds"] / frame["gpu_seconds"]
    energies = frame["energy_ratio"].astype(object).where(frame["energy_ratio"].notna(), None)
    return [rule.decide(speedup, energy).device for speedup, energy in zip(speedups, energies, strict=True)]


def read_frame(log: str | os.PathLike[str], rule: JointThreshold | None = None) -> pd.DataFrame:
    """The frame of a log (a path or URI), or of a table of pairs (a text file, or a Parquet file with its columns).

    Raises LogError where there is no pair, or one label only.
    """
    path = os.fspath(log)
    if os.path.isfile(path) and (not is_parquet(Path(path)) or _is_table(path)):
        return published(path, rule)
    from placement.log import read_log
    from profiling.dataset.pairs import labelled, pairs

    return of_labelled(labelled(pairs(read_log(path)), rule, both_classes=True))


def _is_table(path: str) -> bool:
    import pyarrow
    import pyarrow.parquet

    try:
        return set(REQUIRED) <= set(pyarrow.parquet.read_schema(path).names)
    except (OSError, pyarrow.ArrowException):
        return False
