"""The paper's policy: the GPU where the selector says that it is worth it. What all policies share stands here too."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from placement.errors import OptionError
from placement.scheduling.candidates import Candidate, CandidateSet, Choice, candidate_set
from placement.spec.task import Device, TaskSpec


def pick(device: Device, candidates: Sequence[Candidate], reason: str, propensity: float = 1.0) -> Choice:
    """A Choice of all configs of this device; of the other device, with a reason, where no candidate has this one."""
    found = candidate_set(candidates)
    cpu, gpu = found.cpu_configs, found.gpu
    if device == "gpu" and gpu:
        return Choice("gpu", found.gpu_configs(), reason, best_probability(found), propensity)
    if device == "cpu" and cpu:
        return Choice("cpu", cpu, reason, best_probability(found), propensity)
    if device == "gpu":
        return Choice("cpu", cpu, "no_gpu_candidate")
    return Choice("gpu", found.gpu_configs(), "no_cpu_candidate")


def best_probability(candidates: CandidateSet) -> float | None:
    """The highest P(GPU) among the GPU candidates whose estimate is known."""
    known = candidates.known()
    return max(known)[0] if known else None


@dataclass(frozen=True)
class SelectorPolicy:
    """GPU where the selector says that it is worth it, with at least this probability; the paper's policy."""

    needs_estimates: ClassVar[bool] = True
    stateless: ClassVar[bool] = True
    ignores_queues: ClassVar[bool] = True
    p_least: float = 0.5

    def __post_init__(self) -> None:
        if not 0 < self.p_least < 1:
            raise OptionError(f"SelectorPolicy(p_least={self.p_least!r}): must lie between 0 and 1.")

    def choose(self, task: TaskSpec, candidates: Sequence[Candidate]) -> Choice:
        """The GPU configs that are worth it, surest first; else the CPU."""
        found = candidate_set(candidates)
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
