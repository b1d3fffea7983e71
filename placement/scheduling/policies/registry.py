"""Names of the policies. The first five are the paper's (Table 5); they and `selector_per_config` look at no queue."""

from __future__ import annotations

from dataclasses import replace

from placement.errors import OptionError
from placement.scheduling.candidates import Policy
from placement.scheduling.energy_price import JoulePrice
from placement.scheduling.policies.balanced import Balanced
from placement.scheduling.policies.fixed import CpuOnly, FlopsRule, GpuOnly, Random
from placement.scheduling.policies.map_order import DeviceOfMap
from placement.scheduling.policies.queue_aware import MinEdp, MinEnergy, MinScorePolicy, MinTime
from placement.scheduling.policies.selector_policy import SelectorPerConfig, SelectorPolicy

POLICIES: dict[str, type[Policy]] = {
    "cpu_only": CpuOnly,
    "gpu_only": GpuOnly,
    "random": Random,
    "flops_rule": FlopsRule,
    "selector": SelectorPolicy,
    "selector_per_config": SelectorPerConfig,
    "balanced": Balanced,
    "min_time": MinTime,
    "min_energy": MinEnergy,
    "min_edp": MinEdp,
}
"""Name -> policy, the paper's five first."""

NAMES: dict[type, str] = {kind: name for name, kind in POLICIES.items()} | {DeviceOfMap: "balanced"}


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


def priced(policy: Policy, seconds_per_joule: JoulePrice | None) -> Policy:
    """The policy with another price of a joule; as it is where that is None, or where the policy prices no joules."""
    if seconds_per_joule is None or not isinstance(policy, MinScorePolicy):
        return policy
    return replace(policy, seconds_per_joule=seconds_per_joule)


def name_of(policy: Policy) -> str:
    """The policy's name as it is logged: the registered one, else its class."""
    return NAMES.get(type(policy)) or type(policy).__name__
