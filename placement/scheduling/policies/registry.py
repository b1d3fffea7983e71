"""Policies: each picks one candidate of the feasible ones. A user's own has one method.

the paper's five (Table 5)    cpu_only, gpu_only, random, flops_rule, selector: they know nothing of queues
placement.scheduling.policies.balanced, .least     balanced, min_time, min_energy, min_edp: they see what is free and
what waits
"""

from __future__ import annotations

from placement.errors import OptionError
from placement.scheduling.candidates import Policy
from placement.scheduling.policies.balanced import Balanced
from placement.scheduling.policies.fixed import CpuOnly, FlopsRule, GpuOnly, Random
from placement.scheduling.policies.map_order import End
from placement.scheduling.policies.queue_aware import MinEdp, MinEnergy, MinScorePolicy, MinTime
from placement.scheduling.policies.selector_policy import SelectorPolicy

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

ESTIMATING = (SelectorPolicy, Balanced, MinScorePolicy)
"""Policies that can say nothing of a task of which nothing is known: `placement.scheduling.decision.cold_start`
does."""

DRAWING = (Random, Balanced, MinScorePolicy)
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
            "choose(task, candidates) -> placement.scheduling.candidates.Choice."
        )
    return policy


def name_of(policy: Policy) -> str:
    """The policy's name as it is logged: the registered one, else its class."""
    return NAMES.get(type(policy)) or type(policy).__name__
