"""decide() works by groups of nodes and by products computed ahead; it is held against the plain way, kind by kind."""

from __future__ import annotations

import copy
import math
import pickle
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from core_builders import CPU_NODE, TASK, cluster, limits, net, seeded, snapshot
from hypothesis import given, settings
from hypothesis import strategies as st

from placement.prediction.device_belief import completed
from placement.prediction.estimate import Estimate
from placement.prediction.one_by_one import power_model
from placement.prediction.posterior import posterior
from placement.prediction.runtime_history import History, Place, RunHistory, size_of
from placement.scheduling.candidate_set import CandidateSet, candidate_set
from placement.scheduling.candidates import Candidate, has
from placement.scheduling.decision import decide, key_of
from placement.scheduling.decision_table import DecisionTable
from placement.scheduling.explanation import explain
from placement.scheduling.feasibility import MOST_GROUPS, Limits, infeasible
from placement.scheduling.policies.queue_aware import SAMPLED, MinScorePolicy
from placement.scheduling.policies.registry import POLICIES, policy_of
from placement.scheduling.snapshot import Snapshot
from placement.spec.node import Inventory, NodeKind, NodeSpec, paper_configs
from placement.spec.task import TaskSpec

NETS = [net(seed) for seed in range(4)]


class OneByOne:
    """A selector without `prepare`: asked for one kind of node at a time."""

    def __init__(self, inner: Any) -> None:
        self.inner, self.version = inner, inner.version

    def estimate(self, task: TaskSpec, node: NodeSpec, cpus: float) -> Estimate | None:
        return self.inner.estimate(task, node, cpus)

    def to_dict(self) -> dict[str, Any]:
        return {}


def plain_candidates(task: TaskSpec, given_limits: Limits, snap: Snapshot, seen: RunHistory | None) -> list[Candidate]:
    """Every feasible candidate, each estimated by itself."""
    found = []
    for kind in snap.inventory.kinds:
        estimate = None
        if kind.grants_gpus:
            power = power_model(snap.selector).of(kind.spec, given_limits.cpus["cpu"])
            estimate = snap.selector.estimate(task, kind.spec, given_limits.cpus["cpu"])
            estimate = estimate and completed(estimate, power)
            if seen is not None:
                runs = [seen.at(kind.spec.config, d, given_limits.cpus[d]) for d in ("cpu", "gpu")]  # type: ignore[arg-type]
                estimate = posterior(estimate, *runs, snap.thresholds, power)
        for device in ("cpu", "gpu"):
            if infeasible(task, kind, device, given_limits, seen) is None:  # type: ignore[arg-type]
                gpus = given_limits.gpus if device == "gpu" else 0.0
                found.append(Candidate(kind.spec.config, device, given_limits.cpus[device], gpus, estimate))  # type: ignore[index, arg-type]
    return found


def close(a: Estimate | None, b: Estimate | None) -> bool:
    """Whether both are the same but for the order of the sums in P(GPU), speed-up and energy."""
    if a is None or b is None:
        return a is b
    numbers = ((e.p_gpu, e.energy_ratio and e.energy_ratio.mean, e.energy_ratio and e.energy_ratio.std) for e in (a, b))
    rest = (replace(e, p_gpu=0, speedup=None, energy_ratio=None) for e in (a, b))
    return next(numbers) == pytest.approx(next(numbers), abs=1e-9) and next(rest) == next(rest)


GB = st.sampled_from([4.0, 8.0, 12.0, None])
NODES = st.builds(
    lambda cpus, gpus, cpu_gflops, gpu_gflops, memory: NodeSpec(
        "?", cpus=cpus, gpus=gpus, cpu_gflops=cpu_gflops, gpu_gflops=gpu_gflops, gpu_memory_gb=memory,
        cpu_tdp_w=100.0, gpu_tdp_w=300.0,
    ),
    st.sampled_from([2, 8]), st.sampled_from([0, 1, 1, 2]), st.sampled_from([100.0, 900.0, None]),
    st.sampled_from([1e3, 2e4]), GB,
)  # fmt: skip
INVENTORIES = st.lists(NODES, min_size=1, max_size=14).map(
    lambda nodes: Inventory(
        tuple(NodeKind(replace(node, config=f"k{i * 7 % 10}{i}"), (f"n{i}",)) for i, node in enumerate(nodes))
    )
)
TASKS = st.builds(
    TaskSpec,
    flops=st.one_of(st.none(), st.floats(0, 1e14)),
    input_bytes=st.one_of(st.none(), st.floats(0, 1e10)),
    batch_size=st.one_of(st.none(), st.integers(1, 4096)),
    parameters=st.one_of(st.none(), st.integers(0, 10**9)),
    memory_bytes=st.one_of(st.none(), st.floats(0, 1.5e10)),
)
LIMITS = st.builds(
    limits,
    st.sampled_from([0.5, 1.0, 4.0]),
    st.sampled_from([1.0, 4.0]),
    gpus=st.sampled_from([0.5, 1.0, 2.0]),
    excluded=st.sampled_from([{}, {}, {}, {"gpu": "pinned"}, {"cpu": "pinned"}]),
    configs=st.sampled_from([None, None, None, frozenset({"k00", "k71"})]),
)


@st.composite
def situations(draw: Any) -> tuple[TaskSpec, Limits, Snapshot, RunHistory | None]:
    task, inventory = draw(TASKS), draw(INVENTORIES)
    names = [kind.spec.config for kind in inventory.kinds]
    history = History()
    for config, device, seconds in draw(
        st.lists(st.tuples(st.sampled_from(names), st.sampled_from(["cpu", "gpu"]), st.floats(1e-3, 1e3)), max_size=9)
    ):
        history.observe(key_of("f", task), Place(config, device, 1.0), seconds)
    for config in draw(st.sets(st.sampled_from(names), max_size=2)):
        history.mark_unfit(key_of("f", task), config, "missing_gpu")
    selector = draw(st.sampled_from([*NETS, OneByOne(NETS[0])]))
    return task, draw(LIMITS), snapshot(selector, inventory, history=history), history.get(key_of("f", task))


@settings(max_examples=150)
@given(situations())
def test_the_candidates_are_those_of_the_plain_way(situation: Any) -> None:
    task, given_limits, snap, seen = situation
    plain = plain_candidates(task, given_limits, snap, seen)
    found = list(snap.candidate_table(given_limits).candidates(task, seen))
    assert [(c.config, c.device, c.cpus, c.gpus) for c in found] == [
        (c.config, c.device, c.cpus, c.gpus) for c in plain
    ]
    assert all(close(a.estimate, b.estimate) for a, b in zip(found, plain, strict=True))


@settings(max_examples=150)
@given(situations(), st.sampled_from(sorted(POLICIES)))
def test_the_decision_is_that_of_the_plain_way(situation: Any, name: str) -> None:
    task, given_limits, snap, seen = situation
    plain = plain_candidates(task, given_limits, snap, seen)
    known = {c.estimate.p_gpu for c in plain if c.estimate and c.device == "gpu"}
    if any(abs(p - q) < 1e-9 for p in {*known, 0.5} for q in known if p != q):
        return  # decided by rounding
    policy, twin = seeded(name), seeded(name)  # which draws the same
    if has(policy, "needs_estimates") and not known:
        return  # a cold start, tested elsewhere
    decision = decide(task, "f", given_limits, snap, policy=policy)
    if not plain:
        assert decision.reason == "no_candidate"
        return
    choice = twin.choose(task, plain)
    ran = {(place.config, place.device) for place in seen.timings} if seen else set()
    if isinstance(policy, MinScorePolicy) and not ran <= {(c.config, c.device) for c in plain}:
        return  # what was timed where the task may not run now tells seconds, which no plain candidate holds
    assert (decision.device, decision.reason) == (choice.device, choice.reason)
    if isinstance(policy, MinScorePolicy):
        groups = snap.candidate_table(given_limits).candidates(task, seen).groups
        if max(max(len(one.cpu), len(one.gpu)) for one in groups) <= SAMPLED:  # else some are drawn of each group
            assert set(decision.configs) == set(choice.configs)
    else:
        assert decision.configs == choice.configs
    assert decision.probability == (None if choice.probability is None else pytest.approx(choice.probability))
    rows = {(c.config, c.device): c.estimate for c in explain(task, "f", given_limits, snap).considered}
    assert all(close(rows[c.config, c.device], c.estimate) for c in plain)


@settings(max_examples=100)
@given(INVENTORIES, TASKS, st.sampled_from(NETS))
def test_the_prepared_net_is_the_net(inventory: Inventory, task: TaskSpec, classifier: Any) -> None:
    nodes = tuple(kind.spec for kind in inventory.kinds)
    estimates = classifier.prepare(nodes, 1.0)(task)
    for i, node in enumerate(nodes):
        assert close(estimates[i], classifier.estimate(task, node, 1.0))
        assert (estimates.p_gpu[i] is None) == (estimates[i] is None)


def test_a_sure_net_does_not_overflow() -> None:
    sure = net(0, biases=(np.zeros(16), np.zeros(16), np.array([1e6])))
    node = paper_configs()["B"]
    for classifier in (sure, replace(sure, biases=(np.zeros(16), np.zeros(16), np.array([-1e6])))):
        estimate = classifier.estimate(TASK, node, 1.0)
        assert estimate is not None
        assert classifier.prepare((node,), 1.0)(TASK).p_gpu == [pytest.approx(estimate.p_gpu)]


def many(count: int, spread: float = 0.0) -> Inventory:
    base = list(paper_configs().values())
    return Inventory(tuple(
        NodeKind(replace(base[i % 4], config=f"k{i:04d}",
                         gpu_gflops=base[i % 4].gpu_gflops * (1 + spread * math.sin(i))),
             (f"n{i}",))  # type: ignore[operator]
        for i in range(count)
    ))  # fmt: skip


def test_a_thousand_kinds_make_few_groups_and_lose_none() -> None:
    for spread in (0.0, 0.03, 0.9):
        table = snapshot(inventory=many(1000, spread)).candidate_table(limits())
        assert len(table.groups) <= MOST_GROUPS
        assert sorted(config for group in table.groups for config in group.configs) == [
            f"k{i:04d}" for i in range(1000)
        ]
    assert len(snapshot(inventory=many(1000)).candidate_table(limits()).groups) == 4  # none is merged that differs


def test_kinds_of_the_same_figures_decide_alike_and_all_will_do() -> None:
    snap = snapshot(NETS[1], many(400))
    decision = decide(TASK, "f", limits(), snap, policy=policy_of("gpu_only"))
    assert len(decision.configs) == 400
    few = snapshot(NETS[1], many(4))
    for flops in (1e6, 1e9, 1e12):
        task = replace(TASK, flops=flops)
        one, other = decide(task, "f", limits(), snap), decide(task, "f", limits(), few)
        assert (one.device, one.probability) == (other.device, pytest.approx(other.probability))
        assert len(one.configs) == 100 * len(other.configs)


def test_memory_is_told_apart_within_a_group() -> None:
    base = paper_configs()["B"]
    specs = [replace(base, config=f"k{i:02d}", gpu_memory_gb=20 + 0.01 * i) for i in range(40)]
    snap = snapshot(NETS[0], Inventory(tuple(NodeKind(spec) for spec in specs)))
    assert len(snap.candidate_table(limits()).groups) < 40
    decision = decide(replace(TASK, memory_bytes=20.2e9), "f", limits(), snap, policy=policy_of("gpu_only"))
    assert sorted(decision.configs) == [f"k{i:02d}" for i in range(20, 40)]


def test_the_candidate_table_is_worked_out_once_for_equal_limits() -> None:
    snap = snapshot(NETS[0])
    assert snap.candidate_table(limits()) is snap.candidate_table(limits())
    assert snap.candidate_table(limits(cpu=2.0)) is not snap.candidate_table(limits())


def test_a_new_candidate_table_for_every_limits_keeps_no_more_than_a_few() -> None:
    snap = snapshot(NETS[0])
    for i in range(200):
        decide(TASK, "f", limits(cpu=1 + i / 1000), snap)
    assert len(snap._tables) <= 64


def test_what_is_kept_of_tasks_is_bounded() -> None:
    table = DecisionTable("f", limits(), snapshot(NETS[0]))
    for i in range(5000):
        table.decide(replace(TASK, flops=1e9 + i))
        table.keep_plan(i, "how it is sent")
    assert len(table._rows) <= 4096
    assert len(table.plans) <= 4096


@pytest.mark.parametrize("name", POLICIES)
def test_a_table_decides_as_a_decision_alone_does(name: str) -> None:
    history = History()
    snap = snapshot(NETS[0], history=history, policy=seeded(name))
    table, alone = DecisionTable("f", limits(), snap), seeded(name)
    tasks = [replace(TASK, flops=1e9 * 4**i) for i in range(4)]
    for turn in range(3):
        for task in tasks:
            assert table.decide(task) == decide(task, "f", limits(), snap, policy=alone)
        history.observe(key_of("f", tasks[turn]), Place("A", "gpu", 1.0), 1.0 + turn)


def test_a_table_keeps_its_candidates_while_what_they_are_made_of_stands() -> None:
    history = History()
    first = snapshot(NETS[0], history=history)
    table = DecisionTable("f", limits(), first)
    kept = table.candidates(TASK)
    same = replace(first, version=8).after(first)
    assert table.candidates(TASK) is DecisionTable("f", limits(), same, before=table).candidates(TASK) is kept
    assert DecisionTable("f", limits(2.0), same, before=table).candidates(TASK) is not kept
    other = replace(first, inventory=cluster(configs="A")).after(first)
    assert DecisionTable("f", limits(), other, before=table).candidates(TASK) is not kept
    history.observe(key_of("f", TASK), Place("A", "cpu", 1.0), 1.0)
    assert table.candidates(TASK) is not kept


def test_what_was_seen_meanwhile_counts_at_once() -> None:
    history = History()
    snap, given_limits = snapshot(OneByOne(NETS[0]), cluster(configs="A"), history=history), limits()
    before = decide(TASK, "f", given_limits, snap)
    device = "cpu" if before.device == "gpu" else "gpu"
    for where, seconds in ((device, 0.01), (before.device, 10.0)):
        for _ in range(9):
            history.observe(("f", size_of(TASK)), Place("A", where, 1.0), seconds)  # type: ignore[arg-type]
    assert decide(TASK, "f", given_limits, snap).device == device


def test_a_snapshot_that_decided_can_be_sent_and_copied() -> None:
    snap = snapshot(NETS[0])
    decision = decide(TASK, "f", limits(), snap)
    for twin in (pickle.loads(pickle.dumps(snap)), copy.deepcopy(snap), replace(snap, version=7)):
        assert decide(TASK, "f", limits(), twin) == decision


def test_a_plain_list_becomes_a_candidate_set() -> None:
    plain = [
        Candidate("A", "cpu", 1.0, 0.0, Estimate(0.4, cpu_seconds=3.0)),
        Candidate("B", "gpu", 1.0, 1.0, Estimate(0.6, gpu_seconds=2.0, gpu_joules=5.0), wait_s=1.5),
        Candidate("A", "gpu", 1.0, 1.0),
    ]
    found = candidate_set(plain)
    assert list(found) == plain
    assert candidate_set(found) is found
    assert (found.cpu_configs, found.gpu_configs()) == (("A",), ("B", "A"))
    assert [p for p, _ in found.known()] == [0.6]
    assert [(c.seconds, c.joules) for c in plain] == [(3.0, None), (2.0, 5.0), (None, None)]
    assert isinstance(found, CandidateSet)
    assert found.waits is not None
    assert (found.waits.wait_s("B", "gpu"), found.waits.wait_s("C", "gpu")) == (1.5, None)


def test_a_node_without_a_gpu_has_no_estimate() -> None:
    snap = snapshot(NETS[0], cluster(CPU_NODE, configs="A"))
    assert {c.config: c.estimate is None for c in snap.candidate_table(limits()).candidates(TASK, None)} == {
        "A": False,
        "cpu-only": True,
    }
