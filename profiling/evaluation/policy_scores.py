"""Table 5 of labelled pairs: costs and accuracy of the paper's policies and of the oracle."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from placement.prediction.estimate import Estimate
from placement.scheduling.candidates import Candidate, Policy
from placement.scheduling.policies.fixed import Random
from placement.scheduling.policies.registry import policy_of
from placement.spec.task import TaskSpec

if TYPE_CHECKING:
    import pandas as pd

RANDOM_SEEDS = 10
"""The random policy is the mean over so many seeds."""
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


def policy_scores(frame: pd.DataFrame, p_gpu: np.ndarray, weights: np.ndarray | None = None) -> dict[str, PolicyScore]:
    """Table 5: the paper's five policies and the oracle, by the real policies on real candidates.

    frame: labelled pairs.  p_gpu: of each, shape (n,).  weights: how often each pair occurs; None: once.
    """
    costs = PairCosts.of(frame, weights)
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
    """The task of a pair and its two candidates, in the form that `decide` gives to a policy."""
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
class PairCosts:
    """Seconds and joules of each pair on each device, (n,); joules are NaN where either device's is unknown."""

    cpu_seconds: np.ndarray
    gpu_seconds: np.ndarray
    cpu_joules: np.ndarray
    gpu_joules: np.ndarray
    weights: np.ndarray

    @classmethod
    def of(cls, frame: pd.DataFrame, weights: np.ndarray | None = None) -> PairCosts:
        """The costs of a labelled frame. weights: how often each pair occurs; None: once."""
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
        """Seconds of all pairs, those of the mask on the GPU."""
        return float((np.where(gpu, self.gpu_seconds, self.cpu_seconds) * self.weights).sum())

    def joules(self, gpu: np.ndarray) -> float | None:
        """Joules of all pairs, those of the mask on the GPU; None where none is known."""
        return float(np.nansum(np.where(gpu, self.gpu_joules, self.cpu_joules) * self.weights)) or None

    def score(self, gpu: np.ndarray, oracle: np.ndarray) -> PolicyScore:
        """The score of one choice (a mask: on the GPU) beside the oracle's."""
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
