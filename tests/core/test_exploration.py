from __future__ import annotations

import math
import random
from dataclasses import dataclass, replace
from typing import Any

import pytest
from core_builders import TASK, cluster, limits, snapshot

from placement.control_plane.trial_account import TrialAccount
from placement.prediction.estimate import Basis, Estimate, Spread, probability_worth
from placement.prediction.runtime_history import COLD_START_RUNS, History, Place
from placement.scheduling.decision import Decision, decide, key_of
from placement.scheduling.exploration import LEAST_PROBABILITY, NEW_RUNS, RESERVE, RESERVE_OF_NEW
from placement.scheduling.policies.registry import policy_of
from placement.scheduling.queue_model import STALE_S, Backlog, Load
from placement.scheduling.snapshot import Snapshot
from placement.scheduling.trial_budget import NO_SECONDS, TrialBudget, TrialSeconds
from placement.spec.joint_threshold import JointThreshold
from placement.spec.node import NodeSpec
from placement.spec.task import TaskSpec
from placement.spec.task_record import Rows

RULE = JointThreshold()
UNKNOWN = TaskSpec()
DRAWS = 1_000
FOUR_STD = 4 * math.sqrt(0.25 / DRAWS)


@dataclass(frozen=True)
class Believes:
    """A selector with one belief about the speed-up of any task on any node. cpu_s: seconds on the CPU."""

    speedup: Spread
    cpu_s: float = 8.0
    version: str = "believes"
    runs: int = 0
    contested_s: float | None = None

    def estimate(self, task: TaskSpec, node: NodeSpec, cpus: float) -> Estimate:
        basis, timed = (Basis(seconds_std=self.speedup.std, runs=runs) for runs in (0, self.runs))
        p_gpu = probability_worth(self.speedup, None, 0.0, JointThreshold())[0]
        gpu_s = self.cpu_s / math.exp(self.speedup.mean)
        return Estimate(
            p_gpu, self.speedup, None, self.cpu_s, gpu_s, cpu_basis=timed, gpu_basis=basis, contested_s=self.contested_s
        )

    def to_dict(self) -> dict[str, Any]:
        return {}


def queues(cpu: float = 0.0, gpu: float = 0.0, age_s: float = 0.0) -> Backlog:
    """Polled queues of one node A with so many tasks on its one CPU and its one GPU."""
    backlog = Backlog(lambda: 100.0)
    backlog.merge({("A", "cpu"): Load(1.0, cpu, cpu), ("A", "gpu"): Load(1.0, gpu, gpu)}, 100.0 - age_s)
    return backlog


def snap(belief: Spread, policy: str = "selector", **given: Any) -> Snapshot:
    given.setdefault("trials", TrialBudget(1e9, explores_known=True))
    given.setdefault("backlog", queues())
    return snapshot(Believes(belief), cluster(configs="A"), policy=policy_of(policy), **given)


def shares(snap: Snapshot, task: TaskSpec = TASK) -> tuple[dict[str, float], dict[str, Decision]]:
    """(share of each device, a decision for each) over DRAWS decisions."""
    chance = random.Random(0)
    found = [decide(task, "f", limits(), snap, chance=chance.random) for _ in range(DRAWS)]
    by_device = {one.device: one for one in found}
    return {device: sum(one.device == device for one in found) / DRAWS for device in by_device}, by_device


@pytest.mark.parametrize("policy", ["selector", "balanced", "min_time"])
@pytest.mark.parametrize("mean", [0.3, 0.9])
def test_each_device_is_taken_as_often_as_its_propensity_says(policy: str, mean: float) -> None:
    taken, decisions = shares(snap(Spread(mean, 0.6), policy))
    assert set(taken) == {"cpu", "gpu"}
    for device, decision in decisions.items():
        assert taken[device] == pytest.approx(decision.propensity, abs=FOUR_STD)
    assert sum(one.propensity for one in decisions.values()) == pytest.approx(1.0)


@pytest.mark.parametrize("mean", [-0.4, 0.2, 0.9])
def test_a_policy_of_costs_tries_with_the_share_of_draws_that_are_cheaper(mean: float) -> None:
    belief, chance = Spread(mean, 0.5), random.Random(1)
    tried = decide(TASK, "f", limits(), snap(belief, "min_time"), chance=lambda: 0.0)
    gpu_wins = sum(chance.gauss(belief.mean, belief.std) > 0 for _ in range(10 * DRAWS)) / (10 * DRAWS)
    assert (tried.device, tried.reason) == ("cpu" if mean > 0 else "gpu", f"tries_{tried.device}")
    assert tried.propensity == pytest.approx(gpu_wins if tried.device == "gpu" else 1 - gpu_wins, abs=FOUR_STD / 3)


def test_a_policy_of_the_threshold_tries_with_the_share_of_draws_that_pass_it() -> None:
    belief, chance = Spread(math.log(2.0) - 0.2, 0.4), random.Random(2)
    tried = decide(TASK, "f", limits(), snap(belief), chance=lambda: 0.0)
    passes = sum(chance.gauss(belief.mean, belief.std) > math.log(2.0) for _ in range(10 * DRAWS)) / (10 * DRAWS)
    assert (tried.device, tried.reason) == ("gpu", "tries_gpu")
    assert tried.propensity == pytest.approx(passes, abs=FOUR_STD / 3)


def never() -> float:
    raise AssertionError("nothing is to be tried, and no chance asked")


def test_a_sure_task_is_not_tried_elsewhere() -> None:
    for mean in (math.log(2.0) + 1.0, math.log(2.0) - 1.0):
        decision = decide(TASK, "f", limits(), snap(Spread(mean, 0.2)), chance=never)
        assert (decision.propensity, decision.trial) == (1.0, NO_SECONDS)


UNSURE = Spread(0.6, 0.5)


@pytest.mark.parametrize(
    "given",
    [
        {"trials": None},
        {"trials": TrialBudget(1e9)},
        {"trials": TrialBudget(1.9, explores_known=True)},  # the trial costs 2 s
        {"backlog": queues(gpu=1.0)},
        {"backlog": queues(cpu=1.0)},
        {"backlog": queues(age_s=2 * STALE_S)},
        {"backlog": Backlog()},
        {"backlog": None},
    ],
    ids=["no budget", "cold starts alone", "too dear", "busy", "the other busy", "stale", "never polled", "no queues"],
)
def test_nothing_is_tried_without_a_budget_or_an_idle_device(given: dict[str, Any]) -> None:
    decision = decide(TASK, "f", limits(), snap(UNSURE, **given), chance=never)
    assert (decision.device, decision.propensity) == ("cpu", 1.0)


def test_strict_and_policies_without_estimates_try_nothing() -> None:
    assert decide(TASK, "f", limits(strict=True), snap(UNSURE), chance=never).propensity == 1.0
    for policy in ("cpu_only", "gpu_only", "flops_rule"):
        assert decide(TASK, "f", limits(), snap(UNSURE, policy), chance=never).propensity == 1.0


def test_a_trial_costs_what_it_is_expected_to_take_longer_than_the_run_that_it_replaces() -> None:
    decision = decide(TASK, "f", limits(), snap(UNSURE), chance=lambda: 0.0)
    mean_s = 8.0 / math.exp(UNSURE.mean) * math.exp(0.5 * UNSURE.std**2)
    assert (decision.device, decision.configs) == ("gpu", ("A",))
    costs_s = RULE.speedup * mean_s - 8.0  # the run that it replaces takes 8 s of CPU
    assert decision.trial == (pytest.approx(mean_s), pytest.approx(costs_s))


COSTS_S = 2.0 * 8.0 / math.exp(0.6) * math.exp(0.125) - 8.0  # of a trial of UNSURE


@pytest.mark.parametrize(
    ("runs", "contested_s", "reserve"),
    [(NEW_RUNS, None, RESERVE), (NEW_RUNS - 1, None, RESERVE_OF_NEW), (NEW_RUNS, 0.1, 0.0)],
    ids=["known", "new", "contested"],
)
def test_a_trial_leaves_room_for_those_that_tell_more(runs: int, contested_s: float | None, reserve: float) -> None:
    costs_s = COSTS_S if contested_s is None else COSTS_S + 2.0 * 0.5 * (contested_s - 0.5 * (COSTS_S + 8.0))
    needed_s = (1.0 + reserve) * max(0.0, costs_s)
    for left_s, tries in ((needed_s - 0.1, False), (needed_s + 0.1, True)):
        state = snap(UNSURE, trials=TrialBudget(left_s, explores_known=True))
        state = replace(state, selector=Believes(UNSURE, runs=runs, contested_s=contested_s))
        assert (decide(TASK, "f", limits(), state, chance=lambda: 0.0).device == "gpu") == tries


def test_a_task_of_which_nothing_is_known_tries_an_idle_gpu() -> None:
    history = History()
    for seconds in [9.0, *[3.0] * COLD_START_RUNS]:
        history.observe(key_of("f", UNKNOWN), Place("A", "cpu", 1.0), seconds)
    taken, decisions = shares(_cold(history), UNKNOWN)
    assert decisions["gpu"].reason == "cold_start_tries_gpu"
    assert taken["gpu"] == pytest.approx(decisions["gpu"].propensity, abs=FOUR_STD)
    assert decisions["gpu"].trial.expected_s > 3.0  # it may well be slower
    for given in ({"backlog": queues(gpu=1.0)}, {"trials": TrialBudget(1.0)}):
        assert decide(UNKNOWN, "f", limits(), _cold(history, **given), chance=never).device == "cpu"


def _cold(history: History, **given: Any) -> Snapshot:
    given = {"trials": TrialBudget(1e9), "backlog": queues(), **given}
    return snapshot(None, cluster(configs="A"), history=history, **given)


def test_the_budget_counts_what_was_sent_until_a_report_does() -> None:
    budget = TrialBudget()
    budget.renew(10.0)
    budget.spend(TrialSeconds(7.0, 4.0))
    assert (budget.left_s, budget.untold(), budget.untold()) == (6.0, (7.0, 4.0), NO_SECONDS)
    budget.renew(10.0)  # it may have been made before the 4 s were told
    assert budget.left_s == 6.0
    budget.renew(6.0)
    assert budget.left_s == 6.0


@pytest.mark.parametrize("share", [0.01, 0.1])
def test_trials_cost_no_more_than_their_share_of_the_device_seconds(share: float) -> None:
    chance, account = random.Random(3), TrialAccount()
    state = snap(UNSURE, trials=TrialBudget(explores_known=True))
    assert state.trials is not None
    cost_s = 0.0
    for _ in range(1_500):
        state.trials.renew(account.left_s(share))
        decision = decide(TASK, "f", limits(), state, chance=chance.random)
        account.expect(decision.trial)
        seconds = 8.0 if decision.device == "cpu" else 9.0  # slower than expected
        cost_s += seconds - 8.0
        account.count([rows(decision.reason, seconds)])
        assert cost_s <= account.cost_s <= share * account.device_s + 4.1  # what one run may take longer than expected
    assert account.cost_s > 0.5 * share * account.device_s


def rows(reason: str, seconds: float, number: int = 1) -> Rows:
    same = {"policy": "selector", "reason": reason, "device": "gpu", "transfer_s": 0.0}
    return Rows(number, same, {"compute_s": [seconds] * number})


def test_the_account_counts_placed_tasks_and_outlives_the_actor() -> None:
    account = TrialAccount()
    account.count([rows("gpu_worth_it", 2.0, 10), rows("tries_cpu", 3.0), rows("cold_start_tries_gpu", 1.0)])
    account.count([Rows(1, {"policy": None, "device": "cpu"}, {"compute_s": [7.0]})])
    assert (account.device_s, account.trial_s, account.trials) == (24.0, 4.0, 2)
    assert TrialAccount(account.to_dict()).view(None) == account.view(None)
    assert account.left_s(0.5) == 8.0
    account.expect(TrialSeconds(5.0, 2.0))  # those that ended took no longer than expected
    assert account.left_s(0.5) == 10.0
    assert account.left_s(0.0) < 0


def test_the_least_probability_bounds_the_weight_of_a_row() -> None:
    for std in (0.2, 0.4, 0.8, 1.6):
        tried = decide(TASK, "f", limits(), snap(Spread(0.1, std)), chance=lambda: 0.0)
        assert tried.propensity >= LEAST_PROBABILITY
