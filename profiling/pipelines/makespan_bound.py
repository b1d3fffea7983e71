"""The linear programme that no way to run a pipeline can beat, and the best fixed share of each device.

minimise T   sum over places of x[half, place] = rows of the half,  x >= 0
             sum over halves of x * seconds <= T * slots   on each GPU
             the same, and the first stage's seconds, on each node's CPUs
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from placement.spec.task import Device
from profiling.pipelines.shapes import Shape
from profiling.pipelines.timed_work import CORES, row_seconds


def bound_seconds(
    shape: Shape, rows: int, configs: Sequence[str], slots: float, share_on_gpu: float | None = None
) -> float:
    """No way ends earlier, in emulated seconds. slots: tasks that each node, which has one GPU, runs on CPUs at once.

    share_on_gpu: of the rows of each half, where it is fixed by hand.
    """
    from scipy.optimize import linprog

    halves = [(rows / 2, 1.0), (rows / 2, shape.growth)]
    places: list[tuple[str, Device]] = [(c, d) for c in configs for d in ("cpu", "gpu")]
    n = len(places)
    width = 2 * n + len(configs) + 1  # x of both halves, rows prepared on each node, T
    objective = np.zeros(width)
    objective[-1] = 1.0
    upper, equal, right = [], [], []
    for at, (config, device) in enumerate(places):
        row = np.zeros(width)
        for half, (_, scale) in enumerate(halves):
            row[half * n + at] = row_seconds(shape, config, device, scale=scale)[0]
        if device == "cpu":
            row[2 * n + configs.index(config)] = shape.prepare_s / CORES
        row[-1] = -(slots if device == "cpu" else 1.0)
        upper.append(row)
    for half, (count, _) in enumerate(halves):
        row = np.zeros(width)
        row[half * n : (half + 1) * n] = 1.0
        equal.append(row)
        right.append(count)
        if share_on_gpu is not None:
            on_gpu = np.zeros(width)
            on_gpu[[half * n + at for at, (_, d) in enumerate(places) if d == "gpu"]] = 1.0
            equal.append(on_gpu)
            right.append(count * share_on_gpu)
    prepared = np.zeros(width)
    prepared[2 * n : -1] = 1.0
    out = linprog(
        objective, A_ub=np.array(upper), b_ub=np.zeros(len(upper)), A_eq=np.array([*equal, prepared]),
        b_eq=np.array([*right, float(rows)]), method="highs",
    )  # fmt: skip
    if not out.success:
        raise ValueError(f"the linear programme of the bound failed: {out.message}")
    return float(out.x[-1])


def best_fixed_share(shape: Shape, rows: int, configs: Sequence[str], slots: float) -> float:
    """The share of rows on GPUs with which a pipeline divided by hand could end first, to 5 %."""
    shares = [i / 20 for i in range(21)]
    return min(shares, key=lambda share: bound_seconds(shape, rows, configs, slots, share))
