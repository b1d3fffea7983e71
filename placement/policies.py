"""Policies: each picks one candidate of the feasible ones. The paper's five (Table 5); a user's own has one method.

A policy that gives each task its one best device knows nothing of queues; see `balanced` for that.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Protocol, runtime_checkable

from placement.candidates import Candidate as Candidate
from placement.candidates import Choice as Choice
from placement.candidates import Field, field_of
from placement.errors import OptionError
from placement.task import Device, TaskSpec


@runtime_checkable
class Policy(Protocol):
    """Picks one candidate. `candidates` holds at least one; the same candidates may come in any order."""

    def choose(self, task: TaskSpec, candidates: Sequence[Candidate]) -> Choice:
        """The pick, with its reason."""
        ...


def pick(device: Device, candidates: Sequence[Candidate], reason: str, propensity: float = 1.0) -> Choice:
    """That device where a candidate has it, else the other, saying so; every config that has it will do."""
    found = field_of(candidates)
    cpu, gpu = found.cpu_configs, found.gpu
    if device == "gpu" and gpu:
        return Choice("gpu", found.gpu_configs(), reason, best_probability(found), propensity)
    if device == "cpu" and cpu:
        return Choice("cpu", cpu, reason, best_probability(found), propensity)
    if device == "gpu":
        return Choice("cpu", cpu, "no_gpu_candidate")
    return Choice("gpu", found.gpu_configs(), "no_cpu_candidate")


def best_probability(candidates: Field) -> float | None:
    """The highest P(GPU) among the GPU candidates whose estimate is known."""
    known = candidates.known()
    return max(known)[0] if known else None


@dataclass(frozen=True)
class CpuOnly:
    """Every task on a CPU."""

    def choose(self, task: TaskSpec, candidates: Sequence[Candidate]) -> Choice:
        """The CPU candidates."""
        return pick("cpu", candidates, "cpu_only")


@dataclass(frozen=True)
class GpuOnly:
    """Every task that can run on a GPU on one."""

    def choose(self, task: TaskSpec, candidates: Sequence[Candidate]) -> Choice:
        """The GPU candidates."""
        return pick("gpu", candidates, "gpu_only")


@dataclass
class Random:
    """Either device with probability one half, from a seed."""

    seed: int = 0
    _random: random.Random = field(init=False, repr=False)

    def __post_init__(self) -> None:
        if isinstance(self.seed, bool) or not isinstance(self.seed, int):
            raise OptionError(f"Random(seed={self.seed!r}): the seed must be a whole number.")
        self._random = random.Random(self.seed)

    def choose(self, task: TaskSpec, candidates: Sequence[Candidate]) -> Choice:
        """A coin's side."""
        found = field_of(candidates)
        both = bool(found.cpu_configs and found.gpu)
        return pick("gpu" if self._random.random() < 0.5 else "cpu", found, "coin", 0.5 if both else 1.0)


@dataclass(frozen=True)
class FlopsRule:
    """The paper's rule-based policy: GPU where FLOPs or input bytes exceed a threshold.

    The paper gives no thresholds; ours are the round numbers that best separate its own five rows
    (MobileNetV3-Small on the CPU, the networks above it on the GPU), 1e10 FLOP a step and 1e7 input bytes.
    """

    flops: float = 1e10
    input_bytes: float = 1e7

    def choose(self, task: TaskSpec, candidates: Sequence[Candidate]) -> Choice:
        """GPU for a large task, CPU for a small or unknown one."""
        if (task.flops or 0) > self.flops:
            return pick("gpu", candidates, "many_flops")
        if (task.input_bytes or 0) > self.input_bytes:
            return pick("gpu", candidates, "large_input")
        return pick("cpu", candidates, "small_task")


@dataclass(frozen=True)
class SelectorPolicy:
    """GPU where the selector says that it is worth it, with at least this probability; the paper's policy."""

    p_least: float = 0.5

    def __post_init__(self) -> None:
        if not 0 < self.p_least < 1:
            raise OptionError(f"SelectorPolicy(p_least={self.p_least!r}): must lie between 0 and 1.")

    def choose(self, task: TaskSpec, candidates: Sequence[Candidate]) -> Choice:
        """The GPU configs that are worth it, surest first; else the CPU."""
        found = field_of(candidates)
        if not found.gpu or not found.cpu_configs:
            return pick("gpu" if found.gpu else "cpu", found, "only_device")
        known = found.known()
        if not known:
            return pick("cpu", found, "nothing_known")
        best = max(known)[0]
        worth = [one for one in known if one[0] >= self.p_least]
        doubts = found.doubts(best, known)
        if worth:
            return Choice("gpu", found.best_first(worth), f"gpu_worth_it{doubts}", best)
        return Choice("cpu", found.cpu_configs, f"gpu_not_worth_it{doubts}", best)


POLICIES: dict[str, type[Policy]] = {
    "cpu_only": CpuOnly,
    "gpu_only": GpuOnly,
    "random": Random,
    "flops_rule": FlopsRule,
    "selector": SelectorPolicy,
}
"""Name -> policy, the paper's five."""

NAMES = {kind: name for name, kind in POLICIES.items()}

STATELESS = (CpuOnly, GpuOnly, FlopsRule, SelectorPolicy)
"""Policies whose choice depends on the task and the candidates alone: their decisions may be kept."""


def policy_of(policy: str | Policy) -> Policy:
    """The policy of a name, or the user's own object; OptionError lists the valid names."""
    if isinstance(policy, str):
        if policy not in POLICIES:
            raise OptionError(f"unknown policy {policy!r}; valid are {sorted(POLICIES)}, or an object with choose().")
        return POLICIES[policy]()
    if isinstance(policy, type) or not isinstance(policy, Policy):
        raise OptionError(
            f"{policy!r} is not a policy; valid are {sorted(POLICIES)}, or an object with a method "
            "choose(task, candidates) -> placement.policies.Choice."
        )
    return policy


def name_of(policy: Policy) -> str:
    """The policy's name as it is logged: the registered one, else its class."""
    return NAMES.get(type(policy)) or type(policy).__name__
