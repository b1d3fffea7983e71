"""The figures of notebooks/selector.ipynb and policies.ipynb that the report does not have. They have the look of
`profiling.report.plot_style`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import PercentFormatter

from profiling.report.figure_data import PAPER_POLICIES
from profiling.report.plot_style import CPU, FAINT, GPU, INK, LINES, MARKERS, styled


@styled
def training(losses: Mapping[str, Sequence[tuple[int, float]]]) -> Figure:
    """Validation loss by epoch. losses: name of a net -> (epoch, binary cross-entropy)."""
    figure = Figure(figsize=(7.0, 3.3))
    axes = figure.add_subplot()
    for (name, points), (color, dashes), marker in zip(losses.items(), LINES * 3, MARKERS, strict=False):
        axes.plot(*zip(*points, strict=True), dashes, color=color, lw=1.6, marker=marker, ms=4, label=name)
    axes.set(xlabel="epoch", ylabel="validation loss (cross-entropy)")
    axes.set_ylim(bottom=0)
    figure.legend(loc="outside right upper")
    return figure


@styled
def influence(features: Mapping[str, Mapping[str, Any]]) -> Figure:
    """Accuracy lost where a feature is shuffled, with its interval; from `paper.influence`.

    Filled: the three that the paper names first. Hatched: those it names last.
    """
    figure = Figure(figsize=(7.0, 3.6))
    axes = figure.add_subplot()
    looks = {"first": {"color": GPU}, "last": {"color": "white", "edgecolor": CPU, "hatch": "///"}}
    for line, one in enumerate(features.values()):
        look = looks.get(one["paper"], {"color": FAINT})
        half = one["ci95"] if one["ci95"] == one["ci95"] else 0.0
        axes.barh(line, one["accuracy_lost"], 0.62, xerr=half, ecolor=INK, capsize=2.5, lw=0.9, **look)
    for title, look in (("the paper: first", looks["first"]), ("the paper: last", looks["last"]),
                        ("not named", {"color": FAINT})):  # fmt: skip
        axes.barh([0], [0], label=title, **look)
    axes.set_yticks(range(len(features)), [name.replace("_", " ") for name in features])
    axes.invert_yaxis()
    axes.grid(axis="y", visible=False)
    axes.set_xlabel("accuracy lost")
    axes.xaxis.set_major_formatter(PercentFormatter(1.0, decimals=0))
    figure.legend(loc="outside upper left", ncols=3)
    return figure


@styled
def sensitivity(rows: Sequence[Mapping[str, float]], key: str, name: str) -> Figure:
    """Four measures against a threshold, a panel each; the paper's is marked. rows: of `paper.sensitivity`."""
    figure = Figure(figsize=(9.4, 2.7))
    panels = (("gpu_share", "share on the GPU"), ("throughput", "throughput"),
              ("energy_efficiency", "energy efficiency"), ("gpu_reduction", "GPU usage reduction"))  # fmt: skip
    across = [row[key] for row in rows]
    for place, (measure, title) in enumerate(panels):
        axes = figure.add_subplot(1, len(panels), place + 1)
        values = np.array([row[measure] if row[measure] is not None else np.nan for row in rows], float)
        axes.plot(across, values, "-o", color=LINES[place][0], lw=1.8, ms=4.5)
        axes.axvline({"speedup": 2.0, "energy_ratio": 1.5}[key], color=INK, lw=0.9, ls="--")
        axes.set(xlabel=name, title=title)
        axes.title.set_fontsize(9.5)
        low, high = np.nanmin(values), np.nanmax(values)
        room = max(0.15 * (high - low), 0.05 * high)
        axes.set_ylim(max(0.0, low - room), high + room)
        if measure in ("gpu_share", "gpu_reduction"):
            axes.yaxis.set_major_formatter(PercentFormatter(1.0, decimals=0))
    return figure


@styled
def policies(found: Mapping[str, Mapping[str, Mapping[str, float | None]]]) -> Figure:
    """Table 5: a panel for each measure, a line for each policy, with its interval; hollow points are the paper's."""
    figure = Figure(figsize=(9.4, 0.9 + 0.34 * len(found)))
    panels = (("throughput", "throughput"), ("energy_efficiency", "energy efficiency"),
              ("selection_accuracy", "selection accuracy"), ("gpu_reduction", "GPU usage reduction"))  # fmt: skip
    shared = None
    for place, (measure, title) in enumerate(panels):
        axes = shared = figure.add_subplot(1, len(panels), place + 1, sharey=shared)
        for line, (policy, told) in enumerate(found.items()):
            _one_policy(axes, line, policy, measure, told[measure])
        axes.set_title(title, fontsize=9.5)
        axes.set_yticks(range(len(found)), list(found))
        axes.tick_params(labelleft=place == 0)
        axes.set_ylim(len(found) - 0.5, -0.5)
        if measure in ("selection_accuracy", "gpu_reduction"):
            axes.set_xlim(-0.05, 1.08)
            axes.xaxis.set_major_formatter(PercentFormatter(1.0, decimals=0))
        else:
            axes.set_xlim(left=0)
    return figure


def _one_policy(axes: Any, line: int, policy: str, measure: str, told: Mapping[str, float | None]) -> None:
    chooses = policy not in ("cpu_only", "gpu_only")
    paper = PAPER_POLICIES.get("selector" if policy == "selector, random split" else policy, {}).get(measure)
    if paper is not None:
        axes.scatter(paper, line, 46, facecolor="white", edgecolor=FAINT, lw=1.3, zorder=3)
    if told["mean"] is None or (measure == "selection_accuracy" and not chooses):
        return
    color = GPU if policy.startswith("selector") else INK if policy == "oracle" else CPU
    half = told["ci95"] if told["ci95"] and told["ci95"] == told["ci95"] else 0.0
    axes.errorbar(told["mean"], line, xerr=half, fmt="o", color=color, ms=6, capsize=3, lw=1.4, zorder=4)
