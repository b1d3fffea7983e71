"""The emulated sweep of the tables, a file for each preset, slow enough to be killed half way. Argument: the log."""

from __future__ import annotations

import sys
import time

import workloads
from profiling.sweep.sweep import emulate_sweep
from profiling.sweep.sweep_rows import PresetDescription

of = PresetDescription.of


def slowly(preset: workloads.Preset) -> PresetDescription:
    time.sleep(0.05)
    return of(preset)


PresetDescription.of = slowly  # type: ignore[method-assign, assignment]
tables = [one for one in workloads.all_presets() if one.workload == "xgboost_iris"]
emulate_sweep(sys.argv[1], tables, write_every_s=0.0)
