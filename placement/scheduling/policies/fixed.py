"""Policies that look at no queue and no estimate: cpu_only, gpu_only, random and the paper's rule by size."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import ClassVar

from placement.errors import OptionError
from placement.scheduling.candidate_set import candidate_set
from placement.scheduling.candidates import Candidate, Choice
from placement.scheduling.policies.selector_policy import pick
from placement.spec.task import TaskSpec


@dataclass(frozen=True)
class CpuOnly:
    """Every task on a CPU."""

    stateless: ClassVar[bool] = True
    ignores_queues: ClassVar[bool] = True

    def choose(self, task: TaskSpec, candidates: Sequence[Candidate]) -> Choice:
        """The CPU candidates."""
        return pick("cpu", candidates, "cpu_only")


@dataclass(frozen=True)
class GpuOnly:
    """Every task that can run on a GPU on one."""

    stateless: ClassVar[bool] = True
    ignores_queues: ClassVar[bool] = True

    def choose(self, task: TaskSpec, candidates: Sequence[Candidate]) -> Choice:
        """The GPU candidates."""
        return pick("gpu", candidates, "gpu_only")


@dataclass
class Random:
    """Either device with probability one half, from a seed."""

    draws: ClassVar[bool] = True
    ignores_queues: ClassVar[bool] = True
    seed: int = 0
    _random: random.Random = field(init=False, repr=False)

    def __post_init__(self) -> None:
        if isinstance(self.seed, bool) or not isinstance(self.seed, int):
            raise OptionError(f"Random(seed={self.seed!r}): the seed must be a whole number.")
        self._random = random.Random(self.seed)

    def choose(self, task: TaskSpec, candidates: Sequence[Candidate]) -> Choice:
        """Either device, by a coin."""
        found = candidate_set(candidates)
        both = bool(found.cpu_configs and found.gpu)
        return pick("gpu" if self._random.random() < 0.5 else "cpu", found, "coin", 0.5 if both else 1.0)


@dataclass(frozen=True)
class FlopsRule:
    """The paper's rule-based policy: GPU where FLOPs or input bytes exceed a threshold.

    The paper gives no thresholds; ours are the round numbers that best separate its own five rows
    (MobileNetV3-Small on the CPU, the networks above it on the GPU), 1e10 FLOP a step and 1e7 input bytes.
    """

    stateless: ClassVar[bool] = True
    ignores_queues: ClassVar[bool] = True
    flops: float = 1e10
    input_bytes: float = 1e7

    def choose(self, task: TaskSpec, candidates: Sequence[Candidate]) -> Choice:
        """GPU for a large task, CPU for a small or unknown one."""
        if (task.flops or 0) > self.flops:
            return pick("gpu", candidates, "many_flops")
        if (task.input_bytes or 0) > self.input_bytes:
            return pick("gpu", candidates, "large_input")
        return pick("cpu", candidates, "small_task")
