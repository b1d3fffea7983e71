"""The nine features of the paper's selector (Table 3 less RAM; 449 parameters need nine, see
`placement.prediction.selector`)."""

from __future__ import annotations

from placement.spec.node import NodeSpec
from placement.spec.task import TaskSpec

FEATURES_VERSION = 1

FEATURES: dict[str, str] = {
    "cpu_gflops": "GFLOP/s",
    "gpu_gflops": "GFLOP/s",
    "gpu_memory_gb": "GB",
    "cpu_tdp_w": "W",
    "gpu_tdp_w": "W",
    "flops": "FLOP",
    "batch_size": "samples",
    "parameters": "1",
    "input_bytes": "B",
}
"""Name -> unit, in the order of the vector. `cpu_gflops` is the share of the CPUs granted to the task."""

Features = tuple[float, ...]


def granted_gflops(node: NodeSpec, cpus: float) -> float | None:
    """Sustained throughput of the `cpus` granted, GFLOP/s: the processor's share by logical CPUs.

    A task of a fraction of a CPU, or of none, runs on one thread all the same, as every worker gives it.
    """
    if node.cpu_gflops is None:
        return None
    return node.cpu_gflops * min(1.0, max(cpus, 1.0) / node.cpus) if node.cpus else node.cpu_gflops


def hardware_of(node: NodeSpec, cpus: float) -> Features | None:
    """The five of FEATURES that are the node's, with so many CPUs granted; None where any is unknown."""
    values = (granted_gflops(node, cpus), node.gpu_gflops, node.gpu_memory_gb, node.cpu_tdp_w, node.gpu_tdp_w)
    known = tuple(value for value in values if value is not None)
    return known if len(known) == len(values) else None


def work_of(task: TaskSpec) -> tuple[float, float, float, float] | None:
    """The four of FEATURES that are the task's; None where any is unknown.

    FLOPs of 0 mean unknown (an operation without a cost model), not free.
    """
    if not task.flops or task.input_bytes is None or task.batch_size is None or task.parameters is None:
        return None
    return float(task.flops), float(task.batch_size), float(task.parameters), float(task.input_bytes)


def features(task: TaskSpec, node: NodeSpec, cpus: float) -> Features | None:
    """The vector of FEATURES for a task on a node with so many CPUs granted; None where any is unknown."""
    hardware, work = hardware_of(node, cpus), work_of(task)
    return None if hardware is None or work is None else (*hardware, *work)
