"""A lower bound of the makespan: the linear programme of the fractional assignment.

    minimise T   x[type, kind, device] >= 0,  sum over kind, device of x[type] = tasks of the type
                 sum of x * seconds * cpus <= T * the kind's CPUs;   sum of x * seconds on GPUs <= T * the kind's GPUs

Work that arrives after a moment is done after it, so `moment + T of what arrives later` is a bound too; and so is the
arrival of a task and its shortest run. The largest of all is given. (Lenstra, Shmoys, Tardos 1990 round this LP.)
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from placement.node import Inventory
from placement.task import Device
from profiling.simulation_times import CPU, GPU, Times
from profiling.simulation_trace import Trace

CUTS = (0.0, 0.25, 0.5, 0.75, 0.9, 0.97)
"""Shares of the tasks that have arrived, at which the rest is bounded."""


def bound_seconds(trace: Trace, inventory: Inventory, times: Times) -> float:
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
    granted = np.where(d == CPU, cpus["cpu"], cpus["gpu"])
    on_gpu = d == GPU
    column = np.arange(n)
    slots = [kind.count * kind.grants_cpus for kind in inventory.kinds]
    slots += [kind.count * kind.grants_gpus for kind in inventory.kinds]
    share = counts[present][t] * seconds / scale  # x is the share of a type's tasks
    rows = np.concatenate([k, kinds + k[on_gpu], np.arange(2 * kinds)])
    columns = np.concatenate([column, column[on_gpu], np.full(2 * kinds, n)])
    values = np.concatenate([share * granted, share[on_gpu], -np.array(slots, dtype=float)])
    upper = coo_matrix((values, (rows, columns)), shape=(2 * kinds, n + 1))
    equal = coo_matrix((np.ones(n), (t, column)), shape=(len(present), n + 1))
    objective = np.zeros(n + 1)
    objective[-1] = 1.0
    out = linprog(
        objective, A_ub=upper, b_ub=np.zeros(2 * kinds), A_eq=equal, b_eq=np.ones(len(present)), method="highs"
    )
    if not out.success:
        raise ValueError(f"the linear programme of the bound failed: {out.message}")
    return float(out.x[-1]) * scale
