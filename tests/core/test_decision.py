from __future__ import annotations

import math
import random
from copy import deepcopy
from dataclasses import replace
from typing import Any

import pytest
from core_builders import CPU_NODE, TASK, Told, cluster, limits, net, seeded, snapshot
from hypothesis import given, settings
from hypothesis import strategies as st

from placement.prediction.estimate import Spread
from placement.prediction.runtime_history import COLD_START_RUNS, History, Place
from placement.prediction.selector_file import shipped_selector
from placement.scheduling.candidates import Candidate, Choice
from placement.scheduling.decision import Decision, decide, key_of
from placement.scheduling.explanation import explain
from placement.scheduling.feasibility import Limits
from placement.scheduling.policies.registry import POLICIES, policy_of
from placement.scheduling.policies.selector_policy import SelectorPolicy
from placement.scheduling.queue_model import Backlog, Load
from placement.scheduling.snapshot import Snapshot
from placement.scheduling.trial_budget import TrialBudget
from placement.spec.joint_threshold import JointThreshold
from placement.spec.node import Inventory, NodeSpec
from placement.spec.task import DEVICES, TaskSpec

UNKNOWN = TaskSpec()


def reasons(task: TaskSpec, given_limits: Limits, snap: Snapshot) -> dict[tuple[str, str], str]:
    return {(row.config, row.device): row.reason for row in explain(task, "f", given_limits, snap).considered}


def never() -> float:
    raise AssertionError("a decision that does not explore asks for no chance")


def history_of(task: TaskSpec, cpu: list[float], gpu: list[float], config: str = "A") -> History:
    """Warm runs of `f` on a config's devices, the cold one before them set aside."""
    history = History()
    for device, seconds in (("cpu", cpu), ("gpu", gpu)):
        for one in [99.0, *seconds] if seconds else []:
            history.observe(key_of("f", task), Place(config, device, 1.0), one)  # type: ignore[arg-type]
    return history


def test_the_selector_decides_where_the_task_is_known() -> None:
    told = Told({"A": 0.2, "B": 0.7, "C": 0.9, "D": 0.1})
    decision = decide(TASK, "f", limits(2, 3), snapshot(told), chance=never)
    assert decision == Decision(
        device="gpu", config="C", configs=("C", "B"), cpus=3, gpus=1.0, reason="gpu_worth_it", policy="selector",
        selector_version="told", snapshot_version=7, probability=0.9,
    )  # fmt: skip


def test_else_the_cpu_with_its_own_cpus_and_no_gpu() -> None:
    decision = decide(TASK, "f", limits(2, 3), snapshot(Told(dict.fromkeys("ABCD", 0.2))), chance=never)
    assert (decision.device, decision.cpus, decision.gpus, decision.propensity) == ("cpu", 2, 0.0, 1.0)
    assert set(decision.configs) == set("ABCD")
    assert decision.reason == "gpu_not_worth_it"


def test_versions_stand_in_the_decision() -> None:
    snap = replace(snapshot(net(4)), version=41)
    decision = decide(TASK, "f", limits(), snap)
    assert (decision.selector_version, decision.snapshot_version) == ("net-4", 41)


@pytest.mark.parametrize("name", POLICIES)
def test_a_policy_given_stands_before_the_snapshots(name: str) -> None:
    assert decide(TASK, "f", limits(), snapshot(), policy=policy_of(name)).policy == name
    assert decide(TASK, "f", limits(), snapshot(policy=policy_of(name))).policy == name


def test_a_users_policy_is_asked_and_named() -> None:
    class Last:
        def choose(self, task: TaskSpec, candidates: Any) -> Choice:
            assert {type(c) for c in candidates} == {Candidate}
            return Choice("gpu", ("A",), "mine", None, 0.25)

    decision = decide(UNKNOWN, "f", limits(), snapshot(), policy=Last(), chance=never)
    assert (decision.policy, decision.config, decision.reason, decision.propensity) == ("Last", "A", "mine", 0.25)


# --- what is feasible


def test_a_node_without_a_gpu_takes_no_gpu_task() -> None:
    told = reasons(TASK, limits(), snapshot(inventory=cluster(CPU_NODE, configs="A")))
    assert told["cpu-only", "gpu"] == "no GPU"


def test_without_any_gpu_everything_runs_on_the_cpu() -> None:
    for task in (TASK, UNKNOWN):
        decision = decide(task, "f", limits(), snapshot(inventory=cluster(CPU_NODE, configs="")), chance=never)
        assert (decision.device, decision.config, decision.reason) == ("cpu", "cpu-only", "only_device")


def test_an_empty_cluster_gives_a_decision_without_a_config() -> None:
    decision = decide(TASK, "f", limits(), snapshot(inventory=Inventory()), chance=never)
    assert (decision.device, decision.config, decision.configs, decision.reason) == ("cpu", None, (), "no_candidate")


def test_gpu_memory_must_hold_the_task() -> None:
    snap = snapshot(Told(dict.fromkeys("ABCD", 0.9)))
    decision = decide(replace(TASK, memory_bytes=13e9), "f", limits(), snap)
    assert set(decision.configs) == {"B", "D"}  # 24 GB; A and C have 12
    told = reasons(replace(TASK, memory_bytes=13e9), limits(), snap)
    assert told["A", "gpu"] == "needs 13.0 GB of GPU memory, the device has 12"
    assert "GPU memory" not in told["A", "cpu"]
    assert decide(replace(TASK, memory_bytes=12e9), "f", limits(), snap).configs == ("A", "B", "C", "D")
    assert decide(replace(TASK, memory_bytes=99e9), "f", limits(), snap).device == "cpu"


def test_memory_that_other_programs_hold_is_not_counted_on() -> None:
    kinds = [replace(k, gpu_free_gb=3.0) if k.spec.config == "D" else k for k in cluster().kinds]
    snap = snapshot(Told(dict.fromkeys("ABCD", 0.9)), inventory=Inventory(tuple(kinds)))
    assert decide(replace(TASK, memory_bytes=13e9), "f", limits(), snap).configs == ("B",)
    told = reasons(replace(TASK, memory_bytes=13e9), limits(), snap)
    assert told["D", "gpu"] == "needs 13.0 GB of GPU memory, the device has 24, 3.0 free of other programs"


def test_what_a_task_held_before_counts_where_its_spec_says_nothing() -> None:
    history, quiet = History(), replace(TASK, memory_bytes=None)
    for _ in range(3):
        history.observe(key_of("f", TASK), Place("B", "gpu", 1.0), 0.1, memory_bytes=13e9)
    history.observe(key_of("f", TASK), Place("B", "gpu", 1.0), 0.1, memory_bytes=12.5e9)
    snap = snapshot(Told(dict.fromkeys("ABCD", 0.9)), history=history)
    assert set(decide(quiet, "f", limits(), snap).configs) == {"B", "D"}
    assert reasons(quiet, limits(), snap)["A", "gpu"] == "needs 13.0 GB of GPU memory, the device has 12"
    assert len(decide(replace(quiet, memory_bytes=1e9), "f", limits(), snap).configs) == 4  # the spec knows better


def test_a_share_of_a_gpu_has_a_share_of_its_memory() -> None:
    snap = snapshot(Told({"A": 0.9}), inventory=cluster(configs="A"))
    assert decide(replace(TASK, memory_bytes=7e9), "f", limits(gpus=0.5), snap).device == "cpu"
    assert decide(replace(TASK, memory_bytes=6e9), "f", limits(gpus=0.5), snap).device == "gpu"


def test_unknown_memory_excludes_nothing() -> None:
    snap = snapshot(Told({"A": 0.9}), inventory=cluster(configs="A"))
    assert decide(replace(TASK, memory_bytes=None), "f", limits(), snap).device == "gpu"
    node = replace(snap.inventory.kinds[0].spec, gpu_memory_gb=None)
    blind = snapshot(Told({"A": 0.9}), inventory=Inventory((replace(snap.inventory.kinds[0], spec=node),)))
    assert decide(replace(TASK, memory_bytes=1e15), "f", limits(), blind).device == "gpu"


def test_cpus_and_gpus_asked_must_be_there() -> None:
    told = reasons(TASK, limits(cpu=13, gpu=17, gpus=2), snapshot())
    assert told["A", "cpu"] == "needs 13 CPUs, the node has 12"
    assert told["A", "gpu"] == "needs 17 CPUs, the node has 12"
    assert told["D", "gpu"] == "needs 2 GPUs, the node has 1"
    assert decide(TASK, "f", limits(cpu=999, gpu=999), snapshot()).reason == "no_candidate"


def test_the_users_label_selector_narrows_the_configs() -> None:
    snap = snapshot(Told(dict.fromkeys("ABCD", 0.9)))
    only = limits(configs=frozenset({"B"}), configs_reason="your label_selector {'config': 'B'}")
    assert decide(TASK, "f", only, snap).configs == ("B",)
    assert reasons(TASK, only, snap)["A", "gpu"] == "excluded by your label_selector {'config': 'B'}"
    assert decide(TASK, "f", limits(configs=frozenset()), snap).reason == "no_candidate"


def test_a_device_excluded_says_why() -> None:
    snap = snapshot(Told(dict.fromkeys("ABCD", 0.1)))
    pinned = limits(excluded={"cpu": 'pinned by device="gpu"'})
    assert decide(TASK, "f", pinned, snap).device == "gpu"
    assert set(reasons(TASK, pinned, snap).values()) == {'pinned by device="gpu"', "only_device"}


def test_where_it_failed_before_it_is_not_tried_again() -> None:
    history = History()
    history.mark_unfit(key_of("f", TASK), "D", "cuda_out_of_memory")
    snap = snapshot(Told(dict.fromkeys("ABCD", 0.9)), history=history)
    assert decide(TASK, "f", limits(), snap).configs == ("A", "B", "C")
    assert reasons(TASK, limits(), snap)["D", "gpu"] == "failed there before: cuda_out_of_memory"
    assert "D" in decide(replace(TASK, flops=2e10), "f", limits(), snap).configs  # another size
    assert "D" in decide(TASK, "g", limits(), snap).configs  # another function


# --- history


@pytest.mark.parametrize(("told", "cpu", "gpu", "device"), [(0.01, 10.0, 1.0, "gpu"), (0.99, 1.0, 10.0, "cpu")])
def test_what_was_seen_puts_the_selector_right(told: float, cpu: float, gpu: float, device: str) -> None:
    history = history_of(TASK, [cpu] * 5, [gpu] * 5)
    snap = snapshot(Told({"A": told}), inventory=cluster(configs="A"), history=history)
    assert decide(TASK, "f", limits(), snap).device == device
    assert decide(TASK, "g", limits(), snap).device != device  # another function's runs are not its own
    assert decide(TASK, "f", limits(2, 2), snap).device != device  # nor those with other CPUs


def test_each_devices_runs_are_those_with_its_own_cpus() -> None:
    history = History()
    for device, cpus, seconds in (("cpu", 1.0, 10.0), ("gpu", 4.0, 1.0), ("cpu", 4.0, 0.5), ("gpu", 1.0, 99.0)):
        for _ in range(6):
            history.observe(key_of("f", TASK), Place("A", device, cpus), seconds)  # type: ignore[arg-type]
    snap = snapshot(Told({"A": 0.01}), inventory=cluster(configs="A"), history=history)
    assert decide(TASK, "f", limits(cpu=1.0, gpu=4.0), snap).device == "gpu"


def test_what_was_seen_decides_for_a_task_that_no_selector_knows() -> None:
    history = history_of(UNKNOWN, [10.0] * 3, [1.0] * 3)
    decision = decide(UNKNOWN, "f", limits(), snapshot(history=history), chance=never)
    reason = "gpu_worth_it, energy_uncertain"  # no run told joules: those of the power model are off by half
    assert (decision.device, decision.configs, decision.reason) == ("gpu", ("A",), reason)


def test_the_snapshots_thresholds_hold_for_what_was_seen() -> None:
    history = history_of(TASK, [3.0] * 9, [1.0] * 9)
    for speedup, device in ((2.0, "gpu"), (4.0, "cpu")):
        snap = snapshot(
            Told({"A": 0.5}),
            inventory=cluster(configs="A"),
            history=history,
            thresholds=JointThreshold(speedup=speedup, energy_ratio=100.0),  # time alone is looked at
        )
        assert decide(TASK, "f", limits(), snap).device == device


def test_an_uncertain_energy_is_told_and_does_not_decide() -> None:
    history = history_of(TASK, [10.0] * 5, [1.0] * 5)
    unsure = Told({"A": 0.5}, energy=Spread(math.log(2.0), 1.0))
    decision = decide(TASK, "f", limits(), snapshot(unsure, inventory=cluster(configs="A"), history=history))
    assert (decision.device, decision.reason) == ("gpu", "gpu_worth_it, energy_uncertain")


# --- cold start


IDLE = {(config, device): Load(1.0) for config in "ABCD" for device in DEVICES}


def explores(**given: Any) -> Snapshot:
    """A snapshot of an idle cluster with a budget for trials."""
    backlog = Backlog(lambda: 0.0)
    backlog.merge(IDLE, 0.0)
    return snapshot(backlog=backlog, trials=TrialBudget(1e9), **given)


def cold(runs: int, chance: float, **given: Any) -> Decision:
    snap = explores(history=history_of(UNKNOWN, [1.0] * runs, []) if runs else History())
    return decide(UNKNOWN, "f", limits(**given), snap, chance=lambda: chance)


@pytest.mark.parametrize("runs", range(COLD_START_RUNS))
def test_what_nothing_is_known_of_runs_on_the_cpu_first(runs: int) -> None:
    decision = cold(runs, chance=0.0)
    assert (decision.device, decision.reason, decision.propensity) == ("cpu", "cold_start", 1.0)


def test_a_cold_start_counts_at_the_config_with_the_shortest_queue() -> None:
    backlog = Backlog(lambda: 0.0, exact=True)
    backlog.merge(
        {("A", "cpu"): Load(4, 40, 400.0), ("B", "cpu"): Load(4, 4, 8.0), ("C", "cpu"): Load(4, 8, 80.0)}, 0.0
    )
    snap = snapshot(inventory=cluster(configs="ABC"), backlog=backlog)
    decision = decide(UNKNOWN, "f", limits(), snap)
    assert (decision.reason, decision.configs) == ("cold_start", ("B", "C", "A"))


def test_after_that_a_gpu_is_tried_now_and_then() -> None:
    tried, stayed = cold(COLD_START_RUNS, 0.0), cold(COLD_START_RUNS, 0.99)
    assert (tried.device, tried.reason) == ("gpu", "cold_start_tries_gpu")
    assert (stayed.device, stayed.reason) == ("cpu", "cold_start")
    assert tried.propensity == pytest.approx(1 - stayed.propensity)
    assert tried.probability is None


def test_strict_never_tries() -> None:
    decision = cold(COLD_START_RUNS, chance=0.0, strict=True)
    assert (decision.device, decision.propensity) == ("cpu", 1.0)


def test_a_gpu_that_failed_is_not_tried() -> None:
    history = history_of(UNKNOWN, [1.0] * 3, [])
    for config in "ABCD":
        history.mark_unfit(key_of("f", UNKNOWN), config, "cuda_out_of_memory")
    decision = decide(UNKNOWN, "f", limits(), explores(history=history), chance=lambda: 0.0)
    assert (decision.device, decision.reason) == ("cpu", "only_device")


def test_what_is_known_of_an_unfit_gpu_alone_is_a_cold_start_too() -> None:
    history = history_of(UNKNOWN, [10.0] * 3, [1.0] * 3)  # on A
    history.mark_unfit(key_of("f", UNKNOWN), "A", "cuda_out_of_memory")
    decision = decide(UNKNOWN, "f", limits(), explores(history=history), chance=lambda: 0.0)
    assert (decision.device, set(decision.configs)) == ("gpu", set("BCD"))
    assert decision.reason == "cold_start_tries_gpu"


@pytest.mark.parametrize("name", ["cpu_only", "gpu_only", "random", "flops_rule"])
def test_other_policies_know_no_cold_start(name: str) -> None:
    history = history_of(UNKNOWN, [1.0] * 3, [])
    decision = decide(UNKNOWN, "f", limits(), snapshot(history=history), policy=policy_of(name), chance=never)
    assert "cold_start" not in decision.reason


# --- properties

TASKS = st.builds(
    TaskSpec,
    flops=st.one_of(st.none(), st.floats(0, 1e14)),
    input_bytes=st.one_of(st.none(), st.floats(0, 1e10)),
    batch_size=st.one_of(st.none(), st.integers(1, 4096)),
    parameters=st.one_of(st.none(), st.integers(0, 10**9)),
    memory_bytes=st.one_of(st.none(), st.floats(0, 3e10)),
)
LIMITS = st.builds(
    limits,
    st.sampled_from([0.0, 0.5, 1.0, 14.0, 99.0]),
    st.sampled_from([0.0, 1.0, 14.0]),
    gpus=st.sampled_from([0.25, 1.0, 2.0]),
    excluded=st.sampled_from([{}, {}, {"gpu": "pinned"}, {"cpu": "pinned"}]),
    configs=st.sampled_from([None, None, frozenset("AB"), frozenset()]),
    strict=st.booleans(),
)
INVENTORIES = st.builds(
    lambda names, extra: cluster(*([CPU_NODE] if extra else []), configs="".join(sorted(names))),
    st.sets(st.sampled_from("ABCD")),
    st.booleans(),
)


@st.composite
def situations(draw: Any) -> tuple[TaskSpec, Limits, Snapshot, str]:
    task, inventory = draw(TASKS), draw(INVENTORIES)
    history = History()
    for config, device, seconds in draw(
        st.lists(st.tuples(st.sampled_from("ABCD"), st.sampled_from(["cpu", "gpu"]), st.floats(1e-3, 1e3)), max_size=12)
    ):
        history.observe(key_of("f", task), Place(config, device, 1.0), seconds)
    for config in draw(st.sets(st.sampled_from("ABCD"), max_size=2)):
        history.mark_unfit(key_of("f", task), config, "missing_gpu")
    snap = snapshot(NET[draw(st.integers(0, 4))], inventory, history=history)
    return task, draw(LIMITS), snap, draw(st.sampled_from(sorted(POLICIES)))


NET = [net(seed) for seed in range(5)]


@settings(max_examples=120)
@given(situations())
def test_explain_is_the_whole_table_and_agrees_with_decide(situation: tuple[TaskSpec, Limits, Snapshot, str]) -> None:
    task, given_limits, snap, name = situation
    policy = seeded(name)
    explained = explain(task, "f", given_limits, snap, policy=policy)
    decision = decide(task, "f", given_limits, snap, policy=policy, chance=lambda: 1.0)
    assert explained.decision == decision
    rows = explained.considered
    every = [(kind.spec.config, device) for kind in snap.inventory.kinds for device in ("cpu", "gpu")]
    assert sorted((row.config, row.device) for row in rows) == sorted(every)
    taken = {(row.config, row.device) for row in rows if row.taken}
    assert taken == {(config, decision.device) for config in decision.configs}
    assert all(row.reason for row in rows)
    assert all((row.reason == decision.reason) == row.taken for row in rows)
    text = str(explained)
    lines = text.splitlines()
    table = lines[1 + (decision.comparison is not None) :]
    said = any(row.provenance for row in rows) + len(explained.tests) + bool(explained.turns)
    assert len(table) == (1 + len(rows) + said if rows else 0)
    assert decision.selector_version in text


@settings(max_examples=60)
@given(situations())
def test_what_is_taken_is_feasible_and_the_same_every_time(situation: tuple[TaskSpec, Limits, Snapshot, str]) -> None:
    task, given_limits, snap, name = situation
    policy = seeded(name)
    first, second = (
        decide(task, "f", given_limits, snap, policy=twin, chance=random.Random(5).random)
        for twin in (policy, deepcopy(policy))
    )
    assert first == second
    assert 0 < first.propensity <= 1
    assert first.device not in given_limits.excluded or not first.configs
    seen = snap.history.get(key_of("f", task))
    for config in first.configs:
        node = snap.inventory.spec(config)
        assert node is not None
        assert first.cpus <= node.cpus
        assert first.gpus <= node.gpus
        assert given_limits.configs is None or config in given_limits.configs
        if first.device == "gpu" and seen is not None:
            assert config not in seen.unfit


@settings(max_examples=60)
@given(situations(), st.randoms())
def test_the_order_of_the_kinds_changes_nothing(situation: tuple[TaskSpec, Limits, Snapshot, str], r: Any) -> None:
    task, given_limits, snap, name = situation
    kinds = list(snap.inventory.kinds)
    r.shuffle(kinds)
    shuffled = replace(snap, inventory=Inventory(tuple(kinds)))
    policy = seeded(name)
    first, second = (
        decide(task, "f", given_limits, s, policy=twin, chance=lambda: 0.0)
        for s, twin in ((snap, policy), (shuffled, deepcopy(policy)))
    )
    assert first == second


def test_explaining_throws_no_coin() -> None:
    policy, twin = policy_of("random"), policy_of("random")
    for _ in range(20):
        explained = explain(TASK, "f", limits(), snapshot(), policy=policy)
        assert explained.decision == decide(TASK, "f", limits(), snapshot(), policy=policy)
        decide(TASK, "f", limits(), snapshot(), policy=twin)
    devices = [[decide(TASK, "f", limits(), snapshot(), policy=p).device for _ in range(20)] for p in (policy, twin)]
    assert devices[0] == devices[1]


def test_the_table_reads() -> None:
    snap = snapshot(Told({"A": 0.25, "B": 0.75}), inventory=cluster(CPU_NODE, configs="AB"))
    lines = str(explain(TASK, "f", limits(), snap)).splitlines()
    assert lines[0] == "gpu (gpu_worth_it) by policy selector, selector told, snapshot 7, queues not known"
    assert lines[1].split() == ["config", "device", "cpus", "p_gpu", "GB", "taken", "reason"]
    assert [line.split(maxsplit=5) for line in lines[2:]] == [
        ["B", "cpu", "1", "0.750", "-", "the gpu was taken: gpu_worth_it"],
        ["B", "gpu", "1", "0.750", "2/24", "yes    gpu_worth_it"],
        ["A", "cpu", "1", "0.250", "-", "the gpu was taken: gpu_worth_it"],
        ["A", "gpu", "1", "0.250", "2/12", "another config promises more"],
        ["cpu-only", "cpu", "1", "-", "-", "the gpu was taken: gpu_worth_it"],
        ["cpu-only", "gpu", "1", "-", "-", "no GPU"],
        [
            "test:",
            "B:",
            "the",
            "speed-up",
            "is",
            "unknown, P(GPU) is 0.75; the energy is not known: time alone decides",
        ],
        [
            "test:",
            "A:",
            "the",
            "speed-up",
            "is",
            "unknown, P(GPU) is 0.25; the energy is not known: time alone decides",
        ],
    ]


def test_the_table_tells_the_seconds_where_they_are_known() -> None:
    snap = snapshot(shipped_selector())
    lines = str(explain(TASK, "f", limits(), snap)).splitlines()
    assert lines[1].split() == ["config", "device", "cpus", "p_gpu", "takes", "joules", "GB", "taken", "reason"]
    rows = explain(TASK, "f", limits(), snap).considered
    assert all(row.seconds and f"{row.seconds:.3g} s" in line for row, line in zip(rows, lines[2:], strict=False))
    assert max(len(line) for line in lines[1 : 2 + len(rows)]) <= 100
    assert lines[2 + len(rows)].startswith("estimates: selector; emulated")
    for row in explain(TASK, "f", limits(64.0), snap).considered:
        assert (row.seconds is None) == (row.device == "cpu"), "of what cannot run there no seconds are told"


def test_a_gpu_that_nothing_is_known_of_says_so() -> None:
    snap = snapshot(Told({"A": 0.75}), inventory=cluster(configs="AB"))
    assert reasons(TASK, limits(), snap)["B", "gpu"] == "nothing is known of it there"


def test_the_net_and_a_node_that_tells_little() -> None:
    bare = NodeSpec("bare", cpus=4, gpus=1)
    decision = decide(TASK, "f", limits(), snapshot(inventory=cluster(bare, configs="")), chance=never)
    assert (decision.device, decision.reason) == ("cpu", "cold_start")


def test_a_decision_stands_alone() -> None:
    decision = decide(TASK, "f", limits(), snapshot(policy=SelectorPolicy(0.99)))
    assert hash(decision)
    with pytest.raises(AttributeError):
        decision.device = "gpu"  # type: ignore[misc]
