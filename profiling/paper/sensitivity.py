"""Sensitivity to T_t and T_e: the rule itself on every pair, with other thresholds."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

import numpy as np

from placement.spec.joint_threshold import JointThreshold
from profiling.evaluation.policy_scores import PairCosts
from profiling.paper import PaperOptions, Part, figure, table
from profiling.paper.source import Source

SPEEDUPS = (1.5, 1.75, 2.0, 2.5, 3.0)
ENERGY_RATIOS = (1.0, 1.25, 1.5, 2.0, 3.0)

NOTES = (
    "Published, without numbers: a lower T_t means more GPU and more throughput, and less energy efficiency. Ours: "
    "more GPU and more throughput likewise, but efficiency rises too: with the whole processor drawing its power, "
    "whatever a GPU does 1.5 times faster it also does with less energy.",
    "T_e matters less, as published: with whole processors it never decides between 1 and 3. With one CPU granted it "
    "does: there one core's share of the socket is set against a whole GPU.",
)


def choices(frame: Any, rule: JointThreshold) -> np.ndarray:
    """(n,): whether the rule says GPU; a run that did not finish is infinitely slow."""
    speedup = frame["speedup"].to_numpy(float)
    energy = frame["energy_ratio"].to_numpy(float)
    decided = (speedup >= rule.speedup) & ~(energy > rule.energy_ratio)
    return np.where(np.isfinite(speedup), decided, (frame["label"] == "gpu").to_numpy())


def run(source: Source, options: PaperOptions) -> Part:
    """Sensitivity to the thresholds: see `profiling.paper.Part`."""
    del options
    frame = source.whole
    one_cpu = source.pairs[source.pairs["cpus"] == 1.0]
    times = [_row(frame, JointThreshold(t, source.rule.energy_ratio)) for t in SPEEDUPS]
    rules = [JointThreshold(source.rule.speedup, e) for e in ENERGY_RATIOS]
    energies, alone = ([_row(part, rule) for rule in rules] for part in (frame, one_cpu))
    made = [_table("Sensitivity to T_t (T_e = 1.5), whole processors", "T_t", "speedup", times)]
    made.append(_table("Sensitivity to T_e (T_t = 2.0), whole processors", "T_e", "energy_ratio", energies))
    data = {"speedup": times, "energy_ratio": energies}
    if len(one_cpu):
        made.append(_table("Sensitivity to T_e (T_t = 2.0), one CPU granted", "T_e", "energy_ratio", alone))
        data["energy_ratio_one_cpu"] = alone
    return Part(tuple(made), data, NOTES)


def _row(frame: Any, rule: JointThreshold) -> dict[str, Any]:
    if frame.empty:
        return {**asdict(rule)}
    gpu = choices(frame, rule)
    return {**asdict(rule), "gpu_share": float(gpu.mean()), **asdict(PairCosts.of(frame).score(gpu, gpu))}


def _table(title: str, head: str, key: str, rows: list[dict[str, Any]]) -> Any:
    made = table(
        title, head, "GPU share", "throughput", "efficiency", "less GPU",
        caption="Of the rule itself. Throughput: CPU-only = 1. Efficiency: GPU-only = 1.",
    )  # fmt: skip
    for row in rows:
        made.add_row(
            f"{row[key]:g}", figure(row["gpu_share"], ".1%"), figure(row["throughput"]),
            figure(row["energy_efficiency"]), figure(row["gpu_reduction"], ".1%"),
        )  # fmt: skip
    return made
