"""When an agent may leave its node."""

from placement.control_plane.idle_nodes import AGENT_STAYS_S, IdleNodes

HAS = {"n": {"CPU": 4.0, "GPU": 1.0, "memory": 1e9}}


def test_a_node_is_unused_once_all_was_free_for_long():
    idle = IdleNodes()
    assert idle.idle_for_long(HAS, HAS, 100.0) == []
    assert idle.idle_for_long(HAS, HAS, 99.9 + AGENT_STAYS_S) == []
    assert idle.idle_for_long(HAS, HAS, 100.0 + AGENT_STAYS_S) == ["n"]


def test_work_starts_the_wait_anew():
    for free in ({"n": {"CPU": 3.0, "GPU": 1.0}}, {"n": {"CPU": 4.0}}, {}):
        idle = IdleNodes()
        idle.idle_for_long(HAS, HAS, 0.0)
        assert idle.idle_for_long(HAS, free, AGENT_STAYS_S) == []
        assert idle.idle_for_long(HAS, HAS, 2 * AGENT_STAYS_S - 0.1) == []
        assert idle.idle_for_long(HAS, HAS, 2 * AGENT_STAYS_S) == ["n"]


def test_a_task_that_says_it_is_there_counts():
    idle = IdleNodes()
    idle.idle_for_long(HAS, HAS, 0.0)
    idle.mark_busy("n", AGENT_STAYS_S)
    assert idle.idle_for_long(HAS, HAS, AGENT_STAYS_S) == []


def test_a_node_that_went_is_forgotten():
    idle = IdleNodes()
    idle.idle_for_long(HAS, HAS, 0.0)
    idle.idle_for_long({}, {}, 1.0)
    assert idle.idle_for_long(HAS, HAS, AGENT_STAYS_S) == []
