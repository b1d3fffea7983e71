from __future__ import annotations

import copy
import math
import pickle
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from fractions import Fraction
from typing import Any

import pytest
from core_builders import TASK, cluster, limits, net, snapshot
from hypothesis import example, given
from hypothesis import strategies as st

from placement.errors import OptionError
from placement.prediction.estimate import Estimate, Spread
from placement.prediction.runtime_history import History, Place
from placement.prediction.selector_file import shipped_selector
from placement.scheduling.candidate_set import candidate_set
from placement.scheduling.candidates import Candidate, Comparison
from placement.scheduling.decision import decide, key_of
from placement.scheduling.explanation import ConsideredCandidate, explain
from placement.scheduling.policies.balanced import POWER, Balanced, grown, next_price, score
from placement.scheduling.policies.queue_aware import NEAR, MinEdp, MinEnergy, MinScorePolicy, MinTime
from placement.scheduling.policies.selector_policy import SelectorPolicy
from placement.scheduling.queue_model import STALE_S, Backlog, Load
from placement.scheduling.sized_waits import waits_under
from placement.spec.node import Inventory, NodeKind, NodeSpec, paper_configs
from placement.spec.task import TaskSpec

WORTH = Estimate(0.9, cpu_seconds=10.0, gpu_seconds=1.0, cpu_joules=50.0, gpu_joules=60.0)
NOT_WORTH = Estimate(0.1, cpu_seconds=1.5, gpu_seconds=1.0, cpu_joules=5.0, gpu_joules=90.0)


def pair(config: str, estimate: Estimate | None, cpu_wait: float | None, gpu_wait: float | None) -> list[Candidate]:
    return [
        Candidate(config, "cpu", 1.0, 0.0, estimate, cpu_wait),
        Candidate(config, "gpu", 1.0, 1.0, estimate, gpu_wait),
    ]


def devices(estimate: Estimate, cpu_wait: float | None, gpu_wait: float | None, policy: Any = None) -> tuple[str, str]:
    choice = (policy or Balanced(seed=0)).choose(TASK, pair("A", estimate, cpu_wait, gpu_wait))
    return choice.device, choice.reason


@pytest.mark.parametrize("estimate", [WORTH, NOT_WORTH])
def test_where_no_queue_is_known_it_is_the_threshold(estimate: Estimate) -> None:
    candidates = pair("A", estimate, None, None) + pair("B", estimate, None, None)
    assert Balanced().choose(TASK, candidates) == SelectorPolicy().choose(TASK, candidates)


class Priced:
    """Waits of which the price of a second of GPU is set."""

    age_s = 0.0

    def __init__(self, gpu_price: float | None, **waits: float) -> None:
        self.gpu_price, self._waits = gpu_price, waits

    def wait_s(self, config: str, device: str) -> float:
        return self._waits.get(device, 0.0)

    def waits_s(self, queues: Sequence[tuple[str, str]]) -> list[float]:
        return [self.wait_s(*queue) for queue in queues]


def priced(gpu_price: float | None, estimate: Estimate, **waits: float) -> Any:
    found = candidate_set(pair("A", estimate, None, None))
    found.waits = Priced(gpu_price, **waits)
    return Balanced(seed=0).choose(TASK, found)


def test_a_gpu_that_idles_is_used_where_that_ends_sooner_though_the_threshold_names_the_cpu() -> None:
    choice = priced(1.0, NOT_WORTH)
    assert (choice.device, choice.reason, choice.wait_s, choice.seconds) == ("gpu", "gpu_ends_sooner", 0.0, 1.0)
    assert priced(1.0, replace(NOT_WORTH, gpu_joules=900.0)).device == "cpu"  # 2.8 s with its joules, against 1.51
    assert priced(1.0, replace(NOT_WORTH, gpu_seconds=1.6)).device == "cpu"


def test_a_gpu_that_is_wanted_is_kept_for_who_gains_most() -> None:
    assert [priced(price, NOT_WORTH).device for price in (1.0, 1.2, 1.4, 15.0)] == ["gpu", "gpu", "cpu", "cpu"]
    assert [priced(price, WORTH).device for price in (1.0, 8.0, 15.0)] == ["gpu", "gpu", "cpu"]
    assert priced(15.0, NOT_WORTH, cpu=500.0).device == "gpu"  # better than that it idles beside a queue


def test_a_dearer_joule_sends_no_task_from_a_wanted_gpu_to_a_cpu_that_draws_more() -> None:
    frugal = Estimate(0.9, cpu_seconds=100.0, gpu_seconds=10.0, cpu_joules=1000.0, gpu_joules=800.0)
    for waits in ({"cpu": 1000.0, "gpu": 1000.0}, {}):
        found = candidate_set(pair("A", frugal, None, None))
        found.waits = Priced(9.0, **waits)
        policies = [Balanced(seconds_per_joule=price, seed=0) for price in (0.0, 0.02, 0.1, 1.0)]
        assert [policy.choose(TASK, found).device for policy in policies] == ["gpu"] * 4


@given(
    st.tuples(*[st.floats(0.1, 100.0)] * 2), st.tuples(*[st.floats(1.0, 1e4)] * 2), st.floats(0.1, 20.0),
    st.floats(0.0, 1.0), st.floats(1.0, 100.0),
)  # fmt: skip
def test_of_free_devices_a_dearer_joule_never_takes_the_one_that_draws_more(
    seconds: tuple[float, float], joules: tuple[float, float], gpu_price: float, price: float, dearer: float
) -> None:
    estimate = Estimate(0.5, None, None, *seconds, *joules)
    found = candidate_set(pair("A", estimate, None, None))
    found.waits = Priced(gpu_price)
    cheap, dear = (
        estimate.joules_on(Balanced(seconds_per_joule=one, seed=0).choose(TASK, found).device)
        for one in (price, price * dearer)
    )
    assert dear <= cheap


def test_nodes_that_only_cost_alike_are_not_drawn_among() -> None:
    fast = Estimate(0.9, cpu_seconds=1000.0, gpu_seconds=1.0, cpu_joules=1.0, gpu_joules=100.0)
    frugal = replace(fast, gpu_seconds=1.1, gpu_joules=50.0)  # 1.2 s each, at 1/500 s a joule
    candidates = pair("fast", fast, 9.0, 9.0) + pair("frugal", frugal, 9.0, 9.01) + pair("twin", fast, 9.0, 9.05)
    for seed in range(8):
        assert set(Balanced(seed=seed).choose(TASK, candidates).configs) == {"fast", "twin"}


def test_the_price_falls_to_that_of_a_cpu_while_a_gpu_idles() -> None:
    prices = [15.0]
    for _ in range(100):
        prices.append(priced(prices[-1], WORTH).gpu_price)
    assert prices == sorted(prices, reverse=True)
    assert (prices[1], prices[-1]) == (pytest.approx(15.0 * math.exp(-0.05)), 1.0)
    assert priced(0.5, WORTH).gpu_price == 0.5
    assert priced(None, WORTH).gpu_price == pytest.approx(2.0 * math.exp(-0.05))


def test_a_task_for_the_cpu_waits_for_no_gpu_while_a_cpu_is_free() -> None:
    slow = replace(NOT_WORTH, cpu_seconds=50.0)
    assert priced(1.0, slow, gpu=1.0).device == "cpu"
    assert priced(1.0, slow, gpu=1.0, cpu=1.0).device == "gpu"


def test_the_cheapest_free_config_is_taken() -> None:
    fast = replace(WORTH, gpu_seconds=0.5, cpu_seconds=5.0)
    for free, taken in ((0.0, "B"), (9.0, "A")):
        candidates = pair("A", WORTH, 0.0, 0.0) + pair("B", fast, 0.0, free)
        assert Balanced(seed=0).choose(TASK, candidates).configs == (taken,)
    cpus = [c for c in pair("A", NOT_WORTH, 0.0, 0.0) + pair("B", fast, 0.0, 0.0) if c.device == "cpu"]
    assert Balanced(seed=0).choose(TASK, cpus).configs == ("A",)


def test_a_gpu_is_waited_for_where_it_still_ends_sooner() -> None:
    assert devices(WORTH, 0.0, 2.0) == ("gpu", "gpu_worth_it, waits")


def test_a_cpu_is_taken_now_where_the_gpus_queue_is_longer_than_its_gain() -> None:
    assert devices(WORTH, 0.0, 30.0) == ("cpu", "cpu_ends_sooner")


def test_an_idle_gpu_helps_out_where_the_cpus_are_taken() -> None:
    assert devices(NOT_WORTH, 100.0, 0.0) == ("gpu", "gpu_ends_sooner")


def test_a_joule_costs_seconds() -> None:
    costly = Estimate(0.1, cpu_seconds=20.0, gpu_seconds=10.0, cpu_joules=10.0, gpu_joules=9000.0)
    assert devices(costly, 1.0, 0.0, Balanced(seconds_per_joule=0.0, seed=0))[0] == "gpu"
    assert devices(costly, 1.0, 0.0, Balanced(seconds_per_joule=0.01, seed=0))[0] == "cpu"


def test_unknown_joules_win_no_argument() -> None:
    free = Estimate(0.1, cpu_seconds=20.0, gpu_seconds=10.0, cpu_joules=9000.0)
    assert devices(free, 1.0, 0.0, Balanced(seconds_per_joule=1.0, seed=0))[0] == "gpu"  # by time alone


def test_without_seconds_the_threshold_decides_and_the_reason_says_so() -> None:
    for p, device in ((0.9, "gpu"), (0.1, "cpu")):
        took, reason = devices(Estimate(p), 50.0, 50.0)
        assert took == device
        assert reason.endswith(", seconds_unknown")


@pytest.mark.parametrize("known", ["cpu_seconds", "gpu_seconds"])
def test_the_seconds_of_one_device_give_the_others_by_the_speedup(known: str) -> None:
    seconds = 10.0 if known == "cpu_seconds" else 1.0
    half = Estimate(0.9, speedup=Spread(math.log(10.0), 0.1), **{known: seconds})
    assert devices(half, 0.0, 2.0)[0] == "gpu"
    assert devices(half, 0.0, 30.0) == ("cpu", "cpu_ends_sooner")


def test_the_better_config_is_taken_among_those_that_wait() -> None:
    candidates = pair("A", WORTH, 50.0, 5.0) + pair("B", WORTH, 50.0, 2.0)
    choice = Balanced(seed=0).choose(TASK, candidates)
    assert (choice.configs, choice.wait_s, choice.seconds) == (("B",), 2.0, 1.0)


def test_drivers_do_not_herd() -> None:
    candidates = [c for i in range(6) for c in pair(f"n{i}", WORTH, 50.0, 2.0)]
    first = Counter(Balanced(seed=i).choose(TASK, candidates).configs[0] for i in range(600))
    assert len(first) == 6
    assert max(first.values()) < 160  # 100 expected; six standard deviations
    assert all(len(Balanced(seed=i).choose(TASK, candidates).configs) == 6 for i in range(3))


def test_a_draw_is_among_nodes_alike_however_long_the_queue() -> None:
    slow = replace(WORTH, gpu_seconds=2.2, cpu_seconds=22.0)  # ends within 2 % of the others, and holds its GPU twice
    seen = replace(WORTH, gpu_seconds=1.004, cpu_seconds=10.04)  # as WORTH, but that history timed it
    candidates = pair("A", WORTH, 900.0, 50.0) + pair("B", slow, 900.0, 50.0) + pair("C", seen, 900.0, 50.0)
    for policy in (Balanced, MinTime):
        chosen = [policy(seed=i).choose(TASK, candidates).configs for i in range(40)]
        assert {frozenset(configs) for configs in chosen} == {frozenset("AC")}
        assert {configs[0] for configs in chosen} == set("AC")


def test_the_price_of_a_gpu_rises_while_its_queue_is_the_longer() -> None:
    first = Balanced(seed=0).choose(TASK, pair("A", WORTH, 10.0, 100.0)).gpu_price
    assert first == pytest.approx(next_price(2.0, 11.0, 101.0))  # the waits, each with the shortest run of 1 s
    high = first
    for _ in range(20):
        high = next_price(high, 10.0, 100.0)
    low = high
    for _ in range(40):
        low = next_price(low, 100.0, 10.0)
    assert high > first > 2.0 > low
    assert next_price(18.0, 1.0, 1e9) == pytest.approx(18.0)  # as high as it goes


def test_the_price_is_the_callers_and_moves_as_tasks_are_sent() -> None:
    backlog = Backlog(lambda: 0.0)
    backlog.merge({("A", "cpu"): Load(1, 9, 10.0), ("A", "gpu"): Load(1, 9, 500.0)}, 0.0)
    snap = snapshot(Fixed(), inventory=cluster(configs="A"), backlog=backlog)
    prices = []
    for policy in (Balanced(), Balanced(seconds_per_joule=0.25), Balanced()):  # one price for all of them
        for _ in range(2):
            decision = decide(TASK, "f", limits(), snap, policy=policy)
        assert decision.comparison is not None
        assert decision.comparison.gpu_price == decision.gpu_price
        backlog.enqueue("A", decision.device, 1.0, gpu_price=decision.gpu_price)
        prices.append(backlog.gpu_price)
        decide(TASK, "f", limits(), snap, policy=MinTime())  # which has no price to move
        backlog.enqueue("A", "gpu", 0.0)
    assert 2.0 < prices[0] < prices[1] < prices[2] == backlog.gpu_price
    assert waits_under(backlog, {"cpu": 2.0, "gpu": 1.0}, 1.0).gpu_price == prices[2]


def test_the_three_others() -> None:
    candidates = pair("A", WORTH, 0.0, 0.0) + pair("B", NOT_WORTH, 0.0, 0.0)
    assert MinTime(seed=0).choose(TASK, candidates).device == "gpu"
    energy = MinEnergy(seed=0).choose(TASK, candidates)
    assert (energy.device, energy.configs) == ("cpu", ("B",))
    edp = MinEdp(seed=0).choose(TASK, candidates)
    assert (edp.device, edp.configs) == ("cpu", ("B",))  # 1.5 s * 5 J
    assert MinTime(seed=0).choose(TASK, pair("A", WORTH, 0.0, 30.0)).device == "cpu"  # the wait counts


@pytest.mark.parametrize("price", [-1, math.nan, math.inf, True, "1"])
def test_a_price_is_a_number(price: Any) -> None:
    with pytest.raises(OptionError, match="seconds_per_joule"):
        Balanced(seconds_per_joule=price)


WAITS = st.sampled_from([0.0, 0.0, 1.0, 30.0, None])
ESTIMATES = st.one_of(
    st.none(),
    st.builds(
        Estimate, st.floats(0, 1), cpu_seconds=st.one_of(st.none(), st.floats(0, 1e3)),
        gpu_seconds=st.one_of(st.none(), st.floats(0, 1e3)), cpu_joules=st.one_of(st.none(), st.floats(0, 1e3)),
        gpu_joules=st.one_of(st.none(), st.floats(0, 1e3)),
    ),
)  # fmt: skip


@given(
    st.lists(st.tuples(ESTIMATES, WAITS, WAITS, st.sampled_from(["both", "cpu", "gpu"])), min_size=1, max_size=5),
    st.sampled_from([Balanced, MinTime, MinEnergy, MinEdp]),
)
@example(
    [(replace(WORTH, cpu_seconds=s, cpu_joules=j), 0.0, 0.0, "both") for s, j in ((2.0, 5e-324), (1.0, 3.0))], Balanced
)
def test_a_choice_is_of_what_was_offered(kinds: list, policy: type[MinScorePolicy]) -> None:
    candidates = [
        c for i, (e, cpu, gpu, which) in enumerate(kinds) for c in pair(f"n{i}", e, cpu, gpu)
        if which in ("both", c.device)
    ]  # fmt: skip
    choice = policy(seed=1).choose(TASK, candidates)
    assert choice.configs
    assert {(config, choice.device) for config in choice.configs} <= {(c.config, c.device) for c in candidates}


class Fixed:
    """A selector that says the same of every node that has a GPU."""

    version = "fixed"

    def __init__(self, says: Estimate = WORTH) -> None:
        self.says = says

    def estimate(self, task: TaskSpec, node: NodeSpec, cpus: float) -> Estimate:
        return self.says

    def to_dict(self) -> dict[str, Any]:
        return {}


@pytest.mark.parametrize("policy", [Balanced(seed=0), MinTime(), MinEnergy(), MinEdp()])
@pytest.mark.parametrize("cpu", [math.nan, math.inf, -1.0, 0.0, 1.0])
@pytest.mark.parametrize("gpu", [math.nan, math.inf, -1.0, 0.0])
def test_whatever_seconds_a_users_selector_tells_a_decision_comes_of_it(
    policy: MinScorePolicy, cpu: float, gpu: float
) -> None:
    backlog = Backlog(lambda: 0.0)
    backlog.merge({(config, device): Load(1, 3, 5.0) for config in "ABCD" for device in ("cpu", "gpu")}, 0.0)  # type: ignore[arg-type]
    seen = History()
    for _ in range(4):
        seen.observe(key_of("f", TASK), Place("A", "cpu", 1.0), 1e308)
    for history in (History(), seen):
        selector = Fixed(replace(WORTH, cpu_seconds=cpu, gpu_seconds=gpu))
        snap = snapshot(selector, backlog=backlog, history=history)
        assert decide(TASK, "f", limits(), snap, policy=policy).configs
        assert str(explain(TASK, "f", limits(), snap, policy=policy))


def test_a_decision_states_wait_seconds_and_freshness() -> None:
    now = [100.0]
    backlog = Backlog(lambda: now[0])
    loads = {(config, device): Load(1, 1, 5.0) for config in "ABCD" for device in ("cpu", "gpu")}
    backlog.merge(loads, 100.0)  # type: ignore[arg-type]
    now[0] = 101.5
    snap = snapshot(Fixed(), backlog=backlog)
    decision = decide(TASK, "f", limits(), snap, policy=Balanced(seed=0))
    assert (decision.device, decision.backlog_age_s, decision.seconds) == ("gpu", 1.5, 1.0)
    assert decision.wait_s == pytest.approx(3.5)
    assert decide(TASK, "f", limits(), snapshot(Fixed()), policy=Balanced()).backlog_age_s is None


def test_a_burst_spreads_by_the_backlog_alone() -> None:
    backlog = Backlog(lambda: 0.0)
    backlog.merge({(c, d): Load(4 if d == "cpu" else 1) for c in "ABCD" for d in ("cpu", "gpu")}, 0.0)  # type: ignore[misc]
    snap, policy, taken = snapshot(Fixed(), backlog=backlog), Balanced(seed=0), Counter[str]()
    for _ in range(80):
        decision = decide(TASK, "f", limits(), snap, policy=policy)
        assert decision.config is not None
        backlog.enqueue(
            decision.config, decision.device, 1.0 if decision.device == "gpu" else 10.0, 1.0, decision.gpu_price
        )
        taken[decision.device] += 1
    # 4 GPUs of 1 s and 16 CPUs of 10 s a task: level at 80 * 4 / (4 + 1.6) = 57 on the GPUs
    assert 45 <= taken["gpu"] <= 68
    waits = [backlog.wait_s(c, "gpu") for c in "ABCD"]
    assert max(waits) - min(waits) <= 2.0  # type: ignore[type-var, operator]


def test_explaining_leaves_the_rate_and_the_draws_alone() -> None:
    backlog = Backlog(lambda: 0.0)
    backlog.merge({(c, d): Load(1, 9, 50.0) for c in "ABCD" for d in ("cpu", "gpu")}, 0.0)  # type: ignore[misc]
    snap, policy = snapshot(Fixed(), backlog=backlog), Balanced(seed=3)
    twin = copy.deepcopy(policy)
    for _ in range(5):
        explained = explain(TASK, "f", limits(), snap, policy=policy)
        assert explained.decision == decide(TASK, "f", limits(), snap, policy=policy)
        assert explained.decision == decide(TASK, "f", limits(), snap, policy=twin)


def test_a_thousand_kinds_are_not_all_looked_at() -> None:
    asked: list[str] = []

    class Counting:
        age_s = gpu_price = None

        def wait_s(self, config: str, device: str) -> float:
            asked.append(config)
            return 5.0

        def waits_s(self, queues: Sequence[tuple[str, str]]) -> list[float]:
            return [self.wait_s(*queue) for queue in queues]

    base = paper_configs()["B"]
    kinds = tuple(
        NodeKind(NodeSpec(f"k{i}", base.cpus, 1, gpu_gflops=base.gpu_gflops), (f"n{i}",)) for i in range(1000)
    )
    snap = snapshot(Fixed(), Inventory(kinds), backlog=Counting())
    decide(TASK, "f", limits(), snap, policy=Balanced(seed=0))
    assert len(asked) < 50


def test_on_a_net_that_tells_no_seconds_it_is_the_threshold() -> None:
    backlog = Backlog(lambda: 0.0)
    backlog.merge({(c, d): Load(1, 9, 50.0) for c in "ABCD" for d in ("cpu", "gpu")}, 0.0)  # type: ignore[misc]
    for seed in range(5):
        seen = decide(TASK, "f", limits(), snapshot(net(seed), cluster(), backlog=backlog), policy=Balanced())
        plain = decide(TASK, "f", limits(), snapshot(net(seed), cluster()))
        assert (seen.device, seen.configs, seen.reason) == (
            plain.device, plain.configs, f"{plain.reason}, seconds_unknown"
        )  # fmt: skip


def test_tasks_of_sizes_never_seen_look_at_the_queues_by_the_shipped_selector() -> None:
    backlog = Backlog(lambda: 0.0)
    loads = {(c, d): Load(1 if d == "gpu" else 16) for c in "ABCD" for d in ("cpu", "gpu")}
    backlog.merge(loads, 0.0)  # type: ignore[arg-type]
    snap, policy, taken = snapshot(shipped_selector(), backlog=backlog), Balanced(seed=0), Counter[str]()
    for i in range(300):
        task = replace(TASK, flops=3e9 * (1 + i / 300), framework="torch", steps=100)
        decision = decide(task, "f", limits(), snap, policy=policy)
        assert "seconds_unknown" not in decision.reason
        assert decision.config is not None
        if i > 8:  # four GPUs and those that the threshold sends elsewhere
            assert decision.seconds
        backlog.enqueue(decision.config, decision.device, decision.seconds, gpu_price=decision.gpu_price)
        taken[decision.reason.split(",")[0]] += 1
    assert taken["gpu_worth_it"] > 20
    assert taken["cpu_ends_sooner"] > 20
    rows = explain(task, "f", limits(), snap, policy=policy).considered
    ends = {_row(row): (row.wait_s or 0.0) + (row.seconds or 0.0) for row in rows}
    assert max(ends.values()) <= 1.3 * min(ends.values()), ends  # of one more task, wherever it goes


def test_what_was_timed_of_one_kind_puts_the_others_right() -> None:
    seen = History()
    expected = shipped_selector().estimate(TASK, paper_configs()["A"], 1.0)
    assert expected is not None
    assert expected.cpu_seconds is not None
    for _ in range(4):
        seen.observe(key_of("f", TASK), Place("A", "cpu", 1.0), 6.0 * expected.cpu_seconds)
    rows = explain(TASK, "f", limits(), snapshot(shipped_selector(), history=seen)).considered
    before = explain(TASK, "f", limits(), snapshot(shipped_selector())).considered
    for now, then in zip(sorted(rows, key=_row), sorted(before, key=_row), strict=True):
        assert then.seconds
        assert now.seconds == pytest.approx(6.0 * then.seconds), now


def _row(row: ConsideredCandidate) -> tuple[str, str]:
    return row.config, row.device


def test_a_load_too_old_is_not_looked_at_and_the_reason_says_so() -> None:
    now = [0.0]
    backlog = Backlog(lambda: now[0])
    backlog.merge({("A", "gpu"): Load(2, 50, 500.0), ("A", "cpu"): Load(16)}, 0.0)
    snap = snapshot(Fixed(), inventory=cluster(configs="A"), policy=Balanced(seed=0), backlog=backlog)
    now[0] = 1.0
    fresh = decide(TASK, "f", limits(), snap)
    assert (fresh.device, fresh.backlog_age_s) == ("cpu", 1.0)
    assert "queues of 1.0 s ago" in str(explain(TASK, "f", limits(), snap))
    now[0] = STALE_S + 0.1
    old = decide(TASK, "f", limits(), snap)
    assert (old.device, old.reason) == ("gpu", "gpu_worth_it, load_stale")
    for policy in (MinTime(), MinEdp()):
        assert decide(TASK, "f", limits(), snap, policy=policy).reason.endswith("load_stale")


def test_a_policy_travels_without_the_draws_of_its_process() -> None:
    policy = Balanced(seconds_per_joule=0.5)
    assert pickle.loads(pickle.dumps(policy)) == policy
    candidates = [c for name in "ABCDEF" for c in pair(name, WORTH, 9.0, 9.0)]
    sent = pickle.dumps(policy)
    first = Counter(pickle.loads(sent).choose(TASK, candidates).configs[0] for _ in range(100))
    assert len(first) > 1  # drivers that drew the same node would herd


def test_candidate_tables_outlive_a_snapshot_that_changes_nothing_they_stand_on() -> None:
    first = snapshot(Fixed(), inventory=cluster(configs="AB"))
    table = first.candidate_table(limits())
    same = replace(first, version=8, inventory=cluster(configs="AB")).after(first)
    assert (same.version, same.candidate_table(limits())) == (8, table)
    for changed in (
        replace(first, inventory=cluster(configs="A")),
        replace(first, selector=Fixed(), backlog=Backlog()),
    ):
        assert changed.after(first).candidate_table(limits()) is not table


WAITS = st.floats(0.0, 100.0)


@given(st.lists(st.tuples(WAITS, WAITS, st.sampled_from([WORTH, NOT_WORTH])), min_size=2, max_size=4))
def test_what_was_compared_is_told_and_the_choice_follows_from_it(kinds: list[Any]) -> None:
    candidates = [c for i, (cpu, gpu, estimate) in enumerate(kinds) for c in pair(f"k{i}", estimate, cpu, gpu)]
    choice = Balanced(seed=0).choose(TASK, candidates)
    comparison = choice.comparison
    if comparison is None:  # nothing would have to be waited for, or all are as good
        assert not choice.wait_s or len(choice.configs) > 1
        return
    in_the_log = Comparison.of(str(comparison))
    assert in_the_log[:2] == comparison[:2]
    assert in_the_log[2:4] + in_the_log[6:] == pytest.approx(comparison[2:4] + comparison[6:], rel=1e-3)
    assert (comparison.config, comparison.device, comparison.wait_s) == (
        choice.configs[0],
        choice.device,
        choice.wait_s,
    )
    assert (comparison.other_config, comparison.other_device) != (comparison.config, comparison.device)
    taken = score(comparison.wait_s, comparison.cost_s, comparison.device == "gpu", comparison.gpu_price)
    other = score(
        comparison.other_wait_s, comparison.other_cost_s, comparison.other_device == "gpu", comparison.gpu_price
    )
    assert taken <= other * NEAR ** (POWER - 1) * (1 + 1e-9)


@given(st.floats(0.0, 1e9), st.floats(1e-9, 1e9))
def test_what_a_task_pays_is_the_growth_of_the_power(wait: float, cost: float) -> None:
    exact = (Fraction(wait) + Fraction(cost)) ** POWER - Fraction(wait) ** POWER
    assert grown(wait, cost) == pytest.approx(float(exact), rel=1e-9)
