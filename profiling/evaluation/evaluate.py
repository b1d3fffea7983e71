"""`placement evaluate LOG`: the paper's five policies as in its Table 5, and the accuracy of the selectors on pairs
held out of their fit.

Every figure of a selector comes from fits without the pair that they predict: for Table 5 from a random
split into FOLDS, for the accuracies from the split named. Tasks with one implementation count in none of it.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from placement.errors import OptionError
from placement.log import read_log
from placement.spec.joint_threshold import JointThreshold
from profiling.dataset.frames import of_labelled
from profiling.dataset.pairs import labelled, pairs
from profiling.evaluation.policy_scores import PairCosts, PolicyScore, policy_scores
from profiling.learning.descent import TrainingOptions
from profiling.learning.learner import Fold
from profiling.learning.mlp_training import FEWEST_ROWS, Examples, examples, fit_many
from profiling.learning.registry import DEFAULT, SELECTORS, learners

if TYPE_CHECKING:
    import pandas as pd

FOLDS = 5
SPLITS = {"random": None, "config": "config", "workload": "workload"}
"""Split -> the column whose values are held out one at a time; random: one of FOLDS parts."""


@dataclass(frozen=True, slots=True)
class SplitScore:
    """Accuracy of the selectors on pairs held out of their fit, all folds pooled, beside the majority class of the
    rest: majority, paper, ratio (None where it was left out: it takes a second or more a fold).

    regret_seconds, regret_joules: of the devices taken by the selector of `learner`, less the oracle's, as a share of
    the oracle's sum; below zero where disobeying the rule was faster (it asks for more than being faster). None where
    no energy is known.  by_fold: value held out -> majority, paper, ratio, rows.  unfitted: folds whose rest had one
    class only: the net's answer is that.
    """

    majority: float
    paper: float
    ratio: float | None
    regret_seconds: float
    regret_joules: float | None
    by_fold: Mapping[str, Mapping[str, float]]
    unfitted: int = 0


@dataclass(frozen=True)
class Evaluation:
    """The result of `evaluate`. learner: the selector of `policies`, the regrets and `held_out`.

    held_out: split -> P(GPU) of each row of `frame`, by a fit without that row.
    """

    frame: pd.DataFrame
    rule: JointThreshold
    policies: Mapping[str, PolicyScore]
    splits: Mapping[str, SplitScore]
    held_out: Mapping[str, np.ndarray]
    learner: str = DEFAULT
    left_out: int = 0
    notes: tuple[str, ...] = field(default=())

    @property
    def accuracy(self) -> dict[str, dict[str, float]]:
        """Split -> accuracy of the majority class, of the paper's net, and of the speed-up selector where it was
        evaluated.
        """
        names = ("majority", "paper", *(("ratio",) if self.learner == "ratio" else ()))
        return {split: {name: getattr(score, name) for name in names} for split, score in self.splits.items()}

    def to_dict(self) -> dict[str, Any]:
        """Plain data for `--json`."""
        return {
            "pairs": len(self.frame),
            "pairs_gpu": int((self.frame["label"] == "gpu").sum()),
            "pairs_left_out": self.left_out,
            "learner": self.learner,
            "thresholds": asdict(self.rule),
            "provenance": {name: _counts(self.frame[name]) for name in ("time_provenance", "energy_provenance")},
            "policies": {name: asdict(score) for name, score in self.policies.items()},
            "accuracy": self.accuracy,
            "splits": {name: asdict(score) for name, score in self.splits.items()},
            "notes": list(self.notes),
        }


def evaluate(
    log: str | os.PathLike[str], *, rule: JointThreshold | None = None, options: TrainingOptions | None = None,
    learner: str = DEFAULT,
) -> Evaluation:  # fmt: skip
    """Evaluates the pairs of a log (a path or URI). learner: of SELECTORS, who chooses in Table 5.

    Raises LogError where the log has no pairs, or one class only; OptionError on an unknown learner.
    """
    rule = rule or JointThreshold()
    return evaluate_frame(labelled(pairs(read_log(log)), rule, both_classes=True), rule, options, learner)


def evaluate_frame(
    frame: pd.DataFrame, rule: JointThreshold | None = None, options: TrainingOptions | None = None,
    learner: str = DEFAULT,
) -> Evaluation:  # fmt: skip
    """Evaluates a labelled frame (see `profiling.dataset.pairs.labelled`). Pairs with unknown features are left
    out, and counted. Raises LogError where too few are left."""
    if learner not in SELECTORS:
        raise OptionError(f"--learner {learner}: valid are {', '.join(SELECTORS)}.")
    rule, options = rule or JointThreshold(), options or TrainingOptions()
    data, known = examples(frame)
    whole = len(frame)
    frame = frame[known].reset_index(drop=True)
    folds = {name: folds_of(frame, column, options.seed) for name, column in SPLITS.items()}
    notes = [f"{name}: there is one {name} only, so none can be held out" for name in folds if not folds[name]]
    folds = {name: parts for name, parts in folds.items() if parts}
    nets = _nets(data, folds, rule, options)
    ratio = _ratio(frame, folds, rule, options.seed) if learner == "ratio" else {}
    held_out = ratio or {name: net.probability for name, net in nets.items()}
    costs = PairCosts.of(frame)
    splits = {n: _split_score(data, folds[n], nets[n], ratio.get(n), costs) for n in folds}
    if costs.energy_known < len(frame):
        notes.append(f"energy efficiency and joules are of the {costs.energy_known} pairs whose energies are known")
    return Evaluation(
        frame, rule, policy_scores(frame, held_out["random"]), splits, held_out, learner, whole - len(frame),
        tuple(notes),
    )  # fmt: skip


@dataclass(frozen=True, slots=True)
class _Nets:
    """probability: P(GPU) of each row by the net fitted without it, (n,); majority: the answer of the rest's
    majority class, (n,); unfitted: folds without a net."""

    probability: np.ndarray
    majority: np.ndarray
    unfitted: int


def folds_of(frame: pd.DataFrame, column: str | None, seed: int) -> dict[str, np.ndarray]:
    """Name of each part held out -> mask of its rows; empty where a column has one value only."""
    if column is None:
        fold = np.random.default_rng(seed).permutation(len(frame)) % FOLDS
        return {str(number): fold == number for number in range(FOLDS)}
    values = frame[column].astype(object).where(frame[column].notna(), "unknown").to_numpy()
    names = sorted({str(value) for value in values})
    return {name: values == name for name in names} if len(names) > 1 else {}


def _nets(
    data: Examples, folds: Mapping[str, Mapping[str, np.ndarray]], rule: JointThreshold, options: TrainingOptions
) -> dict[str, _Nets]:
    """Fits one net for each fold of each split, all at once, and predicts the rows held out."""
    parts = [(split, name, ~mask) for split, masks in folds.items() for name, mask in masks.items()]
    fitted = [part for part in parts if can_learn(data, part[2])]
    nets = iter(fit_many(data, [part[2] for part in fitted], rule, options) if fitted else ())
    found = {split: _Nets(np.full(len(data.gpu), np.nan), np.zeros(len(data.gpu), bool), 0) for split in folds}
    for split, _, seen in parts:
        result, majority = found[split], bool(data.gpu[seen].mean() >= 0.5)
        result.majority[~seen] = majority
        if can_learn(data, seen):
            result.probability[~seen] = next(nets).selector.probabilities(data.inputs[~seen])
        else:
            result.probability[~seen] = float(majority)
            found[split] = _Nets(result.probability, result.majority, result.unfitted + 1)
    return found


def _ratio(
    frame: pd.DataFrame, folds: Mapping[str, Mapping[str, np.ndarray]], rule: JointThreshold, seed: int
) -> dict[str, np.ndarray]:
    """Split -> P(GPU) of each row by a speed-up selector fitted without that row, (n,)."""
    made, found = of_labelled(frame), {}
    for split, masks in folds.items():
        each = [Fold(name, np.flatnonzero(~mask), np.flatnonzero(mask), seed) for name, mask in masks.items()]
        found[split] = np.full(len(frame), np.nan)
        for fold, p_gpu in zip(each, learners()["ratio"].held_out(made, each, rule), strict=True):
            found[split][fold.test] = p_gpu
    return found


def can_learn(data: Examples, part: np.ndarray) -> bool:
    """A net can be fitted to that part (a mask): both labels, and rows enough."""
    gpu = data.gpu[part].sum()
    return bool(part.sum() >= FEWEST_ROWS and 0 < gpu < part.sum())


def _split_score(
    data: Examples, folds: Mapping[str, np.ndarray], nets: _Nets, ratio: np.ndarray | None, costs: PairCosts
) -> SplitScore:
    answers = {"majority": nets.majority, "paper": nets.probability >= 0.5}
    if ratio is not None:
        answers["ratio"] = ratio >= 0.5
    chosen = answers["paper" if ratio is None else "ratio"]
    seconds, joules = costs.seconds(chosen), costs.joules(chosen)
    best_seconds, best_joules = costs.seconds(data.gpu), costs.joules(data.gpu)
    right = {name: answer == data.gpu for name, answer in answers.items()}
    return SplitScore(
        majority=float(right["majority"].mean()),
        paper=float(right["paper"].mean()),
        ratio=None if ratio is None else float(right["ratio"].mean()),
        regret_seconds=seconds / best_seconds - 1,
        regret_joules=joules / best_joules - 1 if joules and best_joules else None,
        by_fold={
            fold: {name: float(one[mask].mean()) for name, one in right.items()} | {"rows": int(mask.sum())}
            for fold, mask in folds.items()
        },
        unfitted=nets.unfitted,
    )


def _counts(column: pd.Series[Any]) -> dict[str, int]:
    return {str(name): int(count) for name, count in column.fillna("unknown").value_counts().items()}
