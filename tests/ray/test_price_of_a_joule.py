"""The price of a joule changes decisions on a cluster as it does in simulation, by the joules of the selector alone."""

from __future__ import annotations

import numpy as np
import pytest
import ray
from conditions import wait_until

import placement
from placement import JointThreshold, TaskSpec, placed_remote
from placement.scheduling.policies.balanced import Balanced
from profiling.simulation.arrivals import ArrivalTrace, TaskType
from profiling.simulation.runtimes import Times
from profiling.simulation.simulator import SimulationRun

pytestmark = pytest.mark.usefixtures("emulated")

THRIFTY = TaskSpec(flops=1e8, input_bytes=1e5, batch_size=1, parameters=10**6, steps=1000)
"""As fast on a CPU as on a GPU, which takes some ten times the joules."""
TASKS = 16
FREE, DEAR = 0.0, 1.0


@placed_remote(spec=THRIFTY)
def thrifty() -> list[int]:
    """The GPUs it was given."""
    return ray.get_gpu_ids()


def on_gpus(seconds_per_joule: float) -> int:
    """How many of a burst ran on a GPU at this price."""
    function = thrifty.options(policy=Balanced(seconds_per_joule=seconds_per_joule, seed=0))
    return sum(bool(gpus) for gpus in ray.get([function.remote() for _ in range(TASKS)]))


def simulated_on_gpus(seconds_per_joule: float) -> int:
    """The same burst in the simulator."""
    types = (TaskType("thrifty", THRIFTY.steps, THRIFTY, True),)
    trace = ArrivalTrace("burst", types, np.zeros(TASKS), np.zeros(TASKS, np.int32), {"cpu": 1.0, "gpu": 1.0})
    inventory = placement.inventory()
    times = Times.of(trace, inventory, JointThreshold())
    run = SimulationRun(trace, inventory, times, times, Balanced(seconds_per_joule=seconds_per_joule, seed=0))
    run.go()
    return int(run.on_gpu.sum())


def test_a_price_of_a_joule_moves_tasks_off_the_gpus_live_as_simulated(quiet: None) -> None:
    told = {c.config: c.estimate for c in thrifty.explain().considered}
    for estimate in told.values():
        assert estimate.cpu_joules * 2 < estimate.gpu_joules  # the selector's own: nothing ran yet
        assert estimate.gpu_basis.joules_std > 0
    assert simulated_on_gpus(FREE) >= 4
    assert simulated_on_gpus(DEAR) == 0
    wait_until(lambda: on_gpus(FREE) >= 4, lambda: "no burst used the GPUs")
    wait_until(lambda: on_gpus(DEAR) == 0, lambda: "a dear joule left tasks on the GPUs")
