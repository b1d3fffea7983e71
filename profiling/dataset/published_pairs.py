"""The published measurements that the shipped selector is fitted on and evaluated against.

They lie in the folder that PLACEMENT_DATA names. None of their rows is committed: what is, are the fitted selector, the
digests of the files and the residuals.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from placement.errors import OptionError
from placement.spec.joint_threshold import JointThreshold
from profiling.dataset.frames import published
from profiling.dataset.pair_specs import sustained

if TYPE_CHECKING:
    import pandas as pd

FOLDER_VARIABLE = "PLACEMENT_DATA"
FILES = ("pairs.parquet", "more_pairs.parquet")
ENERGIES = "slm_energy.csv"  # joules of the source gaissa
ON_DEVICE = ("mlxops", "starpu")
"""Sources that timed kernels on data that lay on the device already, in tables that have no column for it."""
SHARED_WORK: Mapping[str, tuple[str, ...]] = {"help": ("nnmeter",), "nnmeter": ("help",)}
"""Source -> sources of the same work: both time networks of NAS-Bench-201."""


def data_folder() -> Path:
    """The folder of the published measurements. Raises OptionError where it is not set or lacks a file."""
    given = os.environ.get(FOLDER_VARIABLE)
    folder = Path(given or ".")
    if not given or any(not (folder / name).exists() for name in FILES):
        raise OptionError(
            f"{FOLDER_VARIABLE} must name the folder of the published measurements ({', '.join(FILES)}); it is "
            f"{given or 'not set'}."
        )
    return folder


def published_frame(rule: JointThreshold | None = None, folder: Path | None = None) -> pd.DataFrame:
    """The frame of all published pairs (see `profiling.dataset.frames`), throughput made sustained."""
    import pandas as pd

    folder = folder or data_folder()
    frame = pd.concat([published(folder / name, rule) for name in FILES], ignore_index=True)
    return sustained(with_location(_with_joules(frame, folder / ENERGIES)))


def _with_joules(frame: pd.DataFrame, path: Path) -> pd.DataFrame:
    """The frame with the joules of gaissa's runs, where their file is there; a GPU run's with the CPU's."""
    import pandas as pd

    if not path.exists():
        return frame
    table = pd.read_csv(path)
    runs = table.set_index([table["model"], table["engine"].str.lower(), table["provider"]])
    joules: dict[tuple[object, ...], float] = runs["global_energy_J"].to_dict()
    of_source = frame["source_name"] == "gaissa"
    names = list(zip(frame["workload"], frame["framework"], strict=True))
    for device, provider in (("cpu", "CPU"), ("gpu", "CUDA")):
        found = pd.Series([joules.get((*name, provider)) for name in names], frame.index, dtype=float)
        frame[f"{device}_joules"] = frame[f"{device}_joules"].where(~of_source, found)
    return frame


def with_location(frame: pd.DataFrame) -> pd.DataFrame:
    """The frame with `inputs_on_device` filled in for the sources that are known to leave transfers out."""
    known = frame["inputs_on_device"].astype(object)
    of_source = frame["source_name"].isin(ON_DEVICE)
    return frame.assign(inputs_on_device=known.where(known.notna(), of_source))


def left_out(frame: pd.DataFrame, source: str) -> pd.Series[bool]:
    """Mask of the rows that a fit without a source must not have: its own, and those of sources that time its work."""
    return frame["source_name"].isin([source, *SHARED_WORK.get(source, ())])
