"""`placement bench`: what placing costs, as ratios against plain Ray in one run.

These machines are noisy, so what is compared is run in turns, a round of each, and each figure is the median over the
rounds with its quartiles. A ratio above 1 means that placed_remote is the faster one.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable

from profiling.bench.decisions import decide_growth, decide_new_us, decide_traced_s, python_ns
from profiling.bench.figure import Figure, as_json, table
from profiling.bench.first_calls import first_call_on_loop_ms
from profiling.bench.imports import import_extra_ms, import_placed_remote_ms
from profiling.bench.records import actor_records_per_s, records_cost
from profiling.bench.tasks import decide_in_callers, gpu_vs_plain, submission, throughput

SHORTER = 5

__all__ = ["Figure", "as_json", "bench", "table"]


def bench(rounds: int = 15, calls: int = 400, told: Callable[[str], None] = lambda _: None) -> list[Figure]:
    """All figures. Starts a Ray cluster of its own on this machine, and ends it.

    rounds: of each comparison.  calls: tasks in a round.  told: hears what is measured now.
    """
    import ray

    told("import")
    figures = [import_extra_ms(), import_placed_remote_ms()]
    told("decisions")
    figures += [python_ns(), decide_new_us(), decide_new_us(far=True), *decide_growth()]
    with tempfile.TemporaryDirectory() as log:
        ray.init("local", num_cpus=2, include_dashboard=False, logging_level="ERROR", log_to_driver=False)
        try:
            import placement

            placement.start(policy="selector")
            told("submission")
            figures += submission(rounds, calls)
            figures += decide_in_callers()
            told("first calls")
            figures.append(first_call_on_loop_ms(max(3, 20 * rounds // 15)))
            told("throughput")
            # Other work on the machine comes and goes within seconds: many short turns tell more than a few long ones.
            figures += throughput(SHORTER * rounds, max(1, calls // SHORTER))
            placement.start(log=log)
            told("records")
            figures += [records_cost(rounds), actor_records_per_s(), gpu_vs_plain(rounds)]
        finally:
            ray.shutdown()
    told("tracing")
    return [*figures, decide_traced_s()]  # last: it imports torch
