from __future__ import annotations

import math
from collections import Counter
from dataclasses import replace
from typing import Any

import pytest
from core_builders import TASK
from hypothesis import given
from hypothesis import strategies as st

from placement.errors import OptionError
from placement.prediction.estimate import Estimate, Spread
from placement.scheduling.candidates import CAPABILITIES, Candidate, Choice, Policy, has
from placement.scheduling.policies.fixed import CpuOnly, FlopsRule, GpuOnly, Random
from placement.scheduling.policies.registry import POLICIES, name_of, policy_of
from placement.scheduling.policies.selector_policy import SelectorPerConfig, SelectorPolicy
from placement.spec.joint_threshold import DeviceRun, JointThreshold
from placement.spec.task import TaskSpec


def candidate(config: str, device: Any, p_gpu: float | None = None, **said: Any) -> Candidate:
    gpus = 1.0 if device == "gpu" else 0.0
    return Candidate(config, device, 1.0, gpus, None if p_gpu is None else Estimate(p_gpu, **said))


CPUS = [candidate("A", "cpu", 0.2), candidate("B", "cpu", 0.9)]
GPUS = [candidate("A", "gpu", 0.2), candidate("B", "gpu", 0.9)]
BOTH = CPUS + GPUS
SMALL = TaskSpec(flops=1e6, input_bytes=1e3)


def test_the_papers_five_are_there_by_name() -> None:
    papers = ["cpu_only", "gpu_only", "random", "flops_rule", "selector"]
    assert list(POLICIES) == [*papers, "selector_per_config", "balanced", "min_time", "min_energy", "min_edp"]
    for name, kind in POLICIES.items():
        assert isinstance(policy_of(name), kind)
        assert isinstance(policy_of(name), Policy)
        assert name_of(policy_of(name)) == name


@pytest.mark.parametrize("name", POLICIES)
def test_with_one_device_alone_it_is_taken(name: str) -> None:
    cpu, gpu = policy_of(name).choose(TASK, CPUS), policy_of(name).choose(TASK, GPUS)
    assert (cpu.device, set(cpu.configs), cpu.propensity) == ("cpu", {"A", "B"}, 1.0)
    assert (gpu.device, set(gpu.configs), gpu.propensity) == ("gpu", {"A", "B"}, 1.0)


def test_cpu_only_and_gpu_only() -> None:
    assert CpuOnly().choose(TASK, BOTH) == Choice("cpu", ("A", "B"), "cpu_only", 0.9)
    assert GpuOnly().choose(SMALL, BOTH) == Choice("gpu", ("A", "B"), "gpu_only", 0.9)


def test_the_device_that_is_missing_is_named() -> None:
    assert CpuOnly().choose(TASK, GPUS).reason == "no_cpu_candidate"
    assert GpuOnly().choose(TASK, CPUS) == Choice("cpu", ("A", "B"), "no_gpu_candidate")


def test_the_coin_is_fair_and_says_so() -> None:
    policy = Random(seed=1)
    choices = [policy.choose(TASK, BOTH) for _ in range(2000)]
    assert {choice.propensity for choice in choices} == {0.5}
    assert {choice.reason for choice in choices} == {"coin"}
    assert 900 < Counter(choice.device for choice in choices)["gpu"] < 1100  # 4.5 standard deviations


def test_the_coin_is_reproduced_by_its_seed() -> None:
    def devices(seed: int) -> list[str]:
        policy = Random(seed)
        return [policy.choose(TASK, BOTH).device for _ in range(64)]

    assert devices(5) == devices(5)
    assert devices(5) != devices(6)


@pytest.mark.parametrize("seed", [True, 1.5, "1", None])
def test_a_seed_is_a_whole_number(seed: Any) -> None:
    with pytest.raises(OptionError, match="whole number"):
        Random(seed)


@pytest.mark.parametrize(
    ("task", "device", "reason"),
    [
        (TaskSpec(flops=2e10), "gpu", "many_flops"),
        (TaskSpec(flops=1e10), "cpu", "small_task"),  # at the threshold, not above it
        (TaskSpec(flops=1e6, input_bytes=2e7), "gpu", "large_input"),
        (TaskSpec(input_bytes=2e7), "gpu", "large_input"),
        (SMALL, "cpu", "small_task"),
        (TaskSpec(), "cpu", "small_task"),
    ],
)
def test_the_flops_rule(task: TaskSpec, device: str, reason: str) -> None:
    choice = FlopsRule().choose(task, BOTH)
    assert (choice.device, choice.reason) == (device, reason)


def test_the_flops_rule_is_as_it_is_set() -> None:
    assert FlopsRule(flops=1.0).choose(SMALL, BOTH).device == "gpu"
    assert FlopsRule(flops=1e99, input_bytes=1e99).choose(TASK, BOTH).device == "cpu"


def test_the_selector_takes_the_configs_that_are_worth_it_surest_first() -> None:
    gpus = [candidate(name, "gpu", p) for name, p in (("A", 0.6), ("B", 0.4), ("C", 0.8), ("D", None))]
    choice = SelectorPolicy().choose(TASK, CPUS + gpus)
    assert choice == Choice("gpu", ("C", "A"), "gpu_worth_it", 0.8)


def test_the_selector_else_takes_the_cpu_and_tells_the_best_chance() -> None:
    choice = SelectorPolicy(p_least=0.95).choose(TASK, BOTH)
    assert choice == Choice("cpu", ("A", "B"), "gpu_not_worth_it", 0.9)


def test_the_least_probability_itself_is_enough() -> None:
    assert SelectorPolicy(p_least=0.9).choose(TASK, BOTH).device == "gpu"


def test_the_selector_without_an_estimate_stays_on_the_cpu() -> None:
    choice = SelectorPolicy().choose(TASK, [*CPUS, candidate("A", "gpu")])
    assert (choice.device, choice.reason, choice.probability) == ("cpu", "nothing_known", None)


def test_the_selectors_reason_tells_what_it_stands_on() -> None:
    unsure = candidate("A", "gpu", 0.8, extrapolating=True, energy_decides=False)
    assert SelectorPolicy().choose(TASK, [*CPUS, unsure]).reason == "gpu_worth_it, extrapolating, energy_uncertain"
    unsure = replace(unsure, estimate=Estimate(0.1, energy_decides=False))
    assert SelectorPolicy().choose(TASK, [*CPUS, unsure]).reason == "gpu_not_worth_it, energy_uncertain"


def timed(config: str, cpu: float, gpu: float, cpu_joules: float | None = None, gpu_joules: float | None = None) -> Any:
    """A config whose two times are known without doubt: the CPU and the GPU candidate, and Eq. 1 and 2 on the pair."""
    label = JointThreshold().label(DeviceRun(cpu, cpu_joules), DeviceRun(gpu, gpu_joules))
    assert label is not None
    estimate = Estimate(
        float(label.device == "gpu"), Spread(math.log(cpu / gpu), 0.0), None, cpu, gpu, cpu_joules, gpu_joules
    )
    return [Candidate(config, "cpu", 1.0, 0.0, estimate), Candidate(config, "gpu", 1.0, 1.0, estimate)]


def test_a_gpu_is_compared_with_the_clusters_fastest_cpu() -> None:
    slow, fast = timed("A", cpu=10.0, gpu=4.0), timed("C", cpu=5.0, gpu=4.5)
    assert SelectorPolicy().choose(TASK, slow).device == "gpu"  # 2.5 times as fast as the one CPU there is
    assert SelectorPerConfig().choose(TASK, slow + fast).device == "gpu"
    choice = SelectorPolicy().choose(TASK, slow + fast)  # 1.25 times as fast as C's
    assert (choice.device, choice.configs, choice.tiers) == ("cpu", ("C", "A"), (("C",), ("A",)))
    busy = [replace(one, wait_s=1e6) for one in fast]
    assert SelectorPolicy().choose(TASK, slow + busy).device == "cpu"  # busy or not


def test_both_tests_use_the_fastest_cpu() -> None:
    slow, fast = timed("A", 100.0, 2.0, 90.0, 100.0), timed("C", 5.0, 4.5, 50.0, 90.0)
    assert SelectorPerConfig().choose(TASK, slow + fast).device == "gpu"  # 1.1 times the energy of A's CPU
    assert SelectorPolicy().choose(TASK, slow + fast).device == "cpu"  # 2.5 times as fast as C's, twice its energy
    frugal = timed("A", 100.0, 2.0, 90.0, 70.0)
    choice = SelectorPolicy().choose(TASK, frugal + fast)  # 1.4 times its energy
    assert (choice.device, choice.configs) == ("gpu", ("A",))


@given(st.lists(st.tuples(*[st.floats(0.1, 100.0)] * 4), min_size=1, max_size=4))
def test_the_rule_of_the_cluster_is_eq_1_and_2_on_the_fastest_cpu(
    kinds: list[tuple[float, float, float, float]],
) -> None:
    candidates = [c for i, kind in enumerate(kinds) for c in timed(f"n{i}", *kind)]
    cpu, _, cpu_joules, _ = min(kinds)
    rule = JointThreshold()
    worth = {
        f"n{i}"
        for i, (_, gpu, _, gpu_joules) in enumerate(kinds)
        if cpu / gpu >= rule.speedup and gpu_joules / cpu_joules <= rule.energy_ratio
    }
    near = any(
        abs(math.log(cpu / gpu / rule.speedup)) < 1e-6 or abs(math.log(joules / cpu_joules / rule.energy_ratio)) < 1e-6
        for _, gpu, _, joules in kinds
    )
    if not near and sum(kind[0] == cpu for kind in kinds) == 1:
        choice = SelectorPolicy().choose(TASK, candidates)
        assert choice.device == ("gpu" if worth else "cpu")
        assert set(choice.configs) == (worth or {f"n{i}" for i in range(len(kinds))})


def test_the_cheapest_config_comes_first_and_those_as_good_together() -> None:
    kinds = [("A", 100.0, 5.0), ("B", 100.0, 2.0), ("C", 90.0, 2.001), ("D", 80.0, 1.0)]
    candidates = [c for kind in kinds for c in timed(*kind)]
    choice = SelectorPolicy().choose(TASK, candidates)
    assert (choice.configs, choice.tiers) == (("D", "B", "C", "A"), (("D",), ("B", "C"), ("A",)))
    only_cpus = SelectorPolicy().choose(TASK, [c for c in candidates if c.device == "cpu"])
    assert (only_cpus.reason, only_cpus.tiers) == ("only_device", (("D",), ("C",), ("A", "B")))
    assert SelectorPerConfig().choose(TASK, candidates).tiers == ()


@pytest.mark.parametrize("p_least", [0, 1, -0.5, 2, float("nan")])
def test_the_least_probability_lies_between_0_and_1(p_least: float) -> None:
    with pytest.raises(OptionError, match="between 0 and 1"):
        SelectorPolicy(p_least)


PROBABILITIES = st.one_of(st.none(), st.sampled_from([0.0, 0.3, 0.5, 0.7, 1.0]))


@given(st.lists(PROBABILITIES, min_size=1, max_size=5), st.randoms(), st.sampled_from(sorted(POLICIES)))
def test_the_order_of_the_candidates_changes_nothing(known: list[Any], shuffler: Any, name: str) -> None:
    candidates = [candidate(f"n{i}", device, p) for i, p in enumerate(known) for device in ("cpu", "gpu")]
    shuffled = list(candidates)
    shuffler.shuffle(shuffled)
    first, second = policy_of(name).choose(TASK, candidates), policy_of(name).choose(TASK, shuffled)
    assert replace(first, configs=()) == replace(second, configs=())
    assert set(first.configs) == set(second.configs)
    if name == "selector" and first.device == "gpu":
        assert first.configs == second.configs  # best first, whatever came first


@pytest.mark.parametrize("name", POLICIES)
def test_a_choice_is_always_of_what_was_offered(name: str) -> None:
    for candidates in (BOTH, CPUS, GPUS, BOTH[:1], BOTH[3:], BOTH[1:3]):
        choice = policy_of(name).choose(TASK, candidates)
        assert {(config, choice.device) for config in choice.configs} <= {(c.config, c.device) for c in candidates}
        assert choice.configs


def test_stateless_policies_decide_alike_every_time() -> None:
    stateless = [name for name, kind in POLICIES.items() if has(kind(), "stateless")]
    assert stateless == ["cpu_only", "gpu_only", "flops_rule", "selector", "selector_per_config"]
    for name in stateless:
        assert len({policy_of(name).choose(TASK, BOTH) for _ in range(5)}) == 1


def test_a_policys_class_declares_what_it_can_do_and_a_users_own_declares_nothing() -> None:
    class Stateless(Mine):
        stateless = True

    class AnswersToAnyName(Mine):
        def __getattr__(self, name: str) -> Any:
            return True

    declared = {name: {c for c in CAPABILITIES if has(kind(), c)} for name, kind in POLICIES.items()}
    assert declared["random"] == {"draws", "ignores_queues"}
    assert declared["selector"] == {"needs_estimates", "stateless", "ignores_queues"}
    assert declared["balanced"] == declared["min_time"] == {"needs_estimates", "draws"}
    assert [c for c in CAPABILITIES if has(Stateless(), c)] == ["stateless"]
    assert not any(has(policy, c) for c in CAPABILITIES for policy in (Mine(), AnswersToAnyName()))


class Mine:
    def choose(self, task: TaskSpec, candidates: Any) -> Choice:
        return Choice("cpu", ("A",), "because")


def test_a_users_own_object_is_a_policy_with_its_classs_name() -> None:
    mine = Mine()
    assert policy_of(mine) is mine
    assert name_of(mine) == "Mine"


@pytest.mark.parametrize("wrong", ["best", "", "Selector", 3, None, object(), Mine, SelectorPolicy, ["selector"]])
def test_what_is_no_policy_is_refused_with_the_valid_names(wrong: Any) -> None:
    with pytest.raises(OptionError) as error:
        policy_of(wrong)
    assert all(name in str(error.value) for name in POLICIES)
    assert "choose(" in str(error.value)
