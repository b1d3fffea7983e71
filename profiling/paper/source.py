"""The pairs of the paper's evaluation: those of a log, or the full grid emulated on A-D with the measured pairs."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib import resources
from typing import TYPE_CHECKING, Any

import numpy as np

from placement.errors import LogError
from placement.spec.joint_threshold import JointThreshold
from placement.spec.node import configs_named
from profiling.dataset.pairs import labelled, pairs
from profiling.report.figure_data import provenance

if TYPE_CHECKING:
    import pandas as pd
    import pyarrow as pa

MEASURED = "data/measured"
"""The committed logs of real machines with a GPU (`python -m profiling.cli.measure_here` writes one); there may be
none."""


@dataclass(frozen=True)
class Source:
    """pairs: every pair, labelled by the paper's thresholds.  name: of the log or of its substitute.

    whole: only pairs whose CPU was the whole processor, as the paper's was; emulated and measured ones.
    """

    name: str
    pairs: pd.DataFrame
    rule: JointThreshold

    @property
    def whole(self) -> pd.DataFrame:
        """The pairs with the most CPUs of their config."""
        most = self.pairs.groupby("config", dropna=False)["cpus"].transform("max")
        return self.pairs[(self.pairs["cpus"] == most) | most.isna()].reset_index(drop=True)

    @property
    def measured(self) -> pd.DataFrame:
        """The pairs that were measured on both devices."""
        return self.pairs[self.pairs["time_provenance"] == "measured"].reset_index(drop=True)

    def told(self) -> dict[str, Any]:
        """The origin of the figures, for `--json`."""
        counts = {n: provenance(self.pairs[n]) for n in ("time_provenance", "energy_provenance")}
        return {"log": self.name, "pairs": len(self.pairs), **counts}

    def line(self) -> str:
        """The origin of the figures as a line for the terminal."""
        times = ", ".join(f"{name} {count}" for name, count in provenance(self.pairs["time_provenance"]).items())
        return f"{self.name}: {len(self.pairs):,} pairs of a CPU and a GPU run; times {times}."


def read(log: str | os.PathLike[str] | None, rule: JointThreshold | None = None, configs: str = "paper") -> Source:
    """The pairs of a log (a path or URI); None: of the emulated grid and the committed measured logs.

    configs: to emulate, as `placement.spec.node.configs_named` reads them; measured logs stand beside the paper's
    alone. Raises LogError where the log has no pairs, SpecError on an unknown configuration.
    """
    from placement.log import read_log

    rule = rule or JointThreshold()
    if log is not None:
        return Source(os.fspath(log), labelled(pairs(read_log(log)), rule), rule)
    if configs != "paper":
        from profiling.sweep.preset_grid import emulated_table

        nodes = list(configs_named(configs).values())
        return Source(f"full grid on {configs}", labelled(pairs(emulated_table(nodes=nodes)), rule), rule)
    return Source("full grid on A-D", labelled(pairs(everything()), rule), rule)


@cache
def everything() -> pa.Table:
    """The emulated grid, and the committed measured rows where there are any."""
    import pyarrow as pa

    from placement.log import read_log
    from profiling.sweep.preset_grid import emulated_table

    with resources.as_file(resources.files("profiling").joinpath(MEASURED)) as folder:
        logs = sorted(path for path in folder.iterdir() if path.is_dir()) if folder.is_dir() else []
        return pa.concat_tables([emulated_table(), *(read_log(path) for path in logs)], promote_options="default")


def weights_of(frame: pd.DataFrame, counts: Mapping[str, int]) -> np.ndarray:
    """(n,): how often each pair occurs in a mix of presets. LogError where none of them is there."""
    weights = frame["preset"].map(counts).fillna(0).to_numpy(float)
    if not weights.any():
        raise LogError("the log has none of the mix's presets.")
    return weights
