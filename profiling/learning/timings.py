"""Timings of a frame of pairs: one row for each piece of work on each device."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from placement.errors import LogError
from placement.prediction.gaussian_process import (
    INPUTS,
)

if TYPE_CHECKING:
    import pandas as pd

FEWEST_CELLS = 4  # of each kind of device; below it there is no curve to speak of


def check_timings(timings: pd.DataFrame) -> None:
    """Raises LogError where there is too little to learn curves from."""
    works = timings.drop_duplicates([*INPUTS, "framework", "device", "gpu"])
    for gpu in (False, True):
        if (found := int((works["gpu"] == gpu).sum())) < FEWEST_CELLS:
            raise LogError(
                f"nothing to learn from: {found} different pieces of work timed on a {'GPU' if gpu else 'CPU'}; "
                f"{FEWEST_CELLS} is the least. Sweep more sizes."
            )


def timings_of(frame: pd.DataFrame) -> pd.DataFrame:
    """One row for each piece of work on each device: INPUTS, framework, device, gpu, gflops, log_seconds (of one step).

    In a table of pairs one measurement stands in as many rows as it has partners: equal rows count once. Runs that
    did not finish have no time and are left out.
    """
    import pandas as pd

    sides = []
    for kind in ("cpu", "gpu"):
        seconds = frame[f"{kind}_seconds"].astype(float)
        side = frame[[*INPUTS]].astype(float)
        side = side.where(side > 0)
        side["framework"], side["device"] = frame["framework"], frame[f"{kind}_device"]
        side["gflops"], side["gpu"] = frame[f"{kind}_gflops"].astype(float), kind == "gpu"
        side["log_seconds"] = np.log(seconds.where(seconds > 0) / frame["steps"].fillna(1))
        sides.append(side[~frame[f"{kind}_censored"].to_numpy(bool)])
    timings = pd.concat(sides).dropna(subset=["log_seconds"]).drop_duplicates(ignore_index=True)
    # By value, so that the order of the rows, which follows the names of the work, changes nothing.
    return timings.sort_values(list(timings.columns), ignore_index=True)
