"""The selector that ships: fitted to the emulated grid and to published measurements.

    python -m profiling.learning.fit_shipped -o placement/data/selector.json          `make selector`

PLACEMENT_DATA names the folder of the measurements. The file holds fitted coefficients, no measured row; its provenance
lists the sources with their rows and residuals, and the digests of the files.
"""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import numpy as np
import typer

from placement.errors import LogError
from placement.prediction.residual_trees import ResidualTrees
from placement.prediction.speedup_selector import SpeedupSelector
from placement.spec.joint_threshold import JointThreshold
from profiling.dataset.published_pairs import data_folder, published_frame
from profiling.learning.fit_power import fit_power
from profiling.learning.fit_residuals import fit_residuals, predict
from profiling.learning.mlp_training import environment
from profiling.learning.pair_targets import log_speedups

if TYPE_CHECKING:
    import pandas as pd

THROUGH_THE_EMULATOR = ("timm_throughput.parquet", "slm_energy.csv")
"""Measurements that reach the fit through the emulator's coefficients (profiling/data/emulator.json)."""
GRID = "emulated grid"


def emulated_grid(rule: JointThreshold | None = None) -> pd.DataFrame:
    """The frame of the full grid of presets on A-D, emulated."""
    from profiling.dataset.frames import of_labelled
    from profiling.dataset.pairs import labelled, pairs
    from profiling.sweep.preset_grid import emulated_table

    frame = labelled(pairs(emulated_table()), rule, both_classes=True)
    return of_labelled(frame).assign(source_name=GRID)


def without_calibration(grid: pd.DataFrame, source: str) -> pd.DataFrame:
    """The grid without work whose emulated times are calibrated on a source: boosted trees on gbm."""
    return grid[grid["framework"] != "xgboost"] if source == "gbm" else grid


def fit_shipped(
    published: pd.DataFrame, grid: pd.DataFrame, rule: JointThreshold | None = None, seed: int = 0
) -> SpeedupSelector:
    """The selector of published pairs and of the emulated grid. LogError where there is too little to learn from."""
    import pandas as pd

    rule = rule or JointThreshold()
    frame = pd.concat([grid, published], ignore_index=True)
    trees = fit_residuals(frame, seed)
    if trees is None:
        raise LogError(f"nothing to learn from: {len(frame)} pairs.")
    selector = SpeedupSelector(
        "roofline", None, rule, training={"rows": len(frame), "seed": seed, "sources": residuals(trees, frame)},
        trees=trees, share=1.0, power=fit_power(frame, seed),
    )  # fmt: skip
    text = json.dumps({name: selector.to_dict()[name] for name in ("trees", "power")}, sort_keys=True)
    return replace(selector, version=f"roofline-{hashlib.sha256(text.encode()).hexdigest()[:12]}")


def residuals(trees: ResidualTrees, frame: pd.DataFrame) -> dict[str, dict[str, float]]:
    """Source -> rows, median factor and bias of the speed-up, and the median spread; of the rows fitted to."""
    found = predict(trees, frame)
    errors, source = found.speedup - log_speedups(frame), frame["source_name"].to_numpy(object)
    sources: dict[str, dict[str, float]] = {}
    for name in dict.fromkeys(source):
        own = (source == name) & np.isfinite(errors)
        sources[str(name)] = {
            "rows": int((source == name).sum()),
            "speedup_factor": round(float(np.exp(np.median(np.abs(errors[own])))), 3),
            "speedup_bias": round(float(np.exp(np.median(errors[own]))), 3),
            "spread": round(float(np.median(found.std[own])), 3),
        }
    return sources


def provenance(folder: Path) -> dict[str, Any]:
    """Where the data come from: file -> SHA-256, how each reached the fit, and the libraries."""
    files = sorted(path for path in folder.iterdir() if path.suffix in (".parquet", ".csv"))
    used = [path for path in files if path.name in ("pairs.parquet", "more_pairs.parquet", *THROUGH_THE_EMULATOR)]
    return {
        "files": {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in used},
        "through_the_emulator": list(THROUGH_THE_EMULATOR),
        "time_utc": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        "versions": environment(),
        "thresholds": asdict(JointThreshold()),
    }


def write_shipped(
    output: Annotated[Path, typer.Option("--output", "-o", help="The selector file to write.")],
) -> None:
    """Fits the selector that ships and writes its file."""
    from profiling.learning.refit import write_selector

    folder = data_folder()
    selector = fit_shipped(published_frame(folder=folder), emulated_grid())
    selector = replace(selector, training={**selector.training, **provenance(folder)})
    write_selector(selector, output)
    typer.echo(f"{output}: {selector.version}, {selector.training['rows']} pairs")


def main(arguments: Sequence[str] | None = None) -> None:
    """The program python -m profiling.learning.fit_shipped -o FILE"""
    app = typer.Typer()
    app.command()(write_shipped)
    app(None if arguments is None else list(arguments))


if __name__ == "__main__":
    main()
