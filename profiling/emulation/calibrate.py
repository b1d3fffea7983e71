"""Fits the emulator's coefficients to measurements by others and writes profiling/data/emulator.json.

    python -m profiling.emulation.calibrate [--check]      reads PLACEMENT_DATA, by default ../shared/data

    roofline_fit         times of networks, from thousands of measured steps
    small_sample_fits    launches, trees, power and training on a CPU, from few measurements
    assumptions          figures that no measurement at hand gives, under "assumed", each with its reason

The roofline is calibrated on three fifths of the model families and tested on the rest: no coefficient is fitted to a
family it is tested on.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

import pandas as pd

from profiling.emulation.assumptions import ASSUMED, PIPELINE, SOURCES, WIDENING
from profiling.emulation.phone_fit import fit_phone
from profiling.emulation.roofline_fit import CPU_LAUNCH_US, SETS, fit_set, guess_without_operations
from profiling.emulation.small_sample_fits import (
    fit_cpu_training,
    fit_eager_cpu,
    fit_power,
    fit_trees,
    launch_of_small_networks,
)
from profiling.emulation.timm_traces import data_folder, measured_rows

OUTPUT = Path(__file__).parents[1] / "data" / "emulator.json"

ERRORS = ("test", "calibration", "every_network_held_out_once", "every_processor_held_out_once")


def calibrate(folder: Path) -> dict[str, Any]:
    """The whole content of data/emulator.json, from the folder of measurements."""
    measured = measured_rows(folder)
    pairs = pd.read_parquet(folder / "pairs.parquet")
    launch_us = launch_of_small_networks(pairs)
    near = (0.8 * launch_us, 1.2 * launch_us)
    costs = {one.name: fit_set(one, measured, CPU_LAUNCH_US if one.name.startswith("cpu") else near) for one in SETS}
    costs["cpu_train"] = fit_cpu_training(costs["cpu_infer"])
    without = guess_without_operations(measured)
    more = pd.read_parquet(folder / "more_pairs.parquet")
    costs["cpu_infer_eager"] = fit_eager_cpu(pairs, costs["cpu_train"])
    costs |= {f"{device}_tflite": fit_phone(more, device, without["flops_per_byte"]) for device in ("cpu", "gpu")}
    costs |= {f"{device}_tree": fit_trees(pairs, device) for device in ("cpu", "gpu")}
    return {
        "schema_version": 1,
        "made_by": "python -m profiling.emulation.calibrate",
        "sources": SOURCES,
        "calibrated_on": ["RTX 3090", "i9-10940X", "Cortex-A76", "Adreno 640"],
        "launch_of_small_networks_us": round(launch_us, 2),
        "costs": costs,
        "power": fit_power(pd.read_csv(folder / "slm_energy.csv")),
        "pipeline": PIPELINE,
        "assumed": ASSUMED | {"without_operations": without},
        "widening": WIDENING,
    }


def main() -> int:
    """Writes data/emulator.json, or with --check compares it with a fresh calibration."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--check", action="store_true", help="compare the committed file; write nothing")
    arguments = parser.parse_args()
    made = calibrate(data_folder())
    if arguments.check:
        same = json.loads(OUTPUT.read_text()) == json.loads(json.dumps(made))
        print("the committed coefficients are what this calibration gives" if same else "they differ")
        return 0 if same else 1
    OUTPUT.write_text(json.dumps(made, indent=1) + "\n")
    for name, one in made["costs"].items():
        print(name, next(one[key] for key in ERRORS if one.get(key)))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
