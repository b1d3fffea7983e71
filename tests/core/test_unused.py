"""When an agent may leave its node."""

from placement.control_plane.idle_nodes import AGENT_STAYS_S, Unused

HAS = {"n": {"CPU": 4.0, "GPU": 1.0, "memory": 1e9}}


def test_a_node_is_unused_once_all_was_free_for_long():
    unused = Unused()
    assert unused.long(HAS, HAS, 100.0) == []
    assert unused.long(HAS, HAS, 99.9 + AGENT_STAYS_S) == []
    assert unused.long(HAS, HAS, 100.0 + AGENT_STAYS_S) == ["n"]


def test_work_starts_the_wait_anew():
    for free in ({"n": {"CPU": 3.0, "GPU": 1.0}}, {"n": {"CPU": 4.0}}, {}):
        unused = Unused()
        unused.long(HAS, HAS, 0.0)
        assert unused.long(HAS, free, AGENT_STAYS_S) == []
        assert unused.long(HAS, HAS, 2 * AGENT_STAYS_S - 0.1) == []
        assert unused.long(HAS, HAS, 2 * AGENT_STAYS_S) == ["n"]


def test_a_task_that_says_it_is_there_counts():
    unused = Unused()
    unused.long(HAS, HAS, 0.0)
    unused.worked("n", AGENT_STAYS_S)
    assert unused.long(HAS, HAS, AGENT_STAYS_S) == []


def test_a_node_that_went_is_forgotten():
    unused = Unused()
    unused.long(HAS, HAS, 0.0)
    unused.long({}, {}, 1.0)
    assert unused.long(HAS, HAS, AGENT_STAYS_S) == []
