"""The time of a decision of `balanced` with busy queues, by the number of kinds of node."""

from __future__ import annotations

import time
from dataclasses import replace

from placement.scheduling.decision_table import DecisionTable
from placement.scheduling.feasibility import Limits
from placement.scheduling.policies.balanced import Balanced
from placement.scheduling.queue_model import Backlog, Load
from placement.scheduling.snapshot import Snapshot
from placement.spec.joint_threshold import JointThreshold
from placement.spec.node import Inventory, NodeKind, paper_configs
from profiling.simulation.arrivals import trace_of
from profiling.simulation.runtimes import Times, TimesSelector

KINDS = (4, 16, 100, 1000)


def decide_us_by_kinds() -> dict[int, float]:
    """Median us of a decision of `balanced` with busy queues, by the number of kinds of node."""
    trace, found = trace_of("saturated", 2000), {}
    base = list(paper_configs().values())
    for count in KINDS:
        kinds = [NodeKind(replace(base[i % 4], config=f"kind{i}"), (f"node{i}",)) for i in range(count)]
        inventory = Inventory(tuple(kinds))
        thresholds = JointThreshold()
        times = Times.of(trace, inventory, thresholds)
        backlog = Backlog(lambda: 0.0)
        backlog.merge({(k.spec.config, d): Load(4, 40, 400.0) for k in kinds for d in ("cpu", "gpu")}, 0.0)  # type: ignore[misc]
        snapshot = Snapshot(1, inventory, TimesSelector(trace, inventory, times), Balanced(seed=0), backlog=backlog)
        decisions, spent = DecisionTable("f", Limits(), snapshot), []
        for at in trace.type_of.tolist():
            start = time.perf_counter_ns()
            decisions.decide(trace.types[at].spec)
            spent.append(time.perf_counter_ns() - start)
        found[count] = sorted(spent)[len(spent) // 2] / 1000
    return found
