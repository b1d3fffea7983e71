"""The mixes of Table 5: how often each preset occurs. profiling/data/paper_mix.json is made by

    python -m profiling.paper.mix

The paper does not give its mix. Ours has every preset with a GPU implementation, training fed by its loader; the larger
the rarer: counts fall with the CPU time on configuration A to the power of EXPONENT. That one number was chosen so that
GPU-only's throughput comes near the published 1.60; no other figure of Table 5 had a say in it.
"""

from __future__ import annotations

import json
from functools import cache
from importlib import resources
from pathlib import Path

from placement.spec.node import paper_configs
from profiling.paper.table2 import RUNS

FILE = "data/paper_mix.json"
EXPONENT = 0.48
LARGEST_COUNT = 1000
REFERENCE = "A"


@cache
def counts() -> dict[str, int]:
    """Preset -> tasks, of the committed mix."""
    text = resources.files("profiling").joinpath(FILE).read_text("utf-8")
    return {name: int(count) for name, count in json.loads(text)["counts"].items()}


def mixes() -> dict[str, dict[str, int]]:
    """Title -> preset -> tasks: the committed mix, and Table 2's five runs once each."""
    return {"the mix": counts(), "Table 2's runs, once each": dict.fromkeys(RUNS.values(), 1)}


def made() -> dict[str, int]:
    """The counts, by the rule above. A preset that does not fit the configuration's memory is left out."""
    from profiling.emulation.emulator import emulate
    from profiling.sweep.preset_grid import work_of_presets

    node = paper_configs()[REFERENCE]
    seconds = {}
    for work in work_of_presets():
        told = emulate(work.spec, node, "cpu", cpus=node.cpus)
        fits = told.fits and emulate(work.spec, node, "gpu", cpus=node.cpus).fits
        if work.has_gpu and fits and told.seconds and not work.preset.endswith("_compute"):
            seconds[work.preset] = told.seconds
    least = min(seconds.values())
    return {name: max(1, round(LARGEST_COUNT * (least / s) ** EXPONENT)) for name, s in seconds.items()}


def main() -> None:
    """Writes the file."""
    note = (
        f"Tasks by workload and size: ({LARGEST_COUNT} for the smallest, falling with the CPU seconds on configuration "
        f"{REFERENCE} to the power of {EXPONENT}). See profiling/paper/mix.py."
    )
    text = json.dumps({"note": note, "counts": made()}, indent=1)
    (Path(__file__).parents[1] / FILE).write_text(text + "\n", "utf-8")


if __name__ == "__main__":
    main()
