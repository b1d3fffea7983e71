"""The emulator's error on this device, and the shipped selector's, on what `presets.py` measured.

python errors.py FOLDER
"""

from __future__ import annotations

import math
import statistics
import sys
from pathlib import Path
from typing import Any

from gpu_step import report

import placement
from placement.prediction.selector_file import shipped_selector
from placement.spec.joint_threshold import JointThreshold
from placement.spec.node import NodeSpec
from profiling.dataset.pairs import labelled, pairs
from profiling.emulation.emulator import emulate
from profiling.sweep.preset_grid import work_of_presets

HARDWARE = ("cpu_name", "gpu_name", "gpu_gflops", "gpu_memory_gb", "ram_gb", "cpu_tdp_w", "gpu_tdp_w")


def node_of(row: dict[str, Any]) -> NodeSpec:
    """The measured node, as far as a row of the log has it: the CPUs granted are all it has."""
    known = {name: row[name] for name in HARDWARE if row[name] == row[name]}
    cpus = max(1, int(row["cpus"]))
    return NodeSpec(config=row["config"], cpus=cpus, gpus=1, cpu_gflops=row["cpu_gflops"], **known)


def spread_of(ratios: list[float]) -> dict[str, float | None]:
    """Predicted over measured: the median, and the median factor off."""
    if not ratios:
        return {"rows": 0, "bias": None, "factor": None}
    logs = [math.log(ratio) for ratio in ratios]
    return {
        "rows": len(logs), "bias": math.exp(statistics.median(logs)),
        "factor": math.exp(statistics.median(map(abs, logs))),
    }  # fmt: skip


def compared(frame: Any) -> list[dict[str, Any]]:
    """Measured, emulated and estimated figures of each pair."""
    works = {work.preset: work for work in work_of_presets()}
    selector, made = shipped_selector(), []
    for row in frame.to_dict("records"):
        work, node = works[row["preset"]], node_of(row)
        told = selector.estimate(work.spec, node, row["cpus"])
        emulated = {d: emulate(work.spec, node, d, cpus=row["cpus"]).seconds for d in ("cpu", "gpu")}  # type: ignore[arg-type]
        made.append({
            "preset": row["preset"], "family": work.family, "cpus": row["cpus"], "label": row["label"],
            "cpu_seconds": row["cpu_seconds"], "gpu_seconds": row["gpu_seconds"], "emulated": emulated,
            "selector": None if told is None else {
                "p_gpu": told.p_gpu, "cpu": told.cpu_seconds, "gpu": told.gpu_seconds,
                "extrapolating": told.extrapolating,
            },
        })  # fmt: skip
    return made


def ratios(made: list[dict[str, Any]], source: str, device: str) -> list[float]:
    """Predicted over measured seconds of a device, where both are known."""
    both = [((one[source] or {}).get(device), one[f"{device}_seconds"]) for one in made]
    return [predicted / measured for predicted, measured in both if predicted and measured and measured > 0]


def main() -> None:
    """All pairs of the log that `presets.py` wrote."""
    frame = labelled(pairs(placement.read_log(str(Path(sys.argv[1]) / "log"))), JointThreshold())
    made = compared(frame)
    decided = [one for one in made if one["selector"]]
    right = [(one["selector"]["p_gpu"] >= 0.5) == (one["label"] == "gpu") for one in decided]
    families = sorted({one["family"] for one in made})
    figures = {
        "pairs": len(made), "gpu_labels": sum(one["label"] == "gpu" for one in made),
        "emulator": {d: spread_of(ratios(made, "emulated", d)) for d in ("cpu", "gpu")},
        "emulator_on_the_gpu_by_family": {
            name: spread_of(ratios([one for one in made if one["family"] == name], "emulated", "gpu"))
            for name in families
        },
        "selector": {
            "accuracy": sum(right) / len(right) if right else None, "answers": len(decided),
            **{d: spread_of(ratios(made, "selector", d)) for d in ("cpu", "gpu")},
        },
        "by_pair": made,
    }  # fmt: skip
    report(figures, there_are_pairs=bool(made))


if __name__ == "__main__":
    main()
