"""Permutation importance of the nine features: accuracy lost on held-out pairs where a feature is shuffled."""

from __future__ import annotations

from typing import Any

import numpy as np

from placement.spec.features import FEATURES
from profiling.learning.mlp_training import Examples
from profiling.paper import PaperOptions, Part, table
from profiling.paper.held_out_nets import HeldOut, held_out, interval, known
from profiling.paper.source import Source

PUBLISHED = {"input_bytes": "first", "flops": "first", "batch_size": "first",
             "cpu_tdp_w": "last", "gpu_tdp_w": "last", "gpu_memory_gb": "last"}  # fmt: skip
"""The paper ranks these; it gives no numbers."""
SHUFFLES = 5  # of each feature in each fold

NOTES = (
    "FLOPs come first here too, by far. The paper names input size and batch size beside them: ours matter less, for "
    "parameters, FLOPs and input size tell most of a batch between them, and what one does not say another does.",
    "TDP and memory come last, as published. On four configurations they do no more than name the configuration.",
)


def drops(one: HeldOut, data: Examples) -> dict[str, float]:
    """Feature -> accuracy lost, mean over the shuffles; the rows of each fold are shuffled among themselves."""
    chance = np.random.default_rng(one.seed)
    right = (one.p_gpu >= 0.5) == data.gpu
    lost = dict.fromkeys(FEATURES, 0.0)
    for mask, net in one.tested:
        if net is None:
            continue
        for place, name in enumerate(FEATURES):
            for _ in range(SHUFFLES):
                inputs = data.inputs[mask].copy()
                inputs[:, place] = chance.permutation(inputs[:, place])
                now = (net.probabilities(inputs) >= 0.5) == data.gpu[mask]
                lost[name] += float(right[mask].sum() - now.sum()) / SHUFFLES / len(right)
    return lost


def run(source: Source, options: PaperOptions) -> Part:
    """Permutation importance: see `profiling.paper.Part`."""
    frame, data = known(source.whole)
    found = held_out(frame, data, source.rule, range(options.seeds), options.epochs, ("random",))
    each = [drops(one, data) for one in found]
    told: dict[str, dict[str, Any]] = {}
    for name in FEATURES:
        mean, half = interval([one[name] for one in each])
        told[name] = {"accuracy_lost": mean, "ci95": half, "paper": PUBLISHED.get(name)}
    told = dict(sorted(told.items(), key=lambda entry: -entry[1]["accuracy_lost"]))
    made = table(
        "Influence: accuracy lost where a feature is shuffled", "feature", "points lost", "95 % interval", "the paper",
        caption=f"Random split, {len(frame):,} pairs, {options.seeds} seeds, {SHUFFLES} shuffles each.",
    )  # fmt: skip
    for name, one in told.items():
        made.add_row(name, f"{100 * one['accuracy_lost']:.1f}", f"± {100 * one['ci95']:.1f}", one["paper"] or "–")
    accuracy = interval([float(((one.p_gpu >= 0.5) == data.gpu).mean()) for one in found])
    return Part((made,), {"features": told, "accuracy": accuracy[0], "accuracy_ci95": accuracy[1]}, NOTES)
