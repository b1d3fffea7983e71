"""A lower bound of the makespan: the linear programme of the fractional assignment.

    minimise T   x[type, kind, device] >= 0,  sum over kind, device of x[type] = tasks of the type
                 y[kind, pattern] >= 0,  sum over patterns of y[kind] <= T * nodes of the kind
                 sum of x * seconds on a device <= sum over patterns of y * tasks that the pattern runs on it at once

A pattern is how many CPU tasks and GPU tasks a node can run at once: whole tasks, all of which need CPUs.

Work that arrives after a moment is done after it, so `moment + T of what arrives later` is a bound too; and so is the
arrival of a task and its shortest run. The largest of all is given. (Lenstra, Shmoys, Tardos 1990 round this LP.)
"""

from __future__ import annotations

import math
from collections.abc import Mapping

import numpy as np

from placement.spec.node import Inventory, NodeKind
from placement.spec.task import Device
from profiling.simulation.arrivals import ArrivalTrace
from profiling.simulation.runtimes import GPU, Times

CUTS = (0.0, 0.25, 0.5, 0.75, 0.9, 0.97)
"""Shares of the tasks that have arrived, at which the rest is bounded."""


def bound_seconds(trace: ArrivalTrace, inventory: Inventory, times: Times) -> float:
    """No schedule ends earlier, s from the first arrival."""
    shortest = times.seconds.min(axis=(1, 2))[trace.type_of]
    bounds = [float((trace.arrival_s + shortest).max())]
    types = len(trace.types)
    for cut in CUTS:
        first = int(cut * len(trace))
        counts = np.bincount(trace.type_of[first:], minlength=types)
        bounds.append(float(trace.arrival_s[first]) + fractional_seconds(counts, inventory, times, trace.cpus))
    return max(bounds)


def fractional_seconds(counts: np.ndarray, inventory: Inventory, times: Times, cpus: Mapping[Device, float]) -> float:
    """T of the linear programme for so many tasks of each type, (types,)."""
    from scipy.optimize import linprog
    from scipy.sparse import coo_matrix

    present = np.flatnonzero(counts)
    t, k, d = (axis.ravel() for axis in np.indices((len(present), len(inventory.kinds), 2)))
    seconds = times.seconds[present][t, k, d]
    t, k, d, seconds = (axis[np.isfinite(seconds)] for axis in (t, k, d, seconds))
    n, kinds = len(seconds), len(inventory.kinds)
    scale = float(seconds.max())  # keeps the programme's numbers near 1
    on_gpu = d == GPU
    column = np.arange(n)
    share = counts[present][t] * seconds / scale  # x is the share of a type's tasks
    patterns = [(k, *pattern) for k, kind in enumerate(inventory.kinds) for pattern in node_patterns(kind, cpus)]
    at, cpu_tasks, gpu_tasks = (np.array(axis) for axis in zip(*patterns, strict=True))
    held = n + np.arange(len(patterns))
    # Work of a kind on a device, less what its nodes do in the patterns they are held in; then the time they are held.
    rows = np.concatenate([k + kinds * on_gpu, at, kinds + at, 2 * kinds + at, 2 * kinds + np.arange(kinds)])
    columns = np.concatenate([column, held, held, held, np.full(kinds, n + len(patterns))])
    nodes = np.array([kind.count for kind in inventory.kinds], dtype=float)
    values = np.concatenate([share, -cpu_tasks, -gpu_tasks, np.ones(len(patterns)), -nodes])
    upper = coo_matrix((values, (rows, columns)), shape=(3 * kinds, n + len(patterns) + 1))
    equal = coo_matrix((np.ones(n), (t, column)), shape=(len(present), n + len(patterns) + 1))
    objective = np.zeros(n + len(patterns) + 1)
    objective[-1] = 1.0
    out = linprog(
        objective, A_ub=upper, b_ub=np.zeros(3 * kinds), A_eq=equal, b_eq=np.ones(len(present)), method="highs"
    )
    if not out.success:
        raise ValueError(f"the linear programme of the bound failed: {out.message}")
    return float(out.x[-1]) * scale


def node_patterns(kind: NodeKind, cpus: Mapping[Device, float]) -> list[tuple[int, int]]:
    """(CPU tasks, GPU tasks) that a node can run at once, as many CPU tasks as there is room for beside the others."""
    most = min(math.floor(kind.grants_gpus), math.floor(kind.grants_cpus / cpus["gpu"]))
    return [(math.floor((kind.grants_cpus - g * cpus["gpu"]) / cpus["cpu"]), g) for g in range(most + 1)]
