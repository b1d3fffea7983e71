"""The cost of a decision, without Ray."""

from __future__ import annotations

import functools
import random
import time
from dataclasses import replace

from placement.prediction.selector_file import shipped_selector
from placement.scheduling.decision import decide
from placement.scheduling.decision_table import DecisionTable
from placement.scheduling.feasibility import Limits
from placement.scheduling.snapshot import Snapshot
from placement.spec.node import Inventory, NodeKind, paper_configs
from placement.spec.task import TaskSpec
from profiling.bench.figure import Figure, microseconds

SPEC = TaskSpec(flops=1e6, input_bytes=1e3, batch_size=1, parameters=1_000)
KINDS = (4, 1_000)
TASKS_SENT = (10, 1_000_000)


def snapshot_of(kinds: int) -> Snapshot:
    """A snapshot with so many kinds of node, made of A-D with their figures varied."""
    nodes = list(paper_configs().values())
    specs = [
        replace(nodes[i % 4], config=f"K{i}", gpu_gflops=(nodes[i % 4].gpu_gflops or 0.0) * (1 + i / (2 * kinds)))
        for i in range(kinds)
    ]
    return Snapshot(1, Inventory(tuple(NodeKind(spec, (spec.config,)) for spec in specs)), shipped_selector())


def _new_sizes(count: int) -> list[TaskSpec]:
    return [replace(SPEC, flops=1e6 + 1e3 * i, input_bytes=1e3 + i) for i in range(count)]


def _far_sizes(count: int) -> list[TaskSpec]:
    """Task sizes over the whole range of the shipped selector's training data, decades apart."""
    draw = random.Random(0)
    return [
        TaskSpec(
            flops=10 ** draw.uniform(6, 13), input_bytes=10 ** draw.uniform(3, 9), batch_size=2 ** draw.randint(0, 10),
            parameters=int(10 ** draw.uniform(3, 9)), steps=draw.randint(1, 10),
        )
        for _ in range(count)
    ]  # fmt: skip


def decide_new_us(kinds: int = 4, times: int = 300, *, far: bool = False) -> Figure:
    """A decision for a new size, beside the cost of the user's spec. far: the size is far from all earlier ones."""
    decisions = DecisionTable("f", Limits(), snapshot_of(kinds))
    sizes = _far_sizes(times * 9) if far else _new_sizes(times * 9)
    decisions.decide(SPEC)
    values = microseconds(lambda i: decisions.decide(sizes[i]), times)
    note = f"{kinds} kinds of node" + (", sizes decades apart" if far else "")
    return Figure.of("decide_new_far_us" if far else "decide_new_us", values, "<= 10", note)


def decide_traced_s(rounds: int = 5) -> Figure:
    """A decision for a function whose model is traced for it, once: ResNet-18, training."""
    import torchvision

    from placement import describe

    snapshot, limits = snapshot_of(KINDS[0]), Limits()
    seconds = []
    for turn in range(rounds):
        model = functools.partial(torchvision.models.resnet18, num_classes=1_000 + turn)  # another one each time
        start = time.perf_counter()
        decide(describe.of_module(model, (8, 3, 224, 224), train=True), "f", limits, snapshot)
        seconds.append(time.perf_counter() - start)
    return Figure.of("decide_traced_s", seconds, "<= 1", "a ResNet-18 not seen before, torch imported")


def python_ns() -> Figure:
    """Nanoseconds of an addition in a Python loop: a measure of this machine's speed."""

    def additions(_: int) -> None:
        total = 0
        for i in range(100_000):
            total += i

    values = [us / 100 for us in microseconds(additions, 10)]
    return Figure.of("python_ns", values, "", "an addition in a loop, on this machine")


def decide_growth(times: int = 100) -> list[Figure]:
    """A decision with 1,000 kinds of node, and after a million tasks sent."""
    many = replace(decide_new_us(KINDS[1], times), name="decide_new_1000_kinds_us", target="does not grow")
    decisions, sent = DecisionTable("f", Limits(), snapshot_of(KINDS[0])), 0
    figures = [many]
    for goal in TASKS_SENT:
        while sent < goal:
            decisions.decide(SPEC)
            sent += max(1, goal // 1_000)  # each stands for so many tasks: a decision keeps nothing of the last
        sizes = _new_sizes(times * 9)
        values = microseconds(lambda i: decisions.decide(sizes[i]), times)  # noqa: B023 - called here
        figures.append(Figure.of(f"decide_new_after_{goal}_us", values, "does not grow"))
    return figures
