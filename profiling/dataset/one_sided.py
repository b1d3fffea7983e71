"""The frame of a log whose tasks ran on one device each, as a policy sends them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from placement.errors import LogError
from placement.spec.task import DEVICES
from profiling.dataset.frames import of_labelled
from profiling.dataset.pairs import pairs, unlabelled

if TYPE_CHECKING:
    import pandas as pd
    import pyarrow as pa

FEWEST_TIMED = 40
"""Different pieces of work on each device; trees have nothing to split below it."""


def is_one_sided(frame: pd.DataFrame) -> bool:
    """Whether some work of a frame ran on one device alone."""
    return bool(frame[["cpu_seconds", "gpu_seconds"]].isna().any(axis=None))


def described_rows(frame: pd.DataFrame) -> np.ndarray:
    """(n,): whether the FLOPs of a row's work, or its launches and bytes, are known: the roofline takes no other."""
    launches = (frame[["kernels", "input_bytes"]].astype(float) > 0).all(axis=1)
    return np.asarray((frame["flops"].astype(float) > 0) | launches)


def one_sided_frame(table: pa.Table) -> pd.DataFrame | None:
    """All pairs of a log, and its production work that ran on one device alone; None where pairs alone are to be taken.

    Work of a sweep that ran on one device has no implementation for the other. Raises LogError where there are neither
    pairs nor enough work on each device.
    """
    found = pairs(table, one_sided=True)
    complete = sum(pair.is_complete for pair in found)
    kept = [pair for pair in found if pair.is_complete or pair.source == "production"]
    if len(kept) == complete:
        return None
    frame = of_labelled(unlabelled(kept))
    frame = frame[described_rows(frame)].reset_index(drop=True)
    timed = {device: int(frame[f"{device}_seconds"].notna().sum()) for device in DEVICES}
    if is_one_sided(frame) and min(timed.values()) >= FEWEST_TIMED:
        return frame
    if complete:
        return None
    raise LogError(
        f"nothing to learn from: the log has no pairs, and its tasks of known FLOPs are {timed['cpu']} different ones "
        f"on a CPU and {timed['gpu']} on a GPU; {FEWEST_TIMED} on each are the least. Let tasks try the other device "
        "(placement.start(exploration=0.01)), or sweep both devices with `placement sweep`."
    )
