"""`placement bench`: what placing costs, as ratios against plain Ray in one run.

These machines are noisy, so what is compared is run in turns, a round of each, and each figure is the median over the
rounds with its quartiles. A ratio above 1 means that placed_remote is the faster one.
"""

from __future__ import annotations

import gc
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

from rich.markup import escape
from rich.table import Table

from placement.decision import Limits, Snapshot, decide
from placement.node import Inventory, Kind, paper_configs
from placement.selector import shipped_selector
from placement.task import TaskSpec

MICROSECONDS = 1e6
SPEC = TaskSpec(flops=1e6, input_bytes=1e3, batch_size=1, parameters=1_000)
KINDS = (4, 1_000)
TASKS_SENT = (10, 1_000_000)
BATCH_ROWS = 2_000
GPU_WORK_S = 0.010


@dataclass(frozen=True, slots=True)
class Figure:
    """One line of the benchmark: the median over the rounds, its quartiles, and the target it is held against.

    value is None where it cannot be measured here; `note` then says why, else what was measured.
    """

    name: str
    value: float | None
    low: float | None = None
    high: float | None = None
    target: str = ""
    note: str = ""

    @classmethod
    def of(cls, name: str, values: Sequence[float], target: str, note: str = "") -> Figure:
        """The figure of the rounds' values."""
        low, middle, high = statistics.quantiles(values, n=4) if len(values) > 1 else [values[0]] * 3
        return cls(name, middle, low, high, target, note)


def bench(rounds: int = 15, calls: int = 400, told: Callable[[str], None] = lambda _: None) -> list[Figure]:
    """All figures. Starts a Ray cluster of its own on this machine, and ends it.

    rounds: of each comparison.  calls: tasks in a round.  told: hears what is measured now.
    """
    import ray

    told("import")
    figures = [import_extra_ms(), import_placed_remote_ms()]
    told("decisions")
    figures += [decide_new_us(), *decide_growth()]
    with tempfile.TemporaryDirectory() as log:
        ray.init("local", num_cpus=2, include_dashboard=False, logging_level="ERROR", log_to_driver=False)
        try:
            import placement

            placement.start(policy="selector")
            told("submission")
            figures += submission(rounds, calls)
            figures += decide_in_callers()
            told("throughput")
            figures += throughput(rounds, calls)
            placement.start(log=log)
            told("records")
            figures += [records_cost(rounds), actor_records_per_s(), gpu_vs_plain(rounds)]
        finally:
            ray.shutdown()
    return figures


# --- the import -------------------------------------------------------------------------------------------------------


def import_extra_ms(rounds: int = 9) -> Figure:
    """Milliseconds that `import placement` adds to a script that imported ray."""
    values, heavy = _import_ms("import placement", rounds)
    return Figure.of("import_extra_ms", values, "<= 30", f"heavy modules brought in: {heavy}")


def import_placed_remote_ms(rounds: int = 9) -> Figure:
    """The same of `from placement import placed_remote`, which brings in all that a decision takes."""
    values, heavy = _import_ms("from placement import placed_remote", rounds)
    return Figure.of("import_placed_remote_ms", values, "", f"heavy modules brought in: {heavy}")


def _import_ms(statement: str, rounds: int) -> tuple[list[float], str]:
    """Milliseconds of a statement after `import ray`, for each round; which heavy modules it brought in."""
    script = (
        f"import sys, time, ray; before = set(sys.modules); start = time.perf_counter(); {statement}; "
        "print((time.perf_counter() - start) * 1e3, *sorted({'torch', 'pandas', 'pyarrow', 'numpy'}"
        " & (set(sys.modules) - before)))"
    )
    # With the byte code kept, as any installation does.
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    values, heavy = [], set()
    with tempfile.TemporaryDirectory() as kept:
        for _ in range(rounds + 1):
            done = subprocess.run(
                [sys.executable, "-c", script], capture_output=True, text=True, check=True,
                env=environment | {"PYTHONPYCACHEPREFIX": kept},
            )  # fmt: skip
            milliseconds, *modules = done.stdout.split()
            values.append(float(milliseconds))
            heavy.update(modules)
    return values[1:], " ".join(sorted(heavy)) or "none"


# --- decisions, without Ray -------------------------------------------------------------------------------------------


def snapshot_of(kinds: int) -> Snapshot:
    """A snapshot with so many kinds of node, made of A-D with their figures varied."""
    nodes = list(paper_configs().values())
    specs = [
        replace(nodes[i % 4], config=f"K{i}", gpu_gflops=(nodes[i % 4].gpu_gflops or 0.0) * (1 + i / (2 * kinds)))
        for i in range(kinds)
    ]
    return Snapshot(1, Inventory(tuple(Kind(spec, (spec.config,)) for spec in specs)), shipped_selector())


def microseconds(action: Callable[[int], Any], times: int, rounds: int = 9) -> list[float]:
    """Microseconds of one call, for each round; the garbage collector rests meanwhile, as in timeit."""
    values = []
    gc.disable()
    try:
        for turn in range(rounds):
            start = time.perf_counter()
            for i in range(times):
                action(turn * times + i)
            values.append((time.perf_counter() - start) / times * MICROSECONDS)
    finally:
        gc.enable()
    return values


def _new_sizes(count: int) -> list[TaskSpec]:
    return [replace(SPEC, flops=1e6 + 1e3 * i, input_bytes=1e3 + i) for i in range(count)]


def decide_new_us(kinds: int = 4, times: int = 300) -> Figure:
    """A decision for a size not seen before, on top of the user's spec."""
    snapshot, limits = snapshot_of(kinds), Limits()
    sizes = _new_sizes(times * 9)
    decide(SPEC, "f", limits, snapshot)
    values = microseconds(lambda i: decide(sizes[i], "f", limits, snapshot), times)
    return Figure.of("decide_new_us", values, "<= 10", f"{kinds} kinds of node")


def decide_growth(times: int = 100) -> list[Figure]:
    """The same with 1,000 kinds of node, and after a million tasks sent."""
    many = replace(decide_new_us(KINDS[1], times), name="decide_new_1000_kinds_us", target="does not grow")
    snapshot, limits, sent = snapshot_of(KINDS[0]), Limits(), 0
    figures = [many]
    for goal in TASKS_SENT:
        while sent < goal:
            decide(SPEC, "f", limits, snapshot)
            sent += max(1, goal // 1_000)  # each stands for so many tasks: a decision keeps nothing of the last
        sizes = _new_sizes(times * 9)
        values = microseconds(lambda i: decide(sizes[i], "f", limits, snapshot), times)  # noqa: B023 - called here
        figures.append(Figure.of(f"decide_new_after_{goal}_us", values, "does not grow"))
    return figures


# --- on Ray -----------------------------------------------------------------------------------------------------------


def noop(x: Any = None) -> Any:
    """The task that is sent."""
    return x


def _functions() -> dict[str, Any]:
    import ray

    from placement import placed_remote

    placed = {
        "plain": placed_remote(noop),
        "any": placed_remote(devices="any")(noop),
        "spec": placed_remote(spec=lambda x=None: SPEC)(noop),  # noqa: ARG005
    }
    functions = {"ray": ray.remote(noop), **placed}
    ray.get([f.remote(1) for f in functions.values() for _ in range(20)])
    return functions


def submission(rounds: int, calls: int) -> list[Figure]:
    """Submission rates: placed_remote over plain ray.remote, and over a hand-written .options() on each call."""
    import ray

    functions = _functions()
    by_hand = functions["ray"]
    senders: dict[str, Callable[[], Any]] = {name: (lambda f=f: f.remote(1)) for name, f in functions.items()}
    senders["options"] = lambda: by_hand.options(num_gpus=0).remote(1)
    seconds: dict[str, list[float]] = {name: [] for name in senders}
    for _ in range(rounds):
        for name, send in senders.items():
            start = time.perf_counter()
            refs = [send() for _ in range(calls)]
            seconds[name].append(time.perf_counter() - start)
            ray.get(refs)
    figures = []
    for against, target in (("ray", ">= 0.95"), ("options", ">= 1.15")):
        ratios = {
            kind: [a / b for a, b in zip(seconds[against], seconds[kind], strict=True)]
            for kind in ("plain", "any", "spec")
        }
        name = "submit_vs_plain" if against == "ray" else "submit_vs_options"
        worst = min(ratios, key=lambda kind: statistics.median(ratios[kind]))
        figures.append(Figure.of(name, ratios[worst], target, f"the worst of three: {worst}"))
        figures += [Figure.of(f"{name}[{kind}]", values, target) for kind, values in ratios.items()]
    return figures


def decide_in_callers(times: int = 2_000) -> list[Figure]:
    """What a caller pays for a spec it has seen, and for a size read off the task's own three arrays."""
    import numpy as np

    from placement import placed_remote

    known = placed_remote(spec=SPEC)(noop).handle
    sized = placed_remote(devices="any")(lambda a, b, c: None).handle  # noqa: ARG005
    arrays = (np.ones(100), np.ones((8, 3)), np.ones(10))
    known._plan((1,), {})
    sized._plan(arrays, {})
    return [
        Figure.of("decide_known_us", microseconds(lambda _: known._plan((1,), {}), times), "<= 1"),
        Figure.of("decide_args_us", microseconds(lambda _: sized._plan(arrays, {}), times), "<= 5", "three arrays"),
    ]


def throughput(rounds: int, calls: int) -> list[Figure]:
    """Tasks a second from sending to result, over plain Ray's."""
    functions = _functions()
    per_second = {name: [] for name in functions}
    for _ in range(rounds):
        for name, function in functions.items():
            per_second[name].append(_tasks_per_second(function, calls))
    ratios = {
        kind: [a / b for a, b in zip(per_second[kind], per_second["ray"], strict=True)]
        for kind in ("plain", "any", "spec")
    }
    worst = min(ratios, key=lambda kind: statistics.median(ratios[kind]))
    figures = [Figure.of("throughput_vs_plain", ratios[worst], ">= 0.97", f"the worst of three: {worst}")]
    return figures + [Figure.of(f"throughput_vs_plain[{kind}]", values, ">= 0.97") for kind, values in ratios.items()]


def _tasks_per_second(function: Any, calls: int) -> float:
    import ray

    start = time.perf_counter()
    ray.get([function.remote(1) for _ in range(calls)])
    return calls / (time.perf_counter() - start)


def a_millisecond(x: Any) -> Any:
    """1 ms of work that holds the CPU."""
    end = time.perf_counter() + 0.001
    while time.perf_counter() < end:
        pass
    return x


def records_cost(rounds: int, calls: int = 300) -> Figure:
    """The share of tasks a second that keeping records costs, at tasks of 1 ms, against the same without any."""
    import ray

    from placement import placed_remote

    without, kept = ray.remote(a_millisecond), placed_remote(a_millisecond)
    ray.get([f.remote(1) for f in (without, kept) for _ in range(20)])
    values = [1 - _tasks_per_second(kept, calls) / _tasks_per_second(without, calls) for _ in range(rounds)]
    return Figure.of("records_cost", values, "<= 0.02", "share of tasks/s at 1 ms tasks")


def actor_records_per_s(batches: int = 50, rounds: int = 5) -> Figure:
    """Records a second that the actor takes into the log, in batches of 2,000 from many writers at once."""
    import ray

    from placement import control
    from placement.record import SCHEMA_VERSION, Rows

    same = {
        "schema_version": SCHEMA_VERSION,
        "run_id": "bench",
        "source": "production",
        "function": "f",
        "device": "cpu",
    }
    each = {"compute_s": [0.001 * i for i in range(BATCH_ROWS)], "time_utc": [time.time()] * BATCH_ROWS,
            "task_id": [f"{i:048x}" for i in range(BATCH_ROWS)]}  # fmt: skip
    shared = ray.put([Rows(BATCH_ROWS, same, each)])
    actor, values = control.actor(), []
    for turn in range(rounds):
        start = time.perf_counter()
        ray.get([actor.report.remote(f"bench-{turn}-{i}", 1, shared, [], [], 0) for i in range(batches)])
        values.append(batches * BATCH_ROWS / (time.perf_counter() - start))
    lost = control.call("status")["rows_lost"]
    return Figure.of("actor_records_per_s", values, ">= 100000", f"in batches of {BATCH_ROWS}; lost: {lost}")


def gpu_work(x: Any) -> Any:
    """10 ms of work on the GPU."""
    import torch

    end = time.perf_counter() + GPU_WORK_S
    matrix = torch.rand(1024, 1024, device="cuda")
    while time.perf_counter() < end:
        matrix = matrix @ matrix
        torch.cuda.synchronize()
    return x


def gpu_vs_plain(rounds: int, calls: int = 20) -> Figure:
    """Tasks a second of a kept GPU worker over @ray.remote(num_gpus=1), whose worker ends after each call."""
    import ray

    from placement import placed_remote

    name, target = "gpu_vs_plain", ">= 10"
    if not ray.cluster_resources().get("GPU"):
        return Figure(name, None, target=target, note="no GPU on this machine: not measured")
    plain, kept = ray.remote(num_gpus=1)(gpu_work), placed_remote(device="gpu")(gpu_work)
    ray.get([plain.remote(1), kept.remote(1)])
    values = [_tasks_per_second(kept, calls) / _tasks_per_second(plain, calls) for _ in range(max(3, rounds // 5))]
    return Figure.of(name, values, target, "10 ms of GPU work")


def table(figures: Sequence[Figure]) -> Table:
    """The figures as a table."""
    shown = Table(title="What placing costs", title_justify="left", header_style="bold")
    for name in ("figure", "median", "quartiles", "target", "note"):
        shown.add_column(name, justify="right" if name in ("median", "quartiles") else "left")
    for f in figures:
        between = "" if f.low is None else f"{f.low:.3g} .. {f.high:.3g}"
        shown.add_row(escape(f.name), "–" if f.value is None else f"{f.value:,.3f}", between, f.target, f.note)
    return shown


def as_json(figures: Sequence[Figure]) -> dict[str, Any]:
    """name -> value, and all of each figure under `figures`."""
    return {
        **{f.name: f.value for f in figures if "[" not in f.name},
        "figures": {f.name: {"low": f.low, "high": f.high, "target": f.target, "note": f.note} for f in figures},
    }
