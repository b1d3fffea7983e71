from __future__ import annotations

import pytest
from core_builders import cluster
from hypothesis import given
from hypothesis import strategies as st

from placement.control_plane.cluster_load import NodeUse, Poll, Waiting, loads, satisfies
from placement.control_plane.load_monitor import LoadMonitor
from placement.scheduling.queue_model import Load

INVENTORY = cluster(configs="AB")  # two nodes of each
NODE = {"CPU": 8.0, "GPU": 1.0}


def nodes(**free: dict[str, float]) -> dict[str, NodeUse]:
    """The four nodes, idle but for those named."""
    every = {node_id: kind.spec.config for kind in INVENTORY.kinds for node_id in kind.node_ids}
    return {n: NodeUse(NODE, free.get(n.replace("-", ""), NODE), {"config": config}) for n, config in every.items()}


def on(*configs: str) -> tuple:
    return (("config", frozenset(configs), True),)


def test_an_idle_cluster_has_free_slots() -> None:
    assert loads(INVENTORY, Poll(nodes())) == {
        ("A", "cpu"): Load(16, 0), ("A", "gpu"): Load(2, 0), ("B", "cpu"): Load(16, 0), ("B", "gpu"): Load(2, 0),
    }  # fmt: skip


def test_what_runs_is_what_is_not_free_whoever_runs_it() -> None:
    found = loads(INVENTORY, Poll(nodes(A0={"CPU": 3.0})))
    assert (found["A", "cpu"].tasks, found["A", "gpu"].tasks) == (5.0, 1.0)


def test_a_gpu_whose_node_has_no_cpu_left_is_not_free() -> None:
    assert loads(INVENTORY, Poll(nodes(A0={"GPU": 1.0})))["A", "gpu"].tasks == 1.0


def test_what_waits_counts_where_its_selector_lets_it() -> None:
    waiting = (
        Waiting({"CPU": 1.0, "GPU": 1.0}, 10, (on("A"), on("B"))),
        Waiting({"CPU": 1.0, "GPU": 1.0}, 4),
        Waiting({"CPU": 2.0}, 8, (on("C"), on("B"))),
    )
    found = loads(INVENTORY, Poll(nodes(), waiting))
    assert found["A", "gpu"].tasks == 10 + 2
    assert found["B", "gpu"].tasks == 2
    assert (found["A", "cpu"].tasks, found["B", "cpu"].tasks) == (0, 16)


@pytest.mark.parametrize("shape", [{"CPU": 99.0}, {"TPU": 1.0, "CPU": 1.0}, {"memory": 1.0}, {}])
def test_what_no_node_could_run_is_in_nobodys_way(shape: dict[str, float]) -> None:
    found = loads(INVENTORY, Poll(nodes(), (Waiting(shape, 5),)))
    assert found.keys() == loads(INVENTORY, Poll(nodes())).keys() != set()
    assert {load.tasks for load in found.values()} == {0}


def test_a_node_that_is_not_known_yet_is_left_out() -> None:
    assert loads(cluster(configs="A"), Poll(nodes())).keys() == {("A", "cpu"), ("A", "gpu")}


def test_labels() -> None:
    labels = {"config": "A"}
    assert satisfies(labels, ())
    assert satisfies(labels, [("config", frozenset("AB"), True), ("zone", frozenset("x"), False)])
    assert not satisfies(labels, [("config", frozenset("A"), False)])


@given(st.lists(st.tuples(st.integers(1, 50), st.sampled_from([(), on("A"), on("B"), on("A", "B")])), max_size=8))
def test_none_that_waits_is_lost(given_waiting: list) -> None:
    waiting = tuple(Waiting({"CPU": 1.0}, n, (tests,) if tests else ()) for n, tests in given_waiting)
    found = loads(INVENTORY, Poll(nodes(), waiting))
    assert sum(load.tasks for load in found.values()) == pytest.approx(sum(n for n, _ in given_waiting))


def no_poll() -> Poll:
    raise AssertionError


def test_tasks_of_no_cpu_or_of_a_fraction_leave_the_counts_of_others() -> None:
    monitor = LoadMonitor(0, no_poll, lambda: 10.0)
    monitor.backlog.merge({("A", "cpu"): Load(16, 0), ("B", "cpu"): Load(16, 0)}, 10.0)
    monitor.count_sent({("A", "cpu"): (0.0, 0.0), ("B", "cpu"): (0.5, 1.0)})
    monitor.count_sent({("A", "cpu"): (3.0, 6.0)})
    counted = monitor.backlog.loads()
    assert (counted["A", "cpu"].tasks, counted["A", "cpu"].seconds) == (3.0, 6.0)
    assert (counted["B", "cpu"].tasks, counted["B", "cpu"].seconds) == (0.5, 1.0)


def test_runs_without_a_count_change_no_mean() -> None:
    monitor = LoadMonitor(0, no_poll, lambda: 10.0)
    monitor.count_ended("cpu", 0.0, 0)
    assert monitor.backlog.typical == {}
    monitor.count_ended("cpu", 6.0, 3)
    assert monitor.backlog.typical == {"cpu": 2.0}


def test_waiting_tasks_of_no_cpu_take_no_slot() -> None:
    found = loads(INVENTORY, Poll(nodes(), (Waiting({"CPU": 0.0, "memory": 1.0}, 50), Waiting({"CPU": 0.5}, 4))))
    assert sum(load.tasks for load in found.values()) == 2.0
