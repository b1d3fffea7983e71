"""`placement evaluate LOG`: the paper's five policies as in its Table 5, and how right the selector is on what it has
not seen.

Every figure of the selector comes from nets fitted without the pair they are asked about: for Table 5 from a random
split into FOLDS, for the accuracies from the split named. Tasks with one implementation count in none of it.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from placement.policies import Candidate, Policy, Random, policy_of
from placement.records import read_log
from placement.rule import JointThreshold
from placement.selector import Estimate
from placement.task import TaskSpec
from profiling.dataset import labelled, pairs
from profiling.training import FEWEST_ROWS, Examples, TrainingOptions, examples, fit_many

if TYPE_CHECKING:
    import pandas as pd

FOLDS = 5
RANDOM_SEEDS = 10
"""The random policy is the mean over so many seeds."""
SPLITS = {"random": None, "config": "config", "workload": "workload"}
"""Split -> the column of which one value at a time is held out; random: one of FOLDS parts."""
POLICY_NAMES = ("cpu_only", "gpu_only", "random", "flops_rule", "selector", "oracle")


@dataclass(frozen=True, slots=True)
class PolicyScore:
    """A row of Table 5.

    throughput: tasks / sum of seconds on the devices chosen, CPU-only = 1.  energy_efficiency: joules of gpu_only /
    joules of the policy, over the pairs whose energies are known; None where none is.  selection_accuracy: share of
    the choices that are the rule's; None for the two that choose nothing.  gpu_reduction: 1 - GPU seconds / GPU
    seconds of gpu_only.
    """

    throughput: float
    energy_efficiency: float | None
    selection_accuracy: float | None
    gpu_reduction: float


@dataclass(frozen=True, slots=True)
class SplitScore:
    """How right a net is on pairs held out of its fit, all folds pooled, beside the majority class of the rest.

    regret_seconds, regret_joules: of the devices taken less the oracle's, as a share of the oracle's sum; below zero
    where disobeying the rule was faster (it asks for more than being faster). None where no energy is known.
    by_fold: value held out -> majority, paper, rows.  unfitted: folds whose rest had one class only: majority taken.
    """

    majority: float
    paper: float
    regret_seconds: float
    regret_joules: float | None
    by_fold: Mapping[str, Mapping[str, float]]
    unfitted: int = 0


@dataclass(frozen=True)
class Evaluation:
    """What `evaluate` finds. held_out: split -> P(GPU) of each row of `frame`, by a net that has not seen it."""

    frame: pd.DataFrame
    rule: JointThreshold
    policies: Mapping[str, PolicyScore]
    splits: Mapping[str, SplitScore]
    held_out: Mapping[str, np.ndarray]
    left_out: int = 0
    notes: tuple[str, ...] = field(default=())

    @property
    def accuracy(self) -> dict[str, dict[str, float]]:
        """Split -> accuracy of the majority class and of the paper's net."""
        return {name: {"majority": score.majority, "paper": score.paper} for name, score in self.splits.items()}

    def to_dict(self) -> dict[str, Any]:
        """What `--json` writes."""
        return {
            "pairs": len(self.frame),
            "pairs_gpu": int((self.frame["label"] == "gpu").sum()),
            "pairs_left_out": self.left_out,
            "thresholds": asdict(self.rule),
            "provenance": {name: _counts(self.frame[name]) for name in ("time_provenance", "energy_provenance")},
            "policies": {name: asdict(score) for name, score in self.policies.items()},
            "accuracy": self.accuracy,
            "splits": {name: asdict(score) for name, score in self.splits.items()},
            "notes": list(self.notes),
        }


def evaluate(
    log: str | os.PathLike[str], *, rule: JointThreshold | None = None, options: TrainingOptions | None = None
) -> Evaluation:
    """Evaluates the pairs of a log (a path or URI). Raises LogError where it has none, or one class only."""
    rule = rule or JointThreshold()
    return evaluate_frame(labelled(pairs(read_log(log)), rule, both_classes=True), rule, options)


def evaluate_frame(
    frame: pd.DataFrame, rule: JointThreshold | None = None, options: TrainingOptions | None = None
) -> Evaluation:
    """As `evaluate`, of a labelled frame (see `profiling.dataset.labelled`). Pairs with unknown features are left out,
    and counted. Raises LogError where too few are left."""
    rule, options = rule or JointThreshold(), options or TrainingOptions()
    data, known = examples(frame)
    whole = len(frame)
    frame = frame[known].reset_index(drop=True)
    folds = {name: folds_of(frame, column, options.seed) for name, column in SPLITS.items()}
    notes = [f"{name}: there is one {name} only, so none can be held out" for name in folds if not folds[name]]
    folds = {name: parts for name, parts in folds.items() if parts}
    held_out = _held_out(data, folds, rule, options)
    costs = Costs.of(frame)
    splits = {name: _split_score(data, folds[name], held_out[name], costs) for name in folds}
    if costs.energy_known < len(frame):
        notes.append(f"energy efficiency and joules are of the {costs.energy_known} pairs whose energies are known")
    return Evaluation(
        frame, rule, policy_scores(frame, held_out["random"]), splits,
        {name: fold.probability for name, fold in held_out.items()}, whole - len(frame), tuple(notes),
    )  # fmt: skip


def policy_scores(
    frame: pd.DataFrame, probability: np.ndarray | _HeldOut, weights: np.ndarray | None = None
) -> dict[str, PolicyScore]:
    """Table 5: the paper's five policies and the oracle, by the real policies on real candidates.

    frame: labelled pairs.  probability: P(GPU) of each, shape (n,).  weights: how often each pair occurs; None: once.
    """
    p_gpu = probability.probability if isinstance(probability, _HeldOut) else probability
    costs = Costs.of(frame, weights)
    asked = [_candidates(pair, p) for pair, p in zip(frame.to_dict("records"), p_gpu, strict=True)]
    oracle = (frame["label"] == "gpu").to_numpy()
    scores = {}
    for name in POLICY_NAMES:
        if name == "oracle":
            choices = [oracle]
        elif name == "random":
            choices = [_choices(Random(seed), asked) for seed in range(RANDOM_SEEDS)]
        else:
            choices = [_choices(policy_of(name), asked)]
        each = [costs.score(choice, oracle) for choice in choices]
        scores[name] = _mean_score(each, name not in ("cpu_only", "gpu_only"))
    return scores


Asked = tuple[TaskSpec, tuple[Candidate, Candidate]]


def _candidates(pair: Mapping[str, Any], p_gpu: float) -> Asked:
    """The task of a pair and its two candidates, as `decide` would hand them to a policy."""
    task = TaskSpec(
        flops=pair["flops"], input_bytes=pair["input_bytes"], batch_size=int(pair["batch_size"]),
        parameters=int(pair["parameters"]), steps=1 if pair["steps"] is None or pair["steps"] != pair["steps"]
        else int(pair["steps"]),
    )  # fmt: skip
    estimate = Estimate(float(p_gpu)) if np.isfinite(p_gpu) else None
    config, cpus = str(pair["config"]), pair["cpus"]
    cpus = 1.0 if cpus is None or cpus != cpus else float(cpus)
    return task, (Candidate(config, "cpu", cpus, 0.0, estimate), Candidate(config, "gpu", cpus, 1.0, estimate))


def _choices(policy: Policy, asked: Sequence[Asked]) -> np.ndarray:
    """(n,): whether the policy takes the GPU."""
    return np.array([policy.choose(task, candidates).device == "gpu" for task, candidates in asked])


@dataclass(frozen=True, slots=True)
class Costs:
    """Seconds and joules of each pair on each device, (n,); joules are NaN where either device's is unknown."""

    cpu_seconds: np.ndarray
    gpu_seconds: np.ndarray
    cpu_joules: np.ndarray
    gpu_joules: np.ndarray
    weights: np.ndarray

    @classmethod
    def of(cls, frame: pd.DataFrame, weights: np.ndarray | None = None) -> Costs:
        """Of a labelled frame. weights: how often each pair occurs; None: once."""
        columns = [
            frame[f"{device}_{what}"].to_numpy(dtype=np.float64)
            for what in ("seconds", "joules")
            for device in ("cpu", "gpu")
        ]
        either = ~np.isfinite(columns[2]) | ~np.isfinite(columns[3])
        joules = [np.where(either, np.nan, column) for column in columns[2:]]
        return cls(*columns[:2], *joules, np.ones(len(frame)) if weights is None else np.asarray(weights, float))

    @property
    def energy_known(self) -> int:
        """Pairs whose joules are known on both devices."""
        return int(np.isfinite(self.cpu_joules).sum())

    def seconds(self, gpu: np.ndarray) -> float:
        """Of all, those of the mask on the GPU."""
        return float((np.where(gpu, self.gpu_seconds, self.cpu_seconds) * self.weights).sum())

    def joules(self, gpu: np.ndarray) -> float | None:
        """Likewise; None where none is known."""
        return float(np.nansum(np.where(gpu, self.gpu_joules, self.cpu_joules) * self.weights)) or None

    def score(self, gpu: np.ndarray, oracle: np.ndarray) -> PolicyScore:
        """Of one choice (a mask: on the GPU) beside the oracle's."""
        always, never = np.ones(len(gpu), bool), np.zeros(len(gpu), bool)
        joules, all_gpu = self.joules(gpu), self.joules(always)
        busy = float((self.gpu_seconds * self.weights)[gpu].sum())
        return PolicyScore(
            self.seconds(never) / self.seconds(gpu),
            all_gpu / joules if joules and all_gpu else None,
            float(np.average(gpu == oracle, weights=self.weights)),
            1 - busy / self.seconds(always),
        )


def _mean_score(scores: Sequence[PolicyScore], chooses: bool) -> PolicyScore:
    energy = [score.energy_efficiency for score in scores if score.energy_efficiency is not None]
    return PolicyScore(
        float(np.mean([score.throughput for score in scores])),
        float(np.mean(energy)) if energy else None,
        float(np.mean([score.selection_accuracy for score in scores])) if chooses else None,
        float(np.mean([score.gpu_reduction for score in scores])),
    )


@dataclass(frozen=True, slots=True)
class _HeldOut:
    """probability: P(GPU) of each row by the net that has not seen it, (n,); majority: the answer of the rest's
    majority class, (n,); unfitted: folds without a net."""

    probability: np.ndarray
    majority: np.ndarray
    unfitted: int


def folds_of(frame: pd.DataFrame, column: str | None, seed: int) -> dict[str, np.ndarray]:
    """Name of what is held out -> mask of it; empty where a column has one value only."""
    if column is None:
        fold = np.random.default_rng(seed).permutation(len(frame)) % FOLDS
        return {str(number): fold == number for number in range(FOLDS)}
    values = frame[column].astype(object).where(frame[column].notna(), "unknown").to_numpy()
    names = sorted({str(value) for value in values})
    return {name: values == name for name in names} if len(names) > 1 else {}


def _held_out(
    data: Examples, folds: Mapping[str, Mapping[str, np.ndarray]], rule: JointThreshold, options: TrainingOptions
) -> dict[str, _HeldOut]:
    """Fits one net for each fold of each split, all at once, and asks it about what it has not seen."""
    parts = [(split, name, ~mask) for split, masks in folds.items() for name, mask in masks.items()]
    fitted = [part for part in parts if can_learn(data, part[2])]
    nets = iter(fit_many(data, [part[2] for part in fitted], rule, options) if fitted else ())
    found = {split: _HeldOut(np.full(len(data.gpu), np.nan), np.zeros(len(data.gpu), bool), 0) for split in folds}
    for split, _, seen in parts:
        result, majority = found[split], bool(data.gpu[seen].mean() >= 0.5)
        result.majority[~seen] = majority
        if can_learn(data, seen):
            result.probability[~seen] = next(nets).selector.probabilities(data.inputs[~seen])
        else:
            result.probability[~seen] = float(majority)
            found[split] = _HeldOut(result.probability, result.majority, result.unfitted + 1)
    return found


def can_learn(data: Examples, part: np.ndarray) -> bool:
    """A net can be fitted to that part (a mask): both labels, and rows enough."""
    gpu = data.gpu[part].sum()
    return bool(part.sum() >= FEWEST_ROWS and 0 < gpu < part.sum())


def _split_score(data: Examples, folds: Mapping[str, np.ndarray], held_out: _HeldOut, costs: Costs) -> SplitScore:
    chosen = held_out.probability >= 0.5
    seconds, joules = costs.seconds(chosen), costs.joules(chosen)
    best_seconds, best_joules = costs.seconds(data.gpu), costs.joules(data.gpu)
    return SplitScore(
        majority=float((held_out.majority == data.gpu).mean()),
        paper=float((chosen == data.gpu).mean()),
        regret_seconds=seconds / best_seconds - 1,
        regret_joules=joules / best_joules - 1 if joules and best_joules else None,
        by_fold={
            name: {
                "majority": float((held_out.majority == data.gpu)[mask].mean()),
                "paper": float((chosen == data.gpu)[mask].mean()),
                "rows": int(mask.sum()),
            }
            for name, mask in folds.items()
        },
        unfitted=held_out.unfitted,
    )


def _counts(column: pd.Series[Any]) -> dict[str, int]:
    return {str(name): int(count) for name, count in column.fillna("unknown").value_counts().items()}
