"""How far a gain that is estimated task by task is from the gain under load, where tasks wait for one another.

Two selectors are simulated on the same arrivals, each alone. The trial of a challenger sees the runs' own seconds; what
users see is the time until a task has ended, its wait included. Gains are shares of what the first selector takes.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, NamedTuple

import numpy as np

from placement.prediction.drift_correction import corrected_by
from placement.prediction.selector import Selector
from placement.prediction.selector_file import shipped_selector
from placement.scheduling.policies.registry import policy_of
from placement.spec.joint_threshold import JointThreshold
from placement.spec.task import Device
from profiling.simulation.arrivals import ArrivalTrace, trace_of
from profiling.simulation.cluster import cluster_of
from profiling.simulation.estimator import Estimator
from profiling.simulation.lp_bound import fractional_seconds
from profiling.simulation.runtimes import Times
from profiling.simulation.simulator import SimulationRun

LOADS = (0.1, 0.2, 0.3, 0.6, 0.9, 1.2)
TASKS = 4_000
NODES, CONFIGS = 4, "A=1,B=1,C=1,D=1"
WRONG: Mapping[str, tuple[str, Device, float]] = {
    "the GPUs take half as long": ("ABCD", "gpu", 0.5),
    "the GPUs take twice as long": ("ABCD", "gpu", 2.0),
    "D's GPU takes a third": ("D", "gpu", 1 / 3),
}
"""Beliefs of the first selectors: configs, device and the factor by which they take it for slower than it is."""


@dataclass(frozen=True, slots=True)
class Coupling:
    """A selector that is wrong, at a load, and the gain of the right one over it.

    waited: share of the tasks that waited, by either.  own_gain: by the runs' own seconds, which a trial estimates.
    completion_gain: until tasks end.
    """

    load: float
    wrong: str
    waited: float
    own_gain: float
    completion_gain: float


class _Means(NamedTuple):
    own_s: float
    completion_s: float
    waited: float


def coupling(loads: Sequence[float] = LOADS, tasks: int = TASKS, seed: int = 0) -> list[dict[str, Any]]:
    """The gains of the shipped selector over those of WRONG, by the policy `selector`."""
    right, found = shipped_selector(), []
    for load in loads:
        trace = trace_of("saturated", tasks, seed=seed, load=load, burst=1)
        by_right = _means(trace, right)
        for name, (configs, device, factor) in WRONG.items():
            wrong: Selector = right
            for config in configs:
                wrong = corrected_by(wrong, config, device, math.log(factor))
            by_wrong = _means(trace, wrong)
            own, completion = (1 - ours / theirs for ours, theirs in zip(by_right[:2], by_wrong[:2], strict=True))
            found.append(asdict(Coupling(load, name, max(by_right.waited, by_wrong.waited), own, completion)))
    return found


def _means(trace: ArrivalTrace, selector: Selector) -> _Means:
    """Mean seconds of a task's own run, and until it has ended; the share of the tasks that waited."""
    inventory = cluster_of(NODES, CONFIGS)
    times = Times.of(trace, inventory, JointThreshold())
    trace = trace.scaled(len(trace) / fractional_seconds(trace.counts(), inventory, times, trace.cpus))
    run = SimulationRun(trace, inventory, times, times, policy_of("selector"), Estimator(selector, learns=False))
    run.go()
    completion, waited = run.ended - trace.arrival_s, run.started > trace.arrival_s + 1e-6
    return _Means(float(run.seconds.sum()) / len(trace), float(np.mean(completion)), float(np.mean(waited)))
