"""Exploration: now and then a task tries the device that was not chosen, where that could pay, under a budget. Pure.

    what      Thompson sampling: the other device is taken with the probability that a draw from the beliefs about the
              task makes it the better one. For a policy that reads the threshold (`selector`) that is the probability
              of the threshold's other outcome, for one that compares costs (`balanced`, `min_time`, ...) that of a
              normal difference of logarithms.
    where     where both devices idle: a trial then takes no more than its own seconds, and what it tells of the task is
              not what it tells of the queues (`profiling.learning_loop.queue_coupling`)
    how much  `TrialBudget`: what trials cost beyond the runs in whose place they are is at most a share of all device
              seconds; a second of GPU counts as many seconds of CPU as the rule's least speed-up
    first     what a challenger on trial would send elsewhere (`Estimate.contested_s`), then work that has hardly run on
              that kind of node yet; a trial leaves a RESERVE for what comes before it

The propensity of the device taken follows in closed form: it is exact for the estimates, the queues and the budget at
that moment, which are all that the draw depends on.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from dataclasses import replace
from statistics import NormalDist
from typing import NamedTuple

from placement.prediction.estimate import Estimate
from placement.prediction.posterior import PRIOR_STD
from placement.prediction.runtime_history import RunHistory
from placement.scheduling.candidate_set import CandidateSet
from placement.scheduling.candidates import Choice, Policy, Waits, has
from placement.scheduling.cost_model import SECONDS_PER_JOULE, Option, options_of
from placement.scheduling.policies.queue_aware import CostTable, MinScorePolicy, stale
from placement.scheduling.trial_budget import TrialBudget, TrialSeconds
from placement.spec.joint_threshold import JointThreshold
from placement.spec.task import OTHER_DEVICE, Device

RESERVE, RESERVE_OF_NEW = 20.0, 3.0
"""A trial leaves a budget for so many more: for work, and for kinds of node, that are yet to come, and challengers."""
LEAST_PROBABILITY = 0.02
"""A device that is better with less than this probability is not tried: no row of the log weighs more than 50."""
NEW_RUNS = 3
"""Work that has run less often on a kind of node is new there."""
MOST_PROBABILITY = 0.5
"""A policy may take what is dearer by its estimates, for its queues: more than every second task is not tried."""
STANDARD = NormalDist()


class Trial(NamedTuple):
    """A device that could be tried. configs: idle ones, of nodes alike.

    probability: of the draw that takes it.  seconds: of the run as estimated, None = not known.  costs: by the mean of
    the belief about them, which is charged to the budget.  reserve: so many more trials that the budget must have left.
    """

    device: Device
    configs: tuple[str, ...]
    probability: float
    seconds: float | None
    costs: TrialSeconds
    reserve: float = 0.0

    def fits(self, left_s: float) -> bool:
        """Whether a budget has room for it."""
        return self.costs.excess_s * (1.0 + self.reserve) <= left_s


def explored(
    choice: Choice, found: CandidateSet, policy: Policy, budget: TrialBudget, chance: Callable[[], float]
) -> Choice:
    """The choice of a policy, or a trial of the other device in its place; with its propensity.

    chance: uniform numbers in [0, 1), asked only where there is something to try.
    """
    if choice.propensity != 1.0 or not has(policy, "needs_estimates"):
        return choice
    return drawn(choice, trial_of(choice, found, policy), f"tries_{OTHER_DEVICE[choice.device]}", budget, chance)


def drawn(choice: Choice, trial: Trial | None, reason: str, budget: TrialBudget, chance: Callable[[], float]) -> Choice:
    """The choice, or the trial with its probability, where the budget has room for it. reason: of the trial."""
    if trial is None or trial.probability < LEAST_PROBABILITY or not trial.fits(budget.left_s):
        return choice
    if chance() >= trial.probability:
        return replace(choice, propensity=1.0 - trial.probability)
    return Choice(
        trial.device, trial.configs, reason, choice.probability, trial.probability, 0.0, trial.seconds,
        gpu_price=choice.gpu_price, trial=trial.costs,
    )  # fmt: skip


def trial_of(choice: Choice, found: CandidateSet, policy: Policy) -> Trial | None:
    """The trial of the other device; None where it could not pay, or where one of the two has a queue."""
    device = OTHER_DEVICE[choice.device]
    if has(policy, "ignores_queues") and threshold_probability(choice, device) < LEAST_PROBABILITY:
        return None
    options = _options(found, policy)
    own = [one for one in options if one.device == choice.device and not set(one.configs).isdisjoint(choice.configs)]
    idle = [one for option in options if option.device == device and (one := _idle(option, found.waits)).configs]
    if not idle or not own or not _idle(own[0], found.waits).configs:
        return None
    taken, best = own[0], idle[0]
    std = _log_cost_std(found, taken, best)
    if has(policy, "ignores_queues"):
        probability = threshold_probability(choice, device)
    else:
        probability = cheaper_probability(choice, taken, best, std)
    estimate = found.estimate(best.group)
    return Trial(
        device, best.configs, min(probability, MOST_PROBABILITY), best.seconds,
        trial_seconds(device, expected_s(best.seconds, std, estimate), taken.seconds, found.thresholds),
        reserve_of(estimate),
    )  # fmt: skip


def expected_s(seconds: float, std: float, estimate: Estimate | None) -> float:
    """The mean of the belief about a trial's seconds; of both beliefs, where a challenger has another.

    seconds, std: by the selector in service, the latter of their logarithm.
    """
    own = seconds * math.exp(0.5 * std * std)
    return own if estimate is None or estimate.contested_s is None else 0.5 * (own + estimate.contested_s)


def reserve_of(estimate: Estimate | None) -> float:
    """The trials that a budget must have left beside one of such a task."""
    if estimate is None or estimate.contested_s is not None:
        return 0.0
    return RESERVE_OF_NEW if estimate.cpu_basis.runs + estimate.gpu_basis.runs < NEW_RUNS else RESERVE


def trial_seconds(device: Device, expected_s: float, replaced_s: float, rule: JointThreshold) -> TrialSeconds:
    """The costs of a run on a device in place of one on the other device, which was expected to take `replaced_s`."""
    rates = {"cpu": 1.0, "gpu": rule.speedup}
    return TrialSeconds(expected_s, max(0.0, rates[device] * expected_s - rates[OTHER_DEVICE[device]] * replaced_s))


def cold_start_trial(found: CandidateSet, seen: RunHistory, thresholds: JointThreshold) -> Trial | None:
    """The trial of an idle GPU by a task of which its CPU runs alone are known; None where no GPU idles.

    Its speed-up is believed to lie around 1, a factor of exp(PRIOR_STD) either way.
    """
    configs = idle_of(found.gpu_configs(), "gpu", found.waits)
    timed = [(t.seconds, t.runs) for place, t in seen.timings.items() if place.device == "cpu" and t.seconds]
    if not configs or not timed:
        return None
    seconds = sum(mean * runs for mean, runs in timed if mean) / sum(runs for _, runs in timed)
    probability = STANDARD.cdf(-math.log(thresholds.speedup) / PRIOR_STD)
    costs = trial_seconds("gpu", seconds * math.exp(0.5 * PRIOR_STD**2), seconds, thresholds)
    return Trial("gpu", configs, probability, None, costs)


def idle_of(configs: Iterable[str], device: Device, waits: Waits | None) -> tuple[str, ...]:
    """The configs with a free device, by queues that were polled of late; none where nothing is known of them."""
    if waits is None or stale(waits):
        return ()
    names = tuple(configs)
    known = waits.waits_s([(config, device) for config in names])
    return tuple([config for config, wait in zip(names, known, strict=True) if wait == 0.0])


def threshold_probability(choice: Choice, device: Device) -> float:
    """The probability that the threshold's outcome is the device; 0 where the choice tells none."""
    p = choice.probability
    return 0.0 if p is None else p if device == "gpu" else 1.0 - p


def cheaper_probability(choice: Choice, own: Option, other: Option, std: float) -> float:
    """The probability that another option ends cheaper than the one taken: of a normal difference of logarithms."""
    price = max(1.0, choice.gpu_price or 1.0)
    costs = [one.cost * (price if one.device == "gpu" else 1.0) for one in (own, other)]
    gain = math.log((costs[0] + (choice.wait_s or 0.0)) / costs[1])
    return STANDARD.cdf(gain / std) if std > 0 else float(gain > 0)


def may_explore(probability: float | None) -> bool:
    """Whether a threshold's probability leaves a device to be tried, now or once the budget has room."""
    return probability is None or LEAST_PROBABILITY <= probability <= 1.0 - LEAST_PROBABILITY


class SortedOptions(NamedTuple):
    """The options of a CandidateSet as a policy compares them, the cheapest first; kept with it."""

    policy: Policy
    options: list[Option]


def _options(found: CandidateSet, policy: Policy) -> list[Option]:
    """All options, the cheapest first; `cost` is the figure that the policy compares."""
    kept = found.sorted_options
    if not isinstance(kept, SortedOptions) or kept.policy is not policy:
        kept = found.sorted_options = SortedOptions(policy, _sorted_options(found, policy))
    return kept.options


def _sorted_options(found: CandidateSet, policy: Policy) -> list[Option]:
    kept = found.costs
    if isinstance(kept, CostTable) and kept.all is not None:
        options = kept.all.options
    else:
        options = [option.priced(SECONDS_PER_JOULE) for option in options_of(found) or ()]
    if isinstance(policy, MinScorePolicy):
        options = [option._replace(cost=policy.cost_of(option)) for option in options]
    return sorted(options, key=lambda option: option.cost)


def _idle(option: Option, waits: Waits | None) -> Option:
    return option._replace(configs=idle_of(option.configs, option.device, waits))


def _log_cost_std(found: CandidateSet, own: Option, other: Option) -> float:
    """Standard deviation of the logarithm of two options' ratio: of their seconds, or of the speed-up where less."""
    deviations = []
    for option in (own, other):
        estimate = found.estimate(option.group)
        std = None if estimate is None else estimate.basis_on(option.device).seconds_std
        deviations.append(PRIOR_STD if std is None else std)
    gpu = found.estimate(own.group if own.device == "gpu" else other.group)
    of_both = math.hypot(*deviations)
    return of_both if gpu is None or gpu.speedup is None else min(of_both, gpu.speedup.std)
