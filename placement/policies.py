"""Policies: each picks one candidate of the feasible ones. A user's own has one method.

the paper's five (Table 5)    cpu_only, gpu_only, random, flops_rule, selector: they know nothing of queues
placement.balance, .least     balanced, min_time, min_energy, min_edp: they see what is free and what waits
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Protocol, runtime_checkable

from placement.balance import Balanced as Balanced
from placement.candidates import Candidate as Candidate
from placement.candidates import Choice as Choice
from placement.candidates import field_of
from placement.errors import OptionError
from placement.least import Least
from placement.least import MinEdp as MinEdp
from placement.least import MinEnergy as MinEnergy
from placement.least import MinTime as MinTime
from placement.ordering import End
from placement.task import TaskSpec
from placement.threshold import SelectorPolicy as SelectorPolicy
from placement.threshold import pick


@runtime_checkable
class Policy(Protocol):
    """Picks one candidate. `candidates` holds at least one; the same candidates may come in any order."""

    def choose(self, task: TaskSpec, candidates: Sequence[Candidate]) -> Choice:
        """The pick, with its reason."""
        ...


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


POLICIES: dict[str, type[Policy]] = {
    "cpu_only": CpuOnly,
    "gpu_only": GpuOnly,
    "random": Random,
    "flops_rule": FlopsRule,
    "selector": SelectorPolicy,
    "balanced": Balanced,
    "min_time": MinTime,
    "min_energy": MinEnergy,
    "min_edp": MinEdp,
}
"""Name -> policy, the paper's five first."""

PAPERS = ("cpu_only", "gpu_only", "random", "flops_rule", "selector")

ESTIMATING = (SelectorPolicy, Balanced, Least)
"""Policies that can say nothing of a task of which nothing is known: `placement.decision.cold_start` does."""

DRAWING = (Random, Balanced, Least)
"""Policies that draw by chance: they are not to be asked for a mere look."""

NAMES: dict[type, str] = {kind: name for name, kind in POLICIES.items()} | {End: "balanced"}

STATELESS = (CpuOnly, GpuOnly, FlopsRule, SelectorPolicy)
"""Policies whose choice depends on the task and the candidates alone: their decisions may be kept."""


BLIND = (CpuOnly, GpuOnly, Random, FlopsRule, SelectorPolicy)
"""Policies that look at no queue; a user's own may, as each Candidate tells its wait."""


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
