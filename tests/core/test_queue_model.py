from __future__ import annotations

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from placement.scheduling.queue_model import GUESS_S, LAG_S, LARGEST_RECENT, Backlog, Load
from placement.scheduling.sized_waits import waits_under


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


def backlog(loads: dict, exact: bool = False) -> tuple[Backlog, Clock]:
    clock = Clock()
    found = Backlog(clock, exact=exact)
    found.merge(loads, 0.0)
    return found, clock


def test_nothing_is_known_before_the_first_poll() -> None:
    found = Backlog(Clock())
    found.enqueue("A", "gpu", 3.0)
    assert (found.wait_s("A", "gpu"), found.age_s) == (None, None)


def test_a_free_slot_is_no_wait_but_for_the_start_up() -> None:
    found, _ = backlog({("A", "cpu"): Load(4, 3, 99.0), ("A", "gpu"): Load(1, startup_s=2.5)})
    assert (found.wait_s("A", "cpu"), found.wait_s("A", "gpu")) == (0.0, 2.5)


def test_one_slot_waits_for_all_before_it() -> None:
    found, clock = backlog({("A", "gpu"): Load(1)})
    for seconds in (3.0, 4.0):
        found.enqueue("A", "gpu", seconds)
    assert found.wait_s("A", "gpu") == pytest.approx(7.0)
    clock.now = 2.0
    assert found.wait_s("A", "gpu") == pytest.approx(5.0)
    clock.now = 100.0
    assert found.wait_s("A", "gpu") == 0.0


def test_many_slots_share_a_long_queue() -> None:
    found, _ = backlog({("A", "cpu"): Load(10, 1000, 5000.0)})
    assert found.wait_s("A", "cpu") == pytest.approx(500.0, rel=0.01)


def test_a_poll_replaces_what_it_saw_and_keeps_what_came_after() -> None:
    found, clock = backlog({("A", "gpu"): Load(1)})
    found.enqueue("A", "gpu", 5.0)
    clock.now = 1.0
    found.enqueue("A", "gpu", 7.0)
    clock.now = 1.5
    found.merge({("A", "gpu"): Load(1, 1, 4.5)}, at=0.5)  # the poll saw the first alone
    assert found.age_s == 1.0
    # 0.5 s were worked since the poll before the second was sent, and 0.5 s since
    assert found.wait_s("A", "gpu") == pytest.approx(4.5 + 7.0 - 1.0)


def test_a_kind_that_went_away_is_not_known_any_more() -> None:
    found, clock = backlog({("A", "gpu"): Load(1)})
    clock.now = 1.0
    found.merge({}, at=1.0)
    assert found.wait_s("A", "gpu") is None
    found.complete("A", "gpu", 1.0)
    found.cancel("A", "gpu", 1.0)


def test_tasks_of_unknown_length_count_as_the_mean_of_the_known() -> None:
    found, _ = backlog({("A", "gpu"): Load(1), ("B", "gpu"): Load(1)})
    found.enqueue("A", "gpu", 4.0)
    found.enqueue("B", "gpu")
    assert found.wait_s("B", "gpu") == pytest.approx(4.0)
    found.merge({("A", "gpu"): Load(1, 2)}, at=0.0)
    assert found.wait_s("A", "gpu") == pytest.approx(8.0)


def test_an_end_puts_the_expectation_right() -> None:
    found, clock = backlog({("A", "gpu"): Load(1)}, exact=True)
    found.enqueue("A", "gpu", 10.0)
    found.enqueue("A", "gpu", 10.0)
    clock.now = 4.0
    found.complete("A", "gpu", 10.0, took=4.0)
    assert found.wait_s("A", "gpu") == pytest.approx(10.0)
    found.cancel("A", "gpu", 10.0)
    assert found.wait_s("A", "gpu") == 0.0


def test_what_is_remembered_of_sends_is_bounded() -> None:
    found, _ = backlog({("A", "cpu"): Load(1)})
    for _ in range(LARGEST_RECENT + 10):
        found.enqueue("A", "cpu", 1.0)
    assert len(found._recent) == LARGEST_RECENT


@given(
    st.lists(st.tuples(st.sampled_from(["sent", "ended", "wait"]), st.floats(0, 100), st.floats(0, 50)), max_size=30),
    st.integers(1, 5),
    st.booleans(),
)
def test_a_wait_is_never_negative_and_never_more_than_all_the_work(events: list, slots: int, exact: bool) -> None:
    found, clock = backlog({("A", "cpu"): Load(slots)}, exact)
    work = 0.0
    for what, seconds, later in events:
        clock.now += later
        if what == "sent":
            found.enqueue("A", "cpu", seconds)
            work += seconds
        elif what == "ended":
            found.complete("A", "cpu", seconds)
        wait = found.wait_s("A", "cpu")
        assert wait is not None
        assert 0 <= wait <= work + 1e-6


def test_a_poll_that_lags_does_not_forget_what_was_just_sent() -> None:
    clock = Clock()
    found = Backlog(clock, lag_s=1.5)
    found.merge({("A", "gpu"): Load(1)}, 0.0)
    clock.now = 1.0
    for _ in range(3):
        found.enqueue("A", "gpu", 10.0)
    clock.now = 1.2
    found.merge({("A", "gpu"): Load(1, 1, 10.0)}, 1.2)  # Ray tells of one of the three so far
    assert found.wait_s("A", "gpu") == pytest.approx(30.0, abs=0.3)
    clock.now = 2.0
    found.merge({("A", "gpu"): Load(1, 3, 29.0)}, 2.0)  # of all: none is counted twice
    assert found.wait_s("A", "gpu") == pytest.approx(29.0)
    clock.now = 4.0
    found.merge({("A", "gpu"): Load(1)}, 4.0)  # they ended sooner than expected
    assert found.wait_s("A", "gpu") == 0.0


def test_a_task_of_several_cpus_takes_as_many_slots() -> None:
    found, _ = backlog({("A", "cpu"): Load(8), ("A", "gpu"): Load(1)})
    four = waits_under(found, {"cpu": 4.0, "gpu": 1.0}, 0.5)
    assert four.wait_s("A", "cpu") == 0.0
    found.enqueue("A", "cpu", 10.0, 6.0)
    assert (found.wait_s("A", "cpu"), four.wait_s("A", "cpu")) == (0.0, pytest.approx(10.0 * 6 / 8 * 2 / 6))
    found.enqueue("A", "gpu", 10.0, 0.5)
    assert four.wait_s("A", "gpu") == 0.0
    found.enqueue("A", "gpu", 10.0, 0.5)
    assert four.wait_s("A", "gpu") == pytest.approx(5.0)


def test_what_was_sent_is_told_once() -> None:
    found, clock = backlog({("A", "cpu"): Load(1)})
    clock.now = 1.0
    found.enqueue("A", "cpu", 2.0)
    found.enqueue("A", "cpu", 4.0, 2.0)
    until, told = found.enqueued_since(0.0)
    assert (until, told) == (1.0, {("A", "cpu"): (3.0, 10.0)})
    assert found.enqueued_since(until) == (1.0, {})


def test_a_task_of_which_nobody_knows_the_seconds_is_guessed() -> None:
    found, _ = backlog({("A", "cpu"): Load(1, 3)})
    assert found.wait_s("A", "cpu") == pytest.approx(3 * GUESS_S)


def test_two_drivers_that_tell_each_other_do_not_herd() -> None:
    """Both see the same poll; each burst goes where the other's does not, once the actor has passed it on."""
    clock = Clock()
    drivers = [Backlog(clock, lag_s=LAG_S) for _ in range(2)]
    actor = Backlog(clock, lag_s=LAG_S)
    queues = [(config, "gpu") for config in "ABCD"]
    poll = {queue: Load(1, 1, 5.0) for queue in queues}
    for one in (actor, *drivers):
        one.merge(poll, 0.0)
    sent: Counter = Counter()
    for turn in range(1, 9):
        clock.now = turn * 0.25
        for driver in drivers:
            for _ in range(2):
                config = min("ABCD", key=lambda c: driver.wait_s(c, "gpu"))
                driver.enqueue(config, "gpu", 5.0)
                actor.enqueue(config, "gpu", 5.0)
                sent[config] += 1
        for driver in drivers:
            driver.merge(actor.loads(), clock.now)
    assert max(sent.values()) - min(sent.values()) <= 2, sent


def test_on_an_emulated_cluster_time_is_compressed() -> None:
    found, clock = backlog({("A", "gpu"): Load(1)})
    found.speed = 100.0
    found.enqueue("A", "gpu", 300.0)  # takes 3 s of the clock
    assert found.wait_s("A", "gpu") == pytest.approx(300.0)
    clock.now = 1.0
    assert found.wait_s("A", "gpu") == pytest.approx(200.0)
    assert found.loads()["A", "gpu"].seconds == pytest.approx(2.0)


def test_what_tasks_took_of_late_stands_for_those_nobody_knows() -> None:
    found, _ = backlog({("A", "gpu"): Load(1)})
    found.typical = {"gpu": 0.002}
    for _ in range(100):
        found.enqueue("A", "gpu")
    assert found.wait_s("A", "gpu") == pytest.approx(0.2)
