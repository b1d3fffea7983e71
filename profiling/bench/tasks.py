"""The cost of submitting a task, and tasks a second from submission to result, in turns with plain Ray's."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from typing import Any

from profiling.bench.decisions import SPEC
from profiling.bench.figure import Figure, microseconds

GPU_WORK_S = 0.010


def noop(x: Any = None) -> Any:
    """The task that is submitted."""
    return x


def noop_each_way() -> dict[str, Any]:
    """The same task by plain Ray and by placed_remote: with neither, with devices="any", with a spec; warmed up."""
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

    functions = noop_each_way()
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
    """Overhead of a call whose spec is known, and of one whose size is read from its three arrays."""
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
    functions = noop_each_way()
    per_second = {name: [] for name in functions}
    for _ in range(rounds):
        for name, function in functions.items():
            per_second[name].append(tasks_per_second(function, calls))
    ratios = {
        kind: [a / b for a, b in zip(per_second[kind], per_second["ray"], strict=True)]
        for kind in ("plain", "any", "spec")
    }
    worst = min(ratios, key=lambda kind: statistics.median(ratios[kind]))
    figures = [Figure.of("throughput_vs_plain", ratios[worst], ">= 0.97", f"the worst of three: {worst}")]
    return figures + [Figure.of(f"throughput_vs_plain[{kind}]", values, ">= 0.97") for kind, values in ratios.items()]


def tasks_per_second(function: Any, calls: int) -> float:
    """From the first call to the last result."""
    import ray

    start = time.perf_counter()
    ray.get([function.remote(1) for _ in range(calls)])
    return calls / (time.perf_counter() - start)


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
    values = [tasks_per_second(kept, calls) / tasks_per_second(plain, calls) for _ in range(max(3, rounds // 5))]
    return Figure.of(name, values, target, "10 ms of GPU work")
