"""decide(): task, limits and snapshot in, one Decision out.

Pure: what the cluster is like comes in as a Snapshot; nothing here asks it anything.
"""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from itertools import chain

from placement.deprecation import deprecated_attribute
from placement.prediction.runtime_history import COLD_START_RUNS, Key, RunHistory, size_of
from placement.scheduling.candidate_set import CandidateSet
from placement.scheduling.candidates import Choice, Comparison, Policy, Tiers, has
from placement.scheduling.exploration import cold_start_trial, drawn, explored
from placement.scheduling.feasibility import Limits
from placement.scheduling.gpu_share import GpuShare
from placement.scheduling.policies.registry import name_of
from placement.scheduling.snapshot import Snapshot
from placement.scheduling.trial_budget import NO_SECONDS, TrialSeconds
from placement.spec.task import Device, TaskSpec

AWAITS_NODE = "awaits_node"
"""Added to a decision's reason where no node of its configs runs: the task waits for the autoscaler to start one."""
COLD_START = "cold_start"
COLD_START_TRIAL = "cold_start_tries_gpu"
MOST_TIERS = 8  # label selectors that Ray tries one after the other for each task


@dataclass(frozen=True, slots=True)
class Decision:
    """The device and the kinds of node picked for one task, and why.

    config: the best of the kinds of node that will do; configs: all of them, best first.  tiers: the configs in groups
    that are as good, best first: Ray takes the best that is free; empty: any of the configs is as good.  cpus, gpus:
    granted.  probability: P(GPU) it was decided on.  propensity: the probability with which the policy picks this
    device here, 1.0 unless it explores.  gpu_busy: where the function allows shares of a GPU, how busy it is expected
    to keep the whole of it, 0-1.  wait_s, seconds: expected before and for the run, where the policy looked at
    them.  backlog_age_s: since the cluster's queues were last polled; None = they are not known.  comparison: as in
    `Choice`.  gpu_price, joules: as in `Choice`; whoever sends the task
    takes them over (`Backlog.enqueue`).  trial: as in `Choice`; whoever sends the task charges it to
    `Snapshot.trials`.
    """

    device: Device
    config: str | None
    configs: tuple[str, ...]
    cpus: float
    gpus: float
    reason: str
    policy: str
    selector_version: str
    snapshot_version: int
    probability: float | None = None
    propensity: float = 1.0
    gpu_busy: float | None = None
    wait_s: float | None = None
    seconds: float | None = None
    backlog_age_s: float | None = None
    comparison: Comparison | None = None
    gpu_price: float | None = None
    tiers: Tiers = ()
    trial: TrialSeconds = NO_SECONDS
    joules: float | None = None
    weighed = deprecated_attribute("weighed", "comparison", until="0.4")


def decide(
    task: TaskSpec, function: str, limits: Limits, snapshot: Snapshot, *,
    policy: Policy | None = None, chance: Callable[[], float] = random.random,
) -> Decision:  # fmt: skip
    """The decision for one task.

    task: what it is.  function: its name, under which history keeps it.  policy: instead of the snapshot's.
    chance: uniform numbers in [0, 1), asked only where the decision explores.
    """
    history = snapshot.history
    seen = history.known((function, size_of(task))) if len(history) else None
    candidates = snapshot.candidate_table(limits).candidates(task, seen)
    return decide_among(candidates, task, seen, limits, snapshot, policy or snapshot.policy, chance)


def decide_among(
    candidates: CandidateSet, task: TaskSpec, seen: RunHistory | None, limits: Limits, snapshot: Snapshot,
    policy: Policy, chance: Callable[[], float],
) -> Decision:  # fmt: skip
    """The decision for one task whose candidates are known. seen: its earlier runs."""
    if not candidates.gpu and not candidates.cpu_configs:
        choice = Choice("cpu", (), "no_candidate")
    elif has(policy, "needs_estimates") and not candidates.is_known():
        choice = cold_start(candidates, seen, limits, snapshot, chance)
    else:
        choice = policy.choose(task, candidates)
        trials = snapshot.trials
        if trials is not None and trials.explores_known and not limits.strict:
            choice = explored(choice, candidates, policy, trials, chance)
    shares = candidates.shares
    if shares is None or choice.device == "cpu" or not choice.configs:
        return _decision(choice, limits, snapshot, policy)
    share = shares[choice.configs[0]]
    return _decision(within_share(choice, shares), limits, snapshot, policy, share)


def within_share(choice: Choice, shares: Mapping[str, GpuShare]) -> Choice:
    """The choice without configs that would have to grant more than the best one: Ray is asked for one number."""
    most = shares[choice.configs[0]].gpus
    tiers = tuple([kept for tier in choice.tiers if (kept := tuple([c for c in tier if shares[c].gpus <= most]))])
    return replace(choice, configs=tuple([c for c in choice.configs if shares[c].gpus <= most]), tiers=tiers)


def cold_start(
    candidates: CandidateSet, seen: RunHistory | None, limits: Limits, snapshot: Snapshot, chance: Callable[[], float]
) -> Choice:
    """The choice for a task of which nothing is known: the CPU until it was timed, then now and then an idle GPU."""
    cpu = soonest_first(candidates)
    if not cpu or not candidates.gpu:
        return Choice("cpu", cpu, "only_device") if cpu else Choice("gpu", candidates.gpu_configs(), "only_device")
    choice, trials = Choice("cpu", cpu, COLD_START), snapshot.trials
    if limits.strict or trials is None or seen is None or seen.warm_runs("cpu") < COLD_START_RUNS:
        return choice
    return drawn(choice, cold_start_trial(candidates, seen, snapshot.thresholds), COLD_START_TRIAL, trials, chance)


def soonest_first(candidates: CandidateSet) -> tuple[str, ...]:
    """The configs of the CPU candidates, from the shortest queue on: any will do, and the task counts at the first."""
    configs, waits = candidates.cpu_configs, candidates.waits
    if waits is None or len(configs) < 2:
        return configs
    wait_s = dict(zip(configs, waits.waits_s([(config, "cpu") for config in configs]), strict=True))
    return tuple(sorted(configs, key=lambda config: wait_s[config] or 0.0))


def _decision(
    choice: Choice, limits: Limits, snapshot: Snapshot, policy: Policy, share: GpuShare | None = None
) -> Decision:
    device, configs, waits = choice.device, choice.configs, snapshot.backlog
    reason = choice.reason
    if snapshot.planned and configs and snapshot.planned.issuperset(configs):
        reason = f"{reason}, {AWAITS_NODE}"
    gpus = 0.0 if device == "cpu" else limits.gpus if share is None else share.gpus
    return Decision(
        device, configs[0] if configs else None, configs, limits.cpus[device], gpus,
        reason, name_of(policy), snapshot.selector.version, snapshot.version, choice.probability,
        choice.propensity, share and share.busy, choice.wait_s, choice.seconds, None if waits is None else waits.age_s,
        choice.comparison, choice.gpu_price, choice.tiers, choice.trial, choice.joules,
    )  # fmt: skip


def preferred(decision: Decision, offered: CandidateSet, most: int = MOST_TIERS) -> Tiers:
    """The configs in the order in which Ray is to try them: the decision's, then the spare one.

    most: of the decision's own tiers; the last of them holds all that are left.
    """
    tiers = decision.tiers or ((decision.configs,) if decision.configs else ())
    if len(tiers) > most:
        tiers = (*tiers[: most - 1], tuple(chain.from_iterable(tiers[most - 1 :])))
    other = spare(decision, offered)
    return (*tiers, (other,)) if other else tiers


def spare(decision: Decision, offered: CandidateSet) -> str | None:
    """The config beside those chosen where the same device takes the least seconds; None where there is none other.

    Ray is told of it, so that a task does not wait for ever for a config that has gone. Ray also takes it where it is
    free while the chosen ones are not; with one spare alone that made 2 % of the makespan in simulation.
    """
    chosen, best = set(decision.configs), (math.inf, math.inf, "")
    shares = offered.shares if decision.device == "gpu" else None
    for i, one in enumerate(offered.groups):
        configs = one.cpu if decision.device == "cpu" else one.gpu if i in offered.gpu else ()
        configs = configs if shares is None else tuple([c for c in configs if shares[c].gpus <= decision.gpus])
        other = next((config for config in configs if config not in chosen), None)
        if other is not None:
            e = offered.estimate(i)
            seconds = None if e is None else e.seconds_on(decision.device)
            p = 0.0 if e is None else e.p_gpu
            best = min(best, (math.inf if seconds is None else seconds, -p, other))
    return best[2] or None


def key_of(function: str, task: TaskSpec) -> Key:
    """The key under which history keeps a function's runs at this size."""
    return function, size_of(task)
