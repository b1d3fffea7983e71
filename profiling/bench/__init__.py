"""`placement bench`: the overhead of placing, as ratios to plain Ray in one run.

These machines are noisy, so the sides of a comparison are run in turns, a round of each, and each figure is the median
over the rounds with its quartiles. A ratio above 1 means that placed_remote is the faster one.

    imports      importing placement in a script that has imported Ray
    decisions    a decision, without Ray
    tasks        submissions and tasks a second, in turns with plain Ray's
    first_calls  the first `.remote()` of a process on an event loop
    records      the records of tasks
    figure       a line of the benchmark, and the timing of a call
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
    """Runs the whole benchmark. Starts a Ray cluster of its own on this machine, and ends it.

    rounds: of each comparison.  calls: tasks in a round.  told: called with a line on the comparison that begins.
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
            # Other work on the machine comes and goes within seconds: short turns even it out.
            figures += throughput(SHORTER * rounds, max(1, calls // SHORTER))
            placement.start(log=log)
            told("records")
            figures += [records_cost(rounds), actor_records_per_s(), gpu_vs_plain(rounds)]
        finally:
            ray.shutdown()
    told("tracing")
    return [*figures, decide_traced_s()]  # last: it imports torch
