from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from placement.backlog import LARGEST_SENT, Backlog, Load


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
    found.sent("A", "gpu", 3.0)
    assert (found.wait_s("A", "gpu"), found.age_s) == (None, None)


def test_a_free_slot_is_no_wait_but_for_the_start_up() -> None:
    found, _ = backlog({("A", "cpu"): Load(4, 3, 99.0), ("A", "gpu"): Load(1, startup_s=2.5)})
    assert (found.wait_s("A", "cpu"), found.wait_s("A", "gpu")) == (0.0, 2.5)


def test_one_slot_waits_for_all_before_it() -> None:
    found, clock = backlog({("A", "gpu"): Load(1)})
    for seconds in (3.0, 4.0):
        found.sent("A", "gpu", seconds)
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
    found.sent("A", "gpu", 5.0)
    clock.now = 1.0
    found.sent("A", "gpu", 7.0)
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
    found.ended("A", "gpu", 1.0)
    found.withdrawn("A", "gpu", 1.0)


def test_tasks_of_unknown_length_count_as_the_mean_of_the_known() -> None:
    found, _ = backlog({("A", "gpu"): Load(1), ("B", "gpu"): Load(1)})
    found.sent("A", "gpu", 4.0)
    found.sent("B", "gpu")
    assert found.wait_s("B", "gpu") == pytest.approx(4.0)
    found.merge({("A", "gpu"): Load(1, 2)}, at=0.0)
    assert found.wait_s("A", "gpu") == pytest.approx(8.0)


def test_an_end_puts_the_expectation_right() -> None:
    found, clock = backlog({("A", "gpu"): Load(1)}, exact=True)
    found.sent("A", "gpu", 10.0)
    found.sent("A", "gpu", 10.0)
    clock.now = 4.0
    found.ended("A", "gpu", 10.0, took=4.0)
    assert found.wait_s("A", "gpu") == pytest.approx(10.0)
    found.withdrawn("A", "gpu", 10.0)
    assert found.wait_s("A", "gpu") == 0.0


def test_what_is_remembered_of_sends_is_bounded() -> None:
    found, _ = backlog({("A", "cpu"): Load(1)})
    for _ in range(LARGEST_SENT + 10):
        found.sent("A", "cpu", 1.0)
    assert len(found._sent) == LARGEST_SENT


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
            found.sent("A", "cpu", seconds)
            work += seconds
        elif what == "ended":
            found.ended("A", "cpu", seconds)
        wait = found.wait_s("A", "cpu")
        assert wait is not None
        assert 0 <= wait <= work + 1e-6
