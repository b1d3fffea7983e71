"""Seconds that a node's CPU and GPU take for a FLOP, a byte, a launch and a copied byte, by kind of work.

They are TYPICAL, right in order of magnitude for any work, and have the spread STDS.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import NamedTuple

from placement.spec.features import granted_gflops
from placement.spec.node import NodeSpec

TYPICAL: Mapping[str, float] = {
    # Multiples of a FLOP's time at the sustained rate, and of a byte's at the bandwidth.
    "cpu_compute": 1.5,
    "gpu_compute": 2.0,
    "cpu_memory": 2.0,
    "gpu_memory": 1.5,
    # Work that is no network is eager array code on a CPU: it writes new arrays, whose pages are touched first.
    "cpu_array_memory": 8.0,
    "uncounted_gpu_compute": 5.0,  # steps of such an algorithm wait for one another
    # Histograms of boosted trees: some 3e8 updates a second and core, 5e10 on a large GPU.
    "cpu_tree_compute": 120.0,
    "gpu_tree_compute": 375.0,
    # Seconds of a launch: of an operation, of a layer of a network (threads started and joined; CUDA's queue), of a
    # step of a level of boosted trees (the host waits for it), and of a call.
    "cpu_launch_s": 5e-6,
    "gpu_launch_s": 15e-6,
    "cpu_tree_launch_s": 5e-6,
    "gpu_tree_launch_s": 120e-6,
    "cpu_layer_s": 70e-6,
    "gpu_layer_s": 50e-6,
    "cpu_small_layer_s": 30e-6,  # on one thread
    "gpu_small_layer_s": 50e-6,
    "cpu_call_s": 8e-6,
    "gpu_call_s": 25e-6,
    "layer_exponent": 0.5,
    "layer_most": 2.0,  # a layer on a CPU of less than LAYER_GFLOPS takes longer, to so much
    "bus": 8e9,
    "copy_s": 2e-5,  # of a copy to the GPU: bytes a second of pageable memory, and its launch
}
"""Coefficients of the roofline, set by hand: figures of vendors and of common experience with these frameworks.

Some were set after trials against the published pairs that `placement evaluate --out-of-the-box` asks about: the launch
of boosted trees on a GPU, and what is uncounted. The seconds of a small layer stand to each other as the emulator's do
for a network of 1e6 FLOPs at batch 1 (0.62).
"""
LAYER_GFLOPS = 1000.0


class Stds(NamedTuple):
    """Standard deviations of logarithms for one kind of work.

    compute, memory: of these coefficients, which err alike on one device.  level: of the speed-up, whatever the time is
    made of.
    """

    compute: float
    memory: float
    level: float


STDS: Mapping[str, Stds] = {  # set after some forty trials against the same published pairs
    "network": Stds(0.4, 0.6, 0.2),
    "tree": Stds(0.7, 0.9, 0.2),
    "array": Stds(0.6, 0.9, 0.55),
    "uncounted": Stds(0.6, 0.9, 1.6),
    "small_network": Stds(0.4, 0.6, 0.2),
}
ARRAYS = ("array", "uncounted")
LAUNCH = {"network": "layer", "small_network": "small_layer", "tree": "tree_launch"}
"""Kind of work -> the name of its launch in TYPICAL, where it is not "launch"."""


def guessed_gpu_bandwidth(gflops: float | None, memory_gb: float | None, tdp_w: float | None) -> float:
    """Memory bandwidth of a GPU by its sustained FP32 throughput, memory and TDP, B/s; within 20 % for 18 GPUs, from
    a phone's to an H200.
    """
    logs = (math.log(gflops or 10_000.0), math.log(memory_gb or 12.0), math.log(tdp_w or 200.0))
    return 1e9 * math.exp(0.606 + 0.0989 * logs[0] + 0.698 * logs[1] + 0.523 * logs[2])


def guessed_cpu_bandwidth(gflops: float | None) -> float:
    """Memory bandwidth that CPUs of this sustained FP32 throughput reach, B/s: it grows slower than their cores."""
    return 100e9 * math.sqrt((gflops or 500.0) / 1500.0)


class Rates(NamedTuple):
    """Seconds that a device takes for one of each, for one kind of work."""

    flop_s: float
    byte_s: float
    launch_s: float
    call_s: float
    copy_byte_s: float
    copy_s: float
    stds: Stds


class NodeRates(NamedTuple):
    """The rates of a node's CPU and of its GPU, by kind of work."""

    network: tuple[Rates, Rates]
    tree: tuple[Rates, Rates]
    array: tuple[Rates, Rates]
    uncounted: tuple[Rates, Rates]
    small_network: tuple[Rates, Rates]


KINDS = {kind: at for at, kind in enumerate(NodeRates._fields)}
"""Kind of work (see `placement.prediction.task_work.Work`) -> its place in NodeRates."""


def rates_of(node: NodeSpec, cpus: float) -> NodeRates:
    """The rates of a node with so many CPUs granted. What it lacks is guessed: a common desktop's."""
    cpu = granted_gflops(node, cpus) or 500.0
    gpu = node.gpu_gflops or 10_000.0
    return rates(cpu, gpu, node.gpu_memory_gb, node.gpu_tdp_w, node.probes)


def rates(
    cpu_gflops: float, gpu_gflops: float, gpu_memory_gb: float | None, gpu_tdp_w: float | None,
    probes: Mapping[str, float] | None = None,
) -> NodeRates:  # fmt: skip
    """The rates by a node's figures."""
    of = TYPICAL
    cpu_byte = 1.0 / guessed_cpu_bandwidth(cpu_gflops)
    copied = (probes or {}).get("gpu_copy")
    gpu_byte = copied / (2.0 * 2**26) if copied else 1.0 / guessed_gpu_bandwidth(gpu_gflops, gpu_memory_gb, gpu_tdp_w)
    cpu_flop, gpu_flop = 1e-9 / cpu_gflops, 1e-9 / gpu_gflops
    slower = min(of["layer_most"], (LAYER_GFLOPS / cpu_gflops) ** of["layer_exponent"])
    found = {}
    for kind, stds in STDS.items():
        tree, array = "tree_" * (kind == "tree"), "array_" * (kind in ARRAYS)
        uncounted, launch = "uncounted_" * (kind == "uncounted"), LAUNCH.get(kind, "launch")
        found[kind] = (
            Rates(cpu_flop * of[f"cpu_{tree}compute"], cpu_byte * of[f"cpu_{array}memory"],
                  of[f"cpu_{launch}_s"] * (slower if kind == "network" else 1.0), of["cpu_call_s"], 0.0, 0.0, stds),
            Rates(gpu_flop * of[f"{uncounted}gpu_{tree}compute"], gpu_byte * of["gpu_memory"], of[f"gpu_{launch}_s"],
                  of["gpu_call_s"], 1.0 / of["bus"], of["copy_s"], stds),
        )  # fmt: skip
    return NodeRates(**found)
