"""Shares of GPUs, emulated and simulated."""

from __future__ import annotations

import numpy as np
import pytest

from placement.errors import OptionError
from placement.messages.envelope import Emulated
from placement.scheduling.policies.registry import policy_of
from placement.spec.joint_threshold import JointThreshold
from placement.spec.node import Inventory, NodeKind, paper_configs
from placement.spec.task import TaskSpec
from profiling.emulation.emulator import emulate, emulated
from profiling.emulation.gpu_sharing import SWITCHING, slowdown
from profiling.report.sharing_table import sharing_table
from profiling.simulation.arrivals import ArrivalTrace, TaskType
from profiling.simulation.gpu_sharing import SharedRun, simulate_sharing
from profiling.simulation.runtimes import Times

D = paper_configs()["D"]
NODE = Inventory((NodeKind(D, ("d",)),))
LIGHT = TaskSpec(
    flops=1e9,
    input_bytes=1e5,
    batch_size=1,
    parameters=10**6,
    steps=1000,
    kernels=60,
    memory_bytes=1e8,
    framework="torch",
)
"""Dispatch takes most of its time: it leaves the GPU idle for more than half of it."""


def stream(tasks: int, every_s: float = 0.0) -> ArrivalTrace:
    kinds = (TaskType("light", LIGHT.steps, LIGHT, True),)
    return ArrivalTrace("s", kinds, np.arange(tasks) * every_s, np.zeros(tasks, np.int32), {"cpu": 1.0, "gpu": 1.0})


def test_neighbours_slow_a_task_the_more_the_busier_they_are() -> None:
    assert slowdown(0.3, 0.0) == 1.0
    assert slowdown(0.3, 0.5) == pytest.approx(1 + 0.5 * SWITCHING)
    assert slowdown(0.5, 1.0) == pytest.approx((1 + SWITCHING) * 1.5)  # together they ask for more time than there is
    alone, beside = (emulated(LIGHT, D, "gpu", 1.0, others) for others in (0.0, 0.5))
    assert alone.gpu_utilisation == emulate(LIGHT, D, "gpu", cpus=1.0).gpu_busy
    assert seconds(beside) == pytest.approx(seconds(alone) * (1 + 0.5 * SWITCHING))
    assert (beside.gpu_joules or 0.0) < (alone.gpu_joules or 0.0)  # idle power is split, the work is the same
    assert (beside.cpu_joules or 0.0) > (alone.cpu_joules or 0.0)
    assert emulated(LIGHT, D, "cpu", 1.0).gpu_utilisation is None


def seconds(found: Emulated) -> float:
    return (found.transfer_s or 0.0) + (found.compute_s or 0.0)


def test_tasks_on_one_gpu_end_as_their_neighbours_come_and_go() -> None:
    found = simulate_run(stream(2, every_s=0.0))
    alone = emulate(LIGHT, D, "gpu", cpus=1.0)
    busy, took = alone.gpu_busy or 0.0, alone.seconds or 0.0
    assert found.ended.tolist() == pytest.approx([took * slowdown(busy, busy)] * 2)
    later = simulate_run(stream(2, every_s=took / 2))
    rate = 1 / slowdown(busy, busy)
    first = took / 2 + took / 2 / rate
    assert later.ended[0] == pytest.approx(first)
    assert later.ended[1] == pytest.approx(first + took - (first - took / 2) * rate)  # alone again
    assert not later.events
    assert later.cluster.free_gpus == pytest.approx([1.0])


def simulate_run(trace: ArrivalTrace) -> SharedRun:
    times = Times.of(trace, NODE, JointThreshold())
    run = SharedRun(trace, NODE, times, policy_of("gpu_only"), [[emulate(LIGHT, D, "gpu", cpus=1.0)]], shares=True)
    run.go()
    return run


def test_with_shares_a_gpu_gets_more_done_for_less_energy() -> None:
    found = simulate_sharing(stream(60), NODE, ["gpu_only"])
    whole, shared = found.runs["gpu_only"]
    took = emulate(LIGHT, D, "gpu", cpus=1.0).seconds or 0.0
    assert whole.tasks_per_second == pytest.approx(1 / took, rel=1e-6)
    assert (whole.mean_gpus, whole.mean_slowdown) == (1.0, pytest.approx(1.0))
    assert shared.tasks_per_second >= 1.5 * whole.tasks_per_second
    assert shared.cluster_joules < whole.cluster_joules
    assert (shared.mean_gpus or 1.0) <= 0.5
    assert 1.0 < (shared.mean_slowdown or 0.0) < 1.3
    ratio, worst = found.worst_p99("gpu_only")
    assert (ratio, worst) == (pytest.approx(shared.p99_seconds["light"] / whole.p99_seconds["light"]), "light")
    assert sharing_table(found).row_count == 1


def test_nodes_of_several_gpus_are_refused() -> None:
    two = Inventory((NodeKind(D, ("d",), ray_gpus=2.0),))
    with pytest.raises(OptionError, match="one GPU"):
        simulate_sharing(stream(2), two, ["gpu_only"])
