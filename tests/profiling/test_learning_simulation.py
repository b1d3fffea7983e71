"""The simulation of the loop of learning: one short run, and gains under load."""

from __future__ import annotations

import numpy as np
import pytest

from profiling.learning_loop.queue_coupling import coupling
from profiling.learning_loop.scenarios import world_of
from profiling.learning_loop.simulated_arm import SimulatedArm

TASKS = 400


def test_the_regret_of_learning_is_that_of_its_trials_and_of_the_first_selector() -> None:
    run = SimulatedArm(world_of("a", 0), "learning", TASKS, seed=0).run(TASKS)
    assert not run.events
    assert not run.by_swap.any()
    assert (run.regret >= 0).all()
    tried = run.by_trial != 0
    assert 0 < tried.sum() < 0.2 * TASKS
    by_first = run.regret - run.by_trial
    assert (by_first >= -1e-9).all()
    assert np.allclose(by_first[~tried], run.regret[~tried])


@pytest.mark.soak  # 8 s of a CPU for the emulator's times
def test_a_gain_by_the_runs_own_seconds_is_that_until_tasks_end_only_while_few_wait() -> None:
    idle, busy = (coupling((load,), tasks=400) for load in (0.1, 0.9))
    for one in idle:
        assert one["waited"] < 0.1
        assert abs(one["own_gain"] - one["completion_gain"]) < 0.02
    assert max(abs(one["own_gain"] - one["completion_gain"]) for one in busy) > 0.1
