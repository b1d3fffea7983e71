"""The shipped selector on published pairs, as it comes out of the box: no task of them is timed beforehand.

    shipped     the file of the package itself
    left_out    for each source a selector fitted again without it, and without sources that time the same work

Beside each stand the majority class, the FLOPs rule, logistic regression and boosted trees, fitted to the same pairs.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from placement.prediction.selector import Selector
from placement.spec.joint_threshold import JointThreshold
from profiling.dataset.pair_specs import BARE
from profiling.dataset.published_pairs import left_out
from profiling.evaluation.source_figures import Figures, SelectorAnswers, answers_of, decision_figures, figures, pooled
from profiling.learning.learner import Fold
from profiling.learning.registry import learners

if TYPE_CHECKING:
    import pandas as pd

BASELINES = ("majority", "flops_rule", "logistic", "boosted_trees")
POOLED = "pooled"
Refit = Callable[[str], Selector]
"""Name of a source -> a selector fitted without it."""


@dataclass(frozen=True)
class OutOfTheBox:
    """The result of `out_of_the_box`: source (and `pooled`) -> figures by name.

    devices: "shipped" or "left_out" -> "source: config" -> figures.  bare: left out, by specs of FLOPs and bytes alone.
    baselines: learner -> source -> figures, fitted without that source.
    """

    version: str
    shipped: Mapping[str, Figures]
    left_out: Mapping[str, Figures] = field(default_factory=dict)
    bare: Mapping[str, Figures] = field(default_factory=dict)
    devices: Mapping[str, Mapping[str, Figures]] = field(default_factory=dict)
    baselines: Mapping[str, Mapping[str, Figures]] = field(default_factory=dict)

    def to_json(self) -> dict[str, Any]:
        """Plain data for `--json`."""
        return {
            "selector": self.version, "shipped": self.shipped, "left_out": self.left_out, "bare": self.bare,
            "devices": self.devices, "baselines": self.baselines,
        }  # fmt: skip


def by_source(frame: pd.DataFrame, answers: SelectorAnswers) -> dict[str, Figures]:
    """Source -> figures, and `pooled`."""
    source = frame["source_name"].fillna("unknown").to_numpy(object)
    parts = {str(name): np.flatnonzero(source == name) for name in dict.fromkeys(source)}
    found = {name: figures(frame.iloc[rows], answers.take(rows)) for name, rows in parts.items()}
    return found | {POOLED: pooled(list(found.values()), figures(frame, answers))}


def by_device(frame: pd.DataFrame, answers: SelectorAnswers) -> dict[str, Figures]:
    """ "source: config" -> figures."""
    names = (frame["source_name"].fillna("unknown") + ": " + frame["config"].fillna("unknown")).to_numpy(object)
    parts = {str(name): np.flatnonzero(names == name) for name in dict.fromkeys(names)}
    return {name: figures(frame.iloc[rows], answers.take(rows)) for name, rows in parts.items()}


def out_of_the_box(
    frame: pd.DataFrame, selector: Selector, refit: Refit | None = None, known: pd.DataFrame | None = None,
    grid: pd.DataFrame | None = None,
) -> OutOfTheBox:  # fmt: skip
    """Evaluates `selector` on the pairs of `frame` (of `profiling.dataset.published_pairs`).

    refit: None leaves `left_out` empty.  known: published pairs, and grid: emulated pairs, which the baselines are
    fitted to.
    """
    frame = frame.reset_index(drop=True)
    answers = answers_of(selector, frame)
    shipped, devices = by_source(frame, answers), {"shipped": by_device(frame, answers)}
    if refit is None:
        return OutOfTheBox(selector.version, shipped, devices=devices)
    full, bare = _without_each(frame, refit)
    devices["left_out"] = by_device(frame, full)
    return OutOfTheBox(
        selector.version,
        shipped,
        by_source(frame, full),
        by_source(frame, bare),
        devices,
        _baselines(frame, known, grid),
    )


def _without_each(frame: pd.DataFrame, refit: Refit) -> tuple[SelectorAnswers, SelectorAnswers]:
    """Answers about each source by a fit without it: to whole specs, and to specs of FLOPs and bytes alone."""
    found: list[tuple[np.ndarray, SelectorAnswers, SelectorAnswers]] = []
    for source in frame["source_name"].unique():
        rows = np.flatnonzero((frame["source_name"] == source).to_numpy())
        selector, test = refit(str(source)), frame.iloc[rows]
        found.append((rows, answers_of(selector, test), answers_of(selector, test, BARE)))
    order = np.argsort(np.concatenate([rows for rows, _, _ in found]))
    return _joined([full for _, full, _ in found], order), _joined([bare for _, _, bare in found], order)


def _joined(parts: list[SelectorAnswers], order: np.ndarray) -> SelectorAnswers:
    return SelectorAnswers(
        *(np.concatenate([getattr(one, name) for one in parts])[order] for name in SelectorAnswers.__slots__)
    )


def _baselines(
    frame: pd.DataFrame, known: pd.DataFrame | None, grid: pd.DataFrame | None
) -> dict[str, dict[str, Figures]]:
    import pandas as pd

    others = [] if known is None or known is frame else [known]
    whole = pd.concat([frame, *others, *([] if grid is None else [grid])], ignore_index=True)
    asked = np.arange(len(whole)) < len(frame)
    seen = np.ones(len(whole), bool) if not others else ~asked
    source = whole["source_name"].to_numpy(object)
    folds = [
        Fold(str(name), np.flatnonzero(seen & ~left_out(whole, name).to_numpy()),
             np.flatnonzero(asked & (source == name)))
        for name in dict.fromkeys(frame["source_name"])
    ]  # fmt: skip
    found: dict[str, dict[str, Figures]] = {}
    for name in BASELINES:
        answers = learners()[name].held_out(whole, folds, JointThreshold())
        each = {f.name: decision_figures(whole.iloc[f.test], p) for f, p in zip(folds, answers, strict=True)}
        rows = np.concatenate([fold.test for fold in folds])
        every = decision_figures(whole.iloc[rows], np.concatenate(answers))
        found[name] = each | {POOLED: pooled(list(each.values()), every)}
    return found
