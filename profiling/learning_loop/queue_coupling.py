"""How far a gain that is estimated task by task is from the gain under load, where tasks wait for one another.

Two selectors are simulated on the same arrivals, each alone. The trial of a challenger sees the runs' own seconds; what
users see is the time until a task has ended, its wait included. Gains are shares of what the first selector takes.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from placement.prediction.drift_correction import corrected_by
from placement.prediction.selector import Selector
from placement.prediction.selector_file import shipped_selector
from placement.scheduling.policies.registry import policy_of
from placement.spec.joint_threshold import JointThreshold
from profiling.simulation.arrivals import ArrivalTrace, trace_of
from profiling.simulation.cluster import cluster_of
from profiling.simulation.estimator import Estimator
from profiling.simulation.lp_bound import fractional_seconds
from profiling.simulation.runtimes import Times
from profiling.simulation.simulator import SimulationRun

LOADS = (0.3, 0.6, 0.9, 1.2)
TASKS = 4_000
NODES, CONFIGS = 4, "A=1,B=1,C=1,D=1"
WRONG = ("B", math.log(3.0))
"""A config and the log of the factor by which the second selector takes its GPU for slower than it is."""


@dataclass(frozen=True, slots=True)
class Coupling:
    """At a load: the gain by the runs' own seconds, which a trial estimates, and the gain until tasks end."""

    load: float
    own_gain: float
    completion_gain: float


def coupling(loads: Sequence[float] = LOADS, tasks: int = TASKS, seed: int = 0) -> list[dict[str, Any]]:
    """The gains of the shipped selector over one that is wrong about a GPU, by the policy `selector`."""
    right = shipped_selector()
    wrong = corrected_by(right, WRONG[0], "gpu", WRONG[1])
    found = []
    for load in loads:
        trace = trace_of("saturated", tasks, seed=seed, load=load, burst=1)
        (own, ended), (better_own, better_ended) = (_means(trace, selector) for selector in (wrong, right))
        found.append(asdict(Coupling(load, 1 - better_own / own, 1 - better_ended / ended)))
    return found


def _means(trace: ArrivalTrace, selector: Selector) -> tuple[float, float]:
    """Mean seconds of a task's own run, and until it has ended."""
    inventory = cluster_of(NODES, CONFIGS)
    times = Times.of(trace, inventory, JointThreshold())
    trace = trace.scaled(len(trace) / fractional_seconds(trace.counts(), inventory, times, trace.cpus))
    run = SimulationRun(trace, inventory, times, times, policy_of("selector"), Estimator(selector, learns=False))
    run.go()
    completion = run.ended - trace.arrival_s
    return float(run.seconds.sum()) / len(trace), float(np.mean(completion))
