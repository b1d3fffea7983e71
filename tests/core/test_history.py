from __future__ import annotations

import math
import random
from dataclasses import replace
from statistics import fmean, variance
from typing import Any

import pytest
from core_builders import TASK
from hypothesis import given, settings
from hypothesis import strategies as st

from placement.prediction.estimate import Basis, Estimate, Spread
from placement.prediction.posterior import Slowdown, combined, corrected, posterior, slowdown_of
from placement.prediction.runtime_history import COLD_START_RUNS, LARGEST_KEYS, History, Key, Place, size_of
from placement.prediction.timings import DRIFT_SAMPLES, EARLIER_CODE_STD, Timings
from placement.spec.joint_threshold import JointThreshold
from placement.spec.task import Device, TaskSpec

RULE = JointThreshold()
KEY: Key = ("f", (1, 2, 3, 4, 5))


def timed(*seconds: float, joules: float | None = None, error: float = 0.0) -> Timings:
    """Timings of warm runs, the cold one before them set aside."""
    timings = Timings().add(99.0, joules)
    for one in seconds:
        timings = timings.add(one, joules, error)
    return timings


def place(device: Device = "cpu", config: str = "A", cpus: float = 1.0) -> Place:
    return Place(config, device, cpus)


def test_design_numbers() -> None:
    assert (LARGEST_KEYS, COLD_START_RUNS) == (10_000, 3)


@given(st.floats(1, 1e15), st.floats(1.0, 1.04))
def test_a_size_is_a_step_of_nine_percent(flops: float, more: float) -> None:
    first, second = size_of(TaskSpec(flops=flops))[0], size_of(TaskSpec(flops=flops * more))[0]
    third = size_of(TaskSpec(flops=flops * 1.1 + 1))[0]
    assert first is not None
    assert second is not None
    assert third is not None
    assert second - first in (0, 1)
    assert third > first


@pytest.mark.parametrize("name", ["flops", "input_bytes", "batch_size", "parameters", "steps"])
def test_every_quantity_tells_sizes_apart(name: str) -> None:
    doubled: dict[str, Any] = {name: getattr(TASK, name) * 2}
    assert size_of(replace(TASK, **doubled)) != size_of(TASK)


def test_unknown_is_another_size_than_zero() -> None:
    assert size_of(TaskSpec(flops=None)) != size_of(TaskSpec(flops=0))
    assert size_of(TaskSpec())[:4] == (None,) * 4


def test_the_first_timing_is_set_aside() -> None:
    assert (Timings().runs, Timings().seconds) == (0, None)
    cold = Timings().add(100.0, 5.0)
    assert (cold.runs, cold.seconds, cold.joules) == (0, None, None)
    warm = cold.add(2.0, 7.0)
    assert (warm.runs, warm.seconds, warm.joules) == (1, pytest.approx(2.0), 7.0)


@given(st.lists(st.floats(0.9, 1.1), min_size=2, max_size=20))
def test_mean_and_variance_are_those_of_the_log_seconds(seconds: list[float]) -> None:
    timings = timed(*seconds)
    logs = [math.log(s) for s in seconds]
    assert timings.runs == len(seconds)
    assert timings.mean == pytest.approx(fmean(logs), abs=1e-9)
    assert timings.variance == pytest.approx(variance(logs), abs=1e-9)


def test_joules_are_the_mean_of_the_measured_ones() -> None:
    timings = timed(1.0)
    for joules in (None, 4.0, None, 6.0, 8.0):
        timings = timings.add(1.0, joules)
    assert (timings.joules, timings.joules_runs) == (6.0, 3)
    assert timed(1.0, 1.0).joules is None


def test_more_runs_narrow_the_belief() -> None:
    spreads = [timed(*[1.0] * n).spread.std for n in (1, 4, 16)]
    assert spreads == sorted(spreads, reverse=True)
    assert spreads[-1] > 0


def test_drift_starts_the_entry_anew() -> None:
    steady = timed(*[1.0] * 10, joules=5.0)
    drifted = steady
    for _ in range(DRIFT_SAMPLES - 1):
        drifted = drifted.add(3.0, 15.0)
        assert drifted.runs > 10
    drifted = drifted.add(3.0, 15.0)
    assert (drifted.runs, drifted.seconds, drifted.joules, drifted.strays) == (1, pytest.approx(3.0), 15.0, 0)
    assert drifted.add(3.0).runs == 2  # no second cold run is set aside


def test_drift_is_noticed_both_ways_but_not_of_single_outliers() -> None:
    assert timed(*[3.0] * 10, *[1.0] * DRIFT_SAMPLES).runs == 1
    assert timed(*[1.0] * 10, *[3.0, 1.0, 1.0, 1.0] * 5).runs == 30


def test_observing_keeps_places_apart() -> None:
    history = History()
    for where in (place(), place("gpu"), place(config="B"), place(cpus=2.0)):
        for _ in range(2):
            history.observe(KEY, where, 1.0)
    seen = history.get(KEY)
    assert seen is not None
    assert len(seen.timings) == 4
    assert seen.at("A", "cpu", 1.0).runs == 1
    assert seen.at("A", "cpu", 4.0).runs == 0
    assert (seen.warm_runs("cpu"), seen.warm_runs("gpu")) == (3, 1)
    assert history.get(("g", KEY[1])) is None


@pytest.mark.parametrize("seconds", [math.nan, math.inf, -1.0])
def test_what_is_no_time_is_left_out(seconds: float) -> None:
    history = History()
    history.observe(KEY, place(), seconds)
    assert len(history) == 0


@pytest.mark.parametrize("joules", [math.nan, math.inf, 0.0, -1.0])
def test_what_is_no_energy_is_unknown(joules: float) -> None:
    history = History()
    for _ in range(2):
        history.observe(KEY, place(), 1.0, joules)
    seen = history.get(KEY)
    assert seen is not None
    assert (seen.at("A", "cpu", 1.0).runs, seen.at("A", "cpu", 1.0).joules) == (1, None)


def test_a_time_of_zero_is_a_very_short_one() -> None:
    assert timed(0.0, 0.0).seconds == pytest.approx(1e-9)


def test_unfit_is_remembered_beside_the_timings() -> None:
    history = History()
    history.observe(KEY, place(), 1.0)
    history.mark_unfit(KEY, "A", "cuda_out_of_memory")
    history.observe(KEY, place(), 1.0)
    seen = history.get(KEY)
    assert seen is not None
    assert seen.unfit == {"A": "cuda_out_of_memory"}
    assert seen.warm_runs("cpu") == 1


def test_it_is_bounded_and_forgets_what_was_seen_longest_ago() -> None:
    history = History()
    for i in range(LARGEST_KEYS):
        history.observe(("f", (i,)), place(), 1.0)
    history.observe(("f", (0,)), place(), 1.0)
    history.observe(("f", (LARGEST_KEYS,)), place(), 1.0)
    assert len(history) == LARGEST_KEYS == len(history.everything())
    assert history.get(("f", (0,))) is not None
    assert history.get(("f", (1,))) is None


def test_changes_are_told_once() -> None:
    history = History()
    history.observe(KEY, place(), 1.0)
    assert list(history.changes()) == [KEY]
    assert history.changes() == {}


STEP = st.one_of(
    st.tuples(st.just("observe"), st.integers(0, 9)),
    st.tuples(st.just("unfit"), st.integers(0, 9)),
    st.just(("send", 0)),
)


@settings(max_examples=80)
@given(st.lists(STEP, max_size=60), st.integers(1, 6))
def test_a_copy_that_takes_every_change_is_equal_to_the_last_key(steps: list[tuple[str, int]], largest: int) -> None:
    owner, copy = History(largest), History(largest)
    for step, number in [*steps, ("send", 0)]:
        key = ("f", (number,))
        if step == "observe":
            owner.observe(key, place(), 1.0 + number)
        elif step == "unfit":
            owner.mark_unfit(key, "A", "why")
        else:
            copy.update(owner.changes())
    assert list(copy.everything().items()) == list(owner.everything().items())  # in the order of forgetting too
    late = History(largest)
    late.update(owner.everything())
    assert list(late.everything().items()) == list(owner.everything().items())


@settings(max_examples=40)
@given(st.lists(st.floats(0.01, 100.0), min_size=1, max_size=120))
def test_a_copy_that_is_told_of_growth_is_never_more_than_a_tenth_behind(times: list[float]) -> None:
    owner, copy = History(growth=0.1), History()
    for seconds in times:
        owner.observe(KEY, place(), seconds)
        copy.update(owner.changes())
        ours, theirs = (one.everything()[KEY].timings[place()].runs for one in (owner, copy))
        assert 0 <= ours - theirs <= 0.1 * ours


def test_of_a_thousand_equal_runs_few_are_told() -> None:
    owner = History(growth=0.1)
    told = 0
    for _ in range(1000):
        owner.observe(KEY, place(), 1.0)
        told += len(owner.changes())
    assert told < 70
    owner.mark_unfit(KEY, "A", "why")
    assert list(owner.changes()) == [KEY]


def test_what_a_snapshot_holds_does_not_change_under_it() -> None:
    history = History()
    history.observe(KEY, place(), 1.0)
    before = history.get(KEY)
    history.observe(KEY, place(), 1.0)
    history.mark_unfit(KEY, "A", "why")
    assert before is not None
    assert before.warm_runs("cpu") == 0
    assert before.unfit == {}


def test_runs_on_one_device_leave_the_chance_and_tell_the_seconds() -> None:
    prior = Estimate(0.3, gpu_seconds=9.0)
    estimate = posterior(prior, timed(4.0), Timings(), RULE)
    basis = Basis(seconds_std=0.05, seconds_from="history", runs=1)
    assert estimate == Estimate(0.3, cpu_seconds=pytest.approx(4.0), gpu_seconds=9.0, cpu_basis=basis)  # type: ignore[arg-type]
    assert posterior(None, timed(4.0), Timings(), RULE) is None
    assert posterior(None, Timings(), Timings(), RULE) is None


@pytest.mark.parametrize("prior", [None, Estimate(0.0), Estimate(0.001), Estimate(0.5), Estimate(0.999), Estimate(1.0)])
@pytest.mark.parametrize("ratio", [0.2, 1.0, 1.7, 2.4, 10.0])
def test_the_belief_converges_to_the_observed_ratio_whatever_the_prior(prior: Estimate | None, ratio: float) -> None:
    estimate = posterior(prior, timed(*[ratio] * 30), timed(*[1.0] * 30), RULE)
    assert estimate is not None
    assert estimate.speedup is not None
    assert math.exp(estimate.speedup.mean) == pytest.approx(ratio, rel=0.02)
    assert (estimate.p_gpu >= 0.5) == (ratio >= 2.0)
    assert estimate.source == "history"


def test_a_single_pair_of_runs_moves_the_belief_towards_it() -> None:
    for p in (0.01, 0.99):
        estimate = posterior(Estimate(p), timed(10.0), timed(1.0), RULE)
        assert estimate is not None
        assert estimate.p_gpu > 0.9


def test_the_priors_own_spread_is_used_where_it_has_one() -> None:
    sure = Estimate(0.5, speedup=Spread(math.log(8.0), 0.01))
    estimate = posterior(sure, timed(1.0), timed(1.0), RULE)
    assert estimate is not None
    assert estimate.speedup is not None
    assert math.exp(estimate.speedup.mean) > 4


def test_unknown_energy_never_decides() -> None:
    for cpu_joules, gpu_joules in ((None, 1e6), (1e-6, None), (None, None)):
        estimate = posterior(None, timed(*[10.0] * 5, joules=cpu_joules), timed(*[1.0] * 5, joules=gpu_joules), RULE)
        assert estimate is not None
        assert estimate.energy_ratio is None
        assert estimate.p_gpu > 0.99


def test_measured_energy_decides_and_estimated_energy_only_where_it_is_sure() -> None:
    def p_gpu(gpu_joules: float, error: float) -> tuple[float, bool]:
        cpu = timed(*[10.0] * 5, joules=100.0, error=error)
        estimate = posterior(None, cpu, timed(*[1.0] * 5, joules=gpu_joules), RULE)
        assert estimate is not None
        return round(estimate.p_gpu, 2), estimate.energy_decides

    assert p_gpu(200.0, 0.0) == (0.0, True)  # 2.0 is surely above 1.5
    assert p_gpu(200.0, 0.5) == (1.0, False)  # +-50 %: 2.0 may well be below 1.5
    assert p_gpu(1000.0, 0.5) == (0.0, True)
    assert p_gpu(10.0, 0.5) == (1.0, True)


@given(st.floats(-5, 5), st.floats(0.01, 3), st.floats(-5, 5), st.floats(0.01, 3))
def test_two_beliefs_together_lie_between_them_and_are_surer(m: float, s: float, n: float, t: float) -> None:
    both = combined(Spread(m, s), Spread(n, t))
    assert min(m, n) - 1e-9 <= both.mean <= max(m, n) + 1e-9
    assert both.std <= min(s, t)
    assert both == combined(Spread(n, t), Spread(m, s)) or both.mean == pytest.approx(
        combined(Spread(n, t), Spread(m, s)).mean
    )


def test_certainty_wins_over_any_belief() -> None:
    sure, vague = Spread(1.0, 0.0), Spread(5.0, 1.0)
    assert combined(sure, vague) == sure == combined(vague, sure) == combined(None, sure)


def share_right(noise: float, cases: int, seed: int) -> float:
    """How often the choice after 5 warm runs on each device is the oracle's, with a prior that is surely wrong.

    True speed-ups are log-uniform over 1/8 to 32, those within 10 % of the threshold left out; a run's seconds have
    log-normal noise. The rule decides by time alone.
    """
    r = random.Random(seed)
    right = counted = 0
    while counted < cases:
        speedup = math.exp(r.uniform(math.log(1 / 8), math.log(32)))
        if abs(math.log(speedup / RULE.speedup)) < math.log(1.1):
            continue
        counted += 1
        worth = speedup >= RULE.speedup
        wrong_prior = Estimate(r.uniform(0.0, 0.1) if worth else r.uniform(0.9, 1.0))
        cpu = timed(*[speedup * math.exp(r.gauss(0, noise)) for _ in range(5)])
        gpu = timed(*[math.exp(r.gauss(0, noise)) for _ in range(5)])
        estimate = posterior(wrong_prior, cpu, gpu, RULE)
        assert estimate is not None
        right += (estimate.p_gpu >= 0.5) == worth
    return right / cases


@pytest.mark.parametrize("noise", [0.02, 0.05, 0.1, 0.15])
def test_after_five_runs_the_choice_is_the_oracles(noise: float) -> None:
    assert share_right(noise, cases=2000, seed=3) >= 0.99


def test_runs_on_one_device_put_the_others_seconds_right_too() -> None:
    prior = Estimate(0.9, Spread(math.log(5.0), 0.5), cpu_seconds=10.0, gpu_seconds=2.0)
    found = posterior(prior, timed(20.0, 20.0), Timings(), RULE)
    assert found is not None
    assert (found.p_gpu, found.cpu_seconds, found.gpu_seconds) == (0.9, pytest.approx(20.0), pytest.approx(4.0))
    assert posterior(prior, Timings(), Timings(), RULE) == prior
    bare = posterior(Estimate(0.9), timed(20.0, 20.0), Timings(), RULE)
    assert bare is not None
    assert (bare.cpu_seconds, bare.gpu_seconds) == (pytest.approx(20.0), None)


def test_how_far_estimates_are_off_is_the_mean_of_all_that_was_timed_on_a_device() -> None:
    one, other = Estimate(0.5, cpu_seconds=10.0, gpu_seconds=2.0), Estimate(0.5, cpu_seconds=5.0, gpu_seconds=1.0)
    none = Timings()
    nothing = [(one, none, none), (None, timed(3.0), none), (Estimate(0.5), timed(3.0), none)]
    assert slowdown_of(nothing) == Slowdown(0.0, 0.0)
    found = slowdown_of([(one, timed(20.0, 20.0), timed(8.0, 8.0)), (other, timed(5.0, 5.0), none)])
    assert found == pytest.approx((math.log(2.0) / 2, math.log(4.0)))
    alone = slowdown_of([(one, none, timed(8.0, 8.0)), (other, none, none)])
    assert alone == pytest.approx((math.log(4.0), math.log(4.0)))
    assert corrected(one, Slowdown(), RULE) is one


def test_a_device_that_is_off_moves_the_speedup_and_not_the_other_devices_seconds() -> None:
    e = Estimate(0.1, Spread(math.log(1.5), 0.2), Spread(math.log(1.0), 0.2), 15.0, 10.0, 150.0, 150.0)
    found = corrected(e, Slowdown(0.0, -math.log(4.0)), RULE)
    assert found is not None
    assert (found.cpu_seconds, found.gpu_seconds, found.cpu_joules) == (15.0, pytest.approx(2.5), 150.0)
    assert found.speedup == Spread(pytest.approx(math.log(6.0)), 0.2)
    assert found.energy_ratio == Spread(pytest.approx(-math.log(4.0)), 0.2)
    assert found.gpu_joules == pytest.approx(37.5)
    assert found.p_gpu > 0.99
    alike = corrected(e, Slowdown(1.0, 1.0), RULE)
    assert alike is not None
    assert (alike.p_gpu, alike.speedup) == (e.p_gpu, e.speedup)


@pytest.mark.parametrize("seconds", [math.nan, math.inf, -1.0, 0.0, 5e-324])
def test_seconds_that_make_no_sense_put_nothing_right_and_fail_nothing(seconds: float) -> None:
    slowdown = slowdown_of([(Estimate(0.5, cpu_seconds=seconds), timed(1e308, 1e308), Timings())])
    found = corrected(Estimate(0.5, cpu_seconds=2.0, gpu_seconds=1.0), slowdown, RULE)
    assert found is not None
    assert found.cpu_seconds is not None
    assert 2.0 <= found.cpu_seconds < math.inf


OLD, NEW, NEWER = (f"job.train@{digit * 16}" for digit in "123")
HERE = Place("A", "cpu", 1.0)


def with_runs(*functions: str, seconds: float = 2.0) -> History:
    history = History()
    for function in functions:
        for _ in range(6):
            history.observe((function, KEY[1]), HERE, seconds)
    return history


def test_code_that_changed_begins_with_the_runs_of_the_code_before_their_spread_widened() -> None:
    history = with_runs(OLD)
    old, new = history.known((OLD, KEY[1])), history.known((NEW, KEY[1]))
    assert old is not None
    assert new is not None
    assert (old.at(*HERE).runs, new.at(*HERE).runs) == (5, 1)
    assert new.at(*HERE).seconds == pytest.approx(2.0)
    assert new.at(*HERE).spread.std == EARLIER_CODE_STD > old.at(*HERE).spread.std
    assert history.get((NEW, KEY[1])) is None  # nothing of it ran
    assert history.known((NEW, KEY[1])) is new


def test_its_own_runs_take_their_place_where_they_were() -> None:
    history, gpu = with_runs(OLD), Place("A", "gpu", 1.0)
    for _ in range(2):
        history.observe((OLD, KEY[1]), gpu, 0.5)
        history.observe((NEW, KEY[1]), HERE, 7.0)
    new = history.known((NEW, KEY[1]))
    assert new is not None
    assert (new.at(*HERE).seconds, new.at(*gpu).seconds) == pytest.approx((7.0, 0.5))


def test_a_gpu_on_which_the_code_before_failed_is_tried_again() -> None:
    history = with_runs(OLD)
    history.mark_unfit((OLD, KEY[1]), "A", "cuda_out_of_memory")
    new = history.known((NEW, KEY[1]))
    assert new is not None
    assert new.unfit == {}


def test_the_version_before_is_the_one_that_ran_last_and_none_in_use_by_this_process() -> None:
    history = with_runs(OLD, NEW)
    history.observe((NEW, KEY[1]), HERE, 2.0)
    for current, before in ((None, 1), (NEW, 1), (OLD, None)):
        if current is not None:
            history.mark_current(current)
        known = history.known((NEWER, KEY[1]))
        assert (known and known.at(*HERE).runs) == before
    other = history.known((OLD, KEY[1]))
    assert other is not None
    assert other.at(*HERE).runs == 5


@pytest.mark.parametrize(
    "name", ["job.<lambda>", "job.made.<locals>.train", "__main__.train", "__main__.<lambda>"]
)  # fmt: skip
def test_functions_that_share_a_name_share_nothing(name: str) -> None:
    history = with_runs(f"{name}@{'1' * 16}")
    assert history.known((f"{name}@{'2' * 16}", KEY[1])) is None


def test_another_size_another_task_name_and_another_script_share_nothing() -> None:
    script = "__main__[0123abcd].train@" + "1" * 16
    history = with_runs(OLD, script)
    assert history.known((NEW, (9, 9, 9, 9, 9))) is None
    assert history.known((f"{NEW}:nightly", KEY[1])) is None
    assert history.known((script.replace("0123abcd", "ffffffff"), KEY[1])) is None
    assert history.known((script.replace("@1", "@2"), KEY[1])) is not None


def test_versions_that_are_forgotten_are_begun_with_no_more() -> None:
    history = History(largest=1)
    history.observe((OLD, KEY[1]), HERE, 2.0)
    history.observe(("other@" + "0" * 16, KEY[1]), HERE, 2.0)
    assert history.known((NEW, KEY[1])) is None
