"""The figures of the report and the notebooks, drawn from the plain data of `profiling.report.figure_data`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, MaxNLocator, NullFormatter, PercentFormatter

from placement.spec.joint_threshold import JointThreshold
from profiling.report.figure_data import PAPER_POLICIES, SPLIT_TITLES, Curves
from profiling.report.plot_style import CPU, FAINT, GPU, GRID, INK, LINES, MARKERS, SQUARE, axes_of, cycle, styled

if TYPE_CHECKING:
    import pandas as pd

MANY_POINTS = 3000  # above this, points are drawn as an image within the vector figure
WIDE = 10.0  # a range of throughputs above this is drawn on a logarithmic scale
TOO_NEAR = 0.07  # accuracies that differ by less: their labels would overlap


@styled
def gpu_share(share: pd.DataFrame) -> Figure:
    """Fig. 1: bars of `figure_data.gpu_share`, by config, with the selector's share beside the rule's."""
    figure, axes = axes_of(7.0, 3.3)
    at = np.arange(len(share))
    both = share["selector"].notna().any()
    width = 0.38 if both else 0.55
    shift = width / 2 if both else 0.0
    _bars(axes, at - shift, share["rule"], width, "joint threshold on the pairs", color=GPU)
    if both:
        _bars(
            axes, at + shift, share["selector"].fillna(0), width, "selector", color="white", edgecolor=GPU, hatch="///"
        )
    names = [
        f"{row.config}\n{(row.gpu_name or '').replace('GeForce ', '')}\n{row.gpu_gflops / 1000:.1f} TFLOP/s"
        for row in share.itertuples()
    ]
    axes.set_xticks(at, names)
    axes.grid(axis="x", visible=False)
    axes.set_ylim(0, 1.08)
    axes.yaxis.set_major_formatter(PercentFormatter(1.0))
    axes.set_ylabel("share of the tasks on the GPU")
    figure.legend(loc="outside upper left", ncols=2)
    return figure


def _bars(axes: Axes, at: Any, heights: Any, width: float, label: str, **look: Any) -> None:
    bars = axes.bar(at, heights, width, label=label, linewidth=1.0, **look)
    axes.bar_label(bars, [f"{height:.0%}" for height in heights], padding=2, fontsize=8.5)


@styled
def precision_recall(found: Mapping[str, Curves]) -> Figure:
    """Fig. 3: a line for each split, with its average precision and the base rate of its labels."""
    figure, axes = axes_of(*SQUARE)
    for (name, curve), (color, dashes) in zip(found.items(), LINES * 3, strict=False):
        axes.plot(curve.recall, curve.precision, dashes, color=color, lw=1.8, drawstyle="steps-post",
                  label=f"{name}, AP {curve.average_precision:.3f}")  # fmt: skip
        axes.axhline(curve.base_rate, color=color, ls=dashes, lw=0.7, alpha=0.5)
    return _unit_square(figure, axes, "recall", "precision")


@styled
def calibration(found: Mapping[str, Curves]) -> Figure:
    """Fig. 4: predicted against observed share of GPU labels; a point's area is proportional to its predictions."""
    figure, axes = axes_of(*SQUARE)
    axes.plot([0, 1], [0, 1], color=FAINT, lw=0.9, ls=(0, (2, 3)))
    for (name, curve), (color, dashes), marker in zip(found.items(), LINES * 3, MARKERS, strict=False):
        axes.plot(curve.predicted, curve.observed, dashes, color=color, lw=1.2)
        area = 14 + 160 * curve.counts / curve.counts.sum()
        axes.scatter(curve.predicted, curve.observed, area, color=color, marker=marker, edgecolor="white", lw=0.6,
                     label=f"{name}, n = {curve.count}", zorder=3)  # fmt: skip
    return _unit_square(figure, axes, "predicted P(GPU)", "observed share of GPU labels")


@styled
def roc(found: Mapping[str, Curves]) -> Figure:
    """Fig. 5: a line for each split, with the area under it."""
    figure, axes = axes_of(*SQUARE)
    axes.plot([0, 1], [0, 1], color=FAINT, lw=0.9, ls=(0, (2, 3)))
    for (name, curve), (color, dashes) in zip(found.items(), LINES * 3, strict=False):
        axes.plot(curve.false_positive, curve.true_positive, dashes, color=color, lw=1.8,
                  label=f"{name}, AUC {curve.auc:.3f}")  # fmt: skip
    return _unit_square(figure, axes, "false positives", "true positives")


def _unit_square(figure: Figure, axes: Axes, across: str, up: str) -> Figure:
    axes.set(xlim=(-0.02, 1.02), ylim=(-0.02, 1.03), xlabel=across, ylabel=up)
    axes.set_aspect("equal")
    if axes.get_legend_handles_labels()[0]:
        figure.legend(loc="outside lower center", markerscale=0.8)
    return figure


@styled
def threshold_plane(points: pd.DataFrame, rule: JointThreshold) -> Figure:
    """Every pair of `figure_data.threshold_points` by speed-up and energy ratio, with the rule's two lines.

    Pairs whose energy ratio is unknown are ticks along the lower edge: the time test alone decides them.
    """
    figure, axes = axes_of(9.4, 4.9)
    known = points[points["energy_ratio"].notna()]
    axes.set(xscale="log", yscale="log", xlabel="speed-up of the GPU, $T_{cpu} / T_{gpu}$",
             ylabel="energy ratio, $E_{gpu} / E_{cpu}$")  # fmt: skip
    colors = dict(zip(("cpu", "gpu"), (CPU, GPU), strict=True))
    for marker, (workload, group) in zip(cycle(MARKERS), known.groupby("workload", dropna=False), strict=False):
        axes.scatter(
            group["speedup"], group["energy_ratio"], 24, marker=marker, lw=0.4, edgecolor="white", alpha=0.75,
            color=[colors[label] for label in group["label"]], rasterized=len(known) > MANY_POINTS, zorder=3,
        )  # fmt: skip
        axes.scatter([], [], 24, marker=marker, color=FAINT, label=str(workload))
    _limits(axes, known, rule)
    _gpu_region(axes, rule)
    unknown = points[points["energy_ratio"].isna()]
    for label, group in unknown.groupby("label"):
        axes.plot(group["speedup"], [0.02] * len(group), "|", color=colors[label], ms=9, alpha=0.6,
                  transform=axes.get_xaxis_transform(), zorder=3)  # fmt: skip
    for label, color in colors.items():
        count = int((points["label"] == label).sum())
        axes.scatter([], [], 40, marker="s", color=color, label=f"answer {label.upper()}: {count}")
    if len(unknown):
        axes.plot([], [], "|", color=FAINT, ms=9, label=f"energy unknown: {len(unknown)}")
    figure.legend(loc="outside right upper", labelspacing=0.55)
    return figure


def _limits(axes: Axes, known: pd.DataFrame, rule: JointThreshold) -> None:
    for values, threshold, limit in (
        (known["speedup"], rule.speedup, axes.set_xlim),
        (known["energy_ratio"], rule.energy_ratio, axes.set_ylim),
    ):
        low = min([threshold, *values]) / 1.6
        high = max([threshold, *values]) * 1.6
        limit(low, high)
    for axis in (axes.xaxis, axes.yaxis):
        axis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
        axis.set_minor_formatter(NullFormatter())


def _gpu_region(axes: Axes, rule: JointThreshold) -> None:
    (_, right), (bottom, top) = axes.get_xlim(), axes.get_ylim()
    axes.fill_between([rule.speedup, right], bottom, rule.energy_ratio, color=GPU, alpha=0.06, lw=0)
    axes.axvline(rule.speedup, color=INK, lw=1.0, ls="--")
    axes.axhline(rule.energy_ratio, color=INK, lw=1.0, ls="--")
    near = {
        "textcoords": "offset points",
        "bbox": {"boxstyle": "round,pad=0.15", "fc": "white", "ec": "none", "alpha": 0.8},
    }
    axes.annotate(f"$T_t$ = {rule.speedup:g}", (rule.speedup, top), xytext=(4, -11), **near)
    axes.annotate(f"$T_e$ = {rule.energy_ratio:g}", (right, rule.energy_ratio), xytext=(-6, 5), ha="right", **near)
    axes.annotate("GPU is worth it", (rule.speedup, bottom), xytext=(7, 8), color=GPU, **near)


@styled
def policies(ours: Mapping[str, Mapping[str, float | None]]) -> Figure:
    """Table 5 as a plane: throughput across, energy efficiency up; the paper's figures as hollow points."""
    figure, axes = axes_of(6.4, 3.9)
    for (name, values), marker in zip(ours.items(), MARKERS, strict=False):
        here = (values.get("throughput"), values.get("energy_efficiency"))
        color = GPU if name == "selector" else INK if name == "oracle" else CPU
        paper = PAPER_POLICIES.get(name)
        if paper:
            axes.scatter(paper["throughput"], paper["energy_efficiency"], 52, marker=marker, facecolor="white",
                         edgecolor=FAINT, lw=1.3, zorder=3)  # fmt: skip
        if None not in here:
            axes.scatter(*here, 62, marker=marker, color=color, edgecolor="white", lw=0.6, zorder=4, label=name)
    axes.scatter([], [], 52, marker="o", facecolor="white", edgecolor=FAINT, lw=1.3, label="hollow: the paper")
    axes.set(xlabel="throughput, CPU-only = 1", ylabel="energy efficiency, GPU-only = 1")
    told = [v["throughput"] for v in ours.values() if v.get("throughput")]
    if told and max(told) > WIDE * min(told):
        axes.set_xscale("log")
        axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
        axes.xaxis.set_minor_formatter(NullFormatter())
    axes.margins(0.12)
    figure.legend(loc="outside right upper", labelspacing=0.7)
    return figure


@styled
def accuracy(splits: Mapping[str, Mapping[str, float]]) -> Figure:
    """Accuracy by split beside the majority class, which a constant answer reaches. splits: name -> model -> 0-1."""
    figure, axes = axes_of(7.0, 0.9 + 0.55 * max(1, len(splits)))
    models = [name for name in dict.fromkeys(m for values in splits.values() for m in values) if name != "majority"]
    for line, values in enumerate(splits.values()):
        shown = [value for value in values.values() if value is not None]
        axes.plot([min(shown), max(shown)], [line, line], color=GRID, lw=5, solid_capstyle="round", zorder=1)
        for value, name in ((values.get(name), name) for name in ("majority", *models)):
            if value is None:
                continue
            color, marker = _model_look(name, models)
            axes.scatter(value, line, 64, marker=marker, color=color, zorder=3, edgecolor="white", lw=0.6,
                         label=model_label(name) if line == 0 else None)  # fmt: skip
            below = name == "majority"
            axes.annotate(
                f"{value:.1%}", (value, line), xytext=(0, -14 if below else 8), textcoords="offset points",
                ha="center" if below else _beside(name, values, models), fontsize=8, color=FAINT if below else INK,
            )  # fmt: skip
    axes.set_yticks(range(len(splits)), [SPLIT_TITLES.get(name, name) for name in splits])
    axes.set_ylim(len(splits) - 0.5, -0.6)
    axes.set_xlim(min(0.45, *(v for s in splits.values() for v in s.values() if v is not None)) - 0.04, 1.04)
    axes.xaxis.set_major_formatter(PercentFormatter(1.0))
    axes.grid(axis="y", visible=False)
    figure.legend(loc="outside upper left", ncols=4)
    return figure


def _beside(name: str, values: Mapping[str, float], models: list[str]) -> str:
    """Alignment of a model's label: labels of two models with nearly the same accuracy do not overlap."""
    order = sorted((value, model) for model in models if (value := values.get(model)) is not None)
    at = [model for _, model in order].index(name)
    if at and order[at][0] - order[at - 1][0] < TOO_NEAR:
        return "left"
    return "right" if at + 1 < len(order) and order[at + 1][0] - order[at][0] < TOO_NEAR else "center"


def _model_look(name: str, models: list[str]) -> tuple[str, str]:
    if name == "majority":
        return FAINT, "s"
    index = models.index(name)
    return (GPU, *(color for color, _ in LINES))[index % 5], MARKERS[index % len(MARKERS)]


def model_label(name: str) -> str:
    """The title of a model."""
    return {"majority": "majority class", "paper": "the paper's net", "ratio": "speed-up selector"}.get(name, name)


@styled
def placed(where: pd.DataFrame) -> Figure:
    """Placements: a bar for each workload of `figure_data.placed`, CPU and GPU stacked."""
    figure, axes = axes_of(9.4, 0.9 + 0.36 * max(1, len(where)))
    at = np.arange(len(where))
    left = np.zeros(len(where))
    for device, color, hatch in (("cpu", CPU, None), ("gpu", GPU, "///")):
        counts = where[device].to_numpy(dtype=float)
        bars = axes.barh(
            at, counts, 0.62, left=left, color=color, label=device.upper(), hatch=hatch, edgecolor="white", lw=0.8
        )
        axes.bar_label(bars, [f"{c:.0f}" if c else "" for c in counts], label_type="center", fontsize=8.5,
                       bbox={"boxstyle": "round,pad=0.15", "fc": "white", "ec": "none", "alpha": 0.9})  # fmt: skip
        left += counts
    axes.set_yticks(at, list(where["workload"]))
    axes.set_ylim(len(where) - 0.4, -0.6)
    axes.set_xlabel("tasks")
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.grid(axis="y", visible=False)
    figure.legend(loc="outside upper left", ncols=2)
    return figure
