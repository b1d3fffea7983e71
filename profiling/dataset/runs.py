"""Runs of the log that learning may use, summed up by work, device, ending and provenance."""

from __future__ import annotations

from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

IDENTITY = ("source", "source_name", "function", "workload", "family", "preset", "kind", "framework", "config", "cpus",
            "emulated", "synthetic", "cpu_name", "gpu_name", "gflops_basis", "flops", "batch_size", "parameters",
            "input_bytes", "steps", "kernels", "memory_bytes", "inputs_on_device")  # fmt: skip
"""Columns in which a CPU row and a GPU row are equal if they are a pair (null equals null)."""

LARGEST_WEIGHT = 5.0
"""Of a run that exploration took: those of a smaller propensity would be few rows that outweigh all others."""
HARDWARE = ("cpu_gflops", "gpu_gflops", "gpu_memory_gb", "cpu_tdp_w", "gpu_tdp_w", "ram_gb")
"""Probed anew on each node: the mean over a pair's rows is taken."""


def usable(table: pa.Table) -> pa.Table:
    """Rows that ran where they were meant to and have a time, with `seconds`, `joules` and `runs`."""
    ran = pc.field("error").is_null() & pc.field("fallback").is_null() & (pc.field("compute_s") > 0)
    ran &= pc.coalesce(pc.field("neighbours"), pa.scalar(0)) == 0  # others slowed it on their common GPU
    # A process's first GPU run has CUDA's start-up in its seconds, and so none of its own.
    cold = (pc.field("source") == "production") & (pc.field("device") == "gpu") & pc.field("startup_s").is_null()
    cold &= pc.field("time_provenance") == "measured"
    table = table.filter(ran & pc.field("device").isin(["cpu", "gpu"]) & ~pc.coalesce(cold, pa.scalar(False)))
    on_gpu = pc.equal(table["device"], "gpu")
    seconds = pc.add(table["compute_s"], pc.coalesce(table["transfer_s"], pa.scalar(0.0)))
    joules = pc.coalesce(table["cpu_joules"], pc.multiply(table["cpu_watts"], seconds))
    gpu_joules = pc.coalesce(table["gpu_joules"], pc.multiply(table["gpu_watts"], seconds))
    runs = pc.coalesce(table["repeats"], pa.scalar(1, pa.int64()))
    propensity = table["propensity"]
    possible = pc.and_(pc.greater(propensity, 0.0), pc.less_equal(propensity, 1.0))  # NaN is not
    weight = pc.divide(1.0, pc.if_else(pc.coalesce(possible, pa.scalar(False)), propensity, 1.0))
    # A foreign table has one figure for a GPU run, the CPU's energy in it.
    host = pc.if_else(pc.equal(table["source"], "import"), pc.coalesce(joules, pa.scalar(0.0)), joules)
    joules = pc.if_else(on_gpu, pc.add(host, gpu_joules), joules)
    known = pc.if_else(pc.is_valid(joules), runs, pa.scalar(None, pa.int64()))
    derived = {
        "gpus_granted": pc.if_else(on_gpu, table["gpus"], pa.scalar(None, pa.float64())),
        "cut": pc.coalesce(table["censored"], pa.scalar(False)),
        "runs": runs,
        "second_runs": pc.multiply(seconds, runs),
        "joule_runs": pc.multiply(joules, runs),
        "energy_runs": known,
        "weight_runs": pc.multiply(pc.min_element_wise(weight, LARGEST_WEIGHT), runs),
    }
    for name, column in derived.items():
        table = table.append_column(name, column)
    return table


def grouped(table: pa.Table) -> list[dict[str, Any]]:
    """Sums over the rows of one work, device, ending and provenance."""
    keys = [*IDENTITY, "device", "gpus_granted", "cut", "time_provenance", "energy_provenance"]
    sums = [(name, "sum") for name in ("runs", "second_runs", "joule_runs", "energy_runs", "weight_runs")]
    means = [(name, "mean") for name in (*HARDWARE, "pair_energy_ratio")]
    groups = table.group_by(keys, use_threads=False).aggregate([*sums, *means, ("energy_error", "max")])
    return groups.to_pylist()
