"""The roofline of a task on a node: seconds from its work and the node's throughput, before anything is learned.

    seconds = compute * flops / peak + memory * bytes / bandwidth + launch_s * launches + call_s + transfer

`parts` is that sum; the emulator takes it with coefficients that are calibrated by kind of operation, the selector with
TYPICAL, which are right in order of magnitude for any work. The parts of a task that its spec does not tell (launches,
bytes between launches) are integrated over: `Work.cases` are the points of a quadrature. The spread of the result is
that of the coefficients, each by its share of the time. Plain Python: a node costs some microseconds.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from math import log, sqrt
from typing import NamedTuple

from placement.spec.features import granted_gflops
from placement.spec.node import NodeSpec
from placement.spec.task import TaskSpec

TREES = frozenset({"xgboost", "lightgbm", "catboost"})
"""Frameworks of boosted trees: histograms over rows, bound by memory latency, far from the peak of the arithmetic."""
FUSED = frozenset({"jax", "taichi", "tflite", "numba", "tensorrt", "openvino"})
"""Frameworks that compile several operations into one launch."""
HOST_ONLY = frozenset({"numpy", "scipy", "pandas", "scikit-learn", "sklearn"})
"""Frameworks that run on the CPU whichever device they are given."""

NETWORK_PARAMETERS = 100  # work with fewer parameters is an operation or a kernel, no network
NETWORK_FLOPS_AN_ELEMENT = 3000.0
"""Of an input; array code and matrix products of common sizes do fewer, networks more."""
TREE_COLUMNS = 13.0
SEQUENTIAL = 8.0
"""A network whose parameters are used so many times more often than it has input elements makes its own further input
(a language model that generates): each use is a pass of its own over the parameters."""
BYTES_AN_ELEMENT = 4.0
LARGEST = 1e30  # of a quantity: products of some stay finite
UNKNOWN_FLOPS_AN_ELEMENT = 30.0


class Parts(NamedTuple):
    """Seconds of a step on a device: compute, memory and launches."""

    compute: float = 0.0
    memory: float = 0.0
    launch: float = 0.0

    @property
    def seconds(self) -> float:
        """Seconds of the whole step."""
        return self.compute + self.memory + self.launch


def parts(
    flops: float, moved: float, launches: float, flop_s: float, byte_s: float, launch_s: float, call_s: float = 0.0
) -> tuple[float, float, float]:
    """The roofline of one step: its Parts, as a plain tuple for speed.

    moved: bytes.  flop_s, byte_s, launch_s: seconds of one of each.  call_s: beside them.
    """
    return flops * flop_s, moved * byte_s, launches * launch_s + call_s


TYPICAL: Mapping[str, float] = {
    # Multiples of a FLOP's time at the sustained rate, and of a byte's at the bandwidth.
    "cpu_compute": 1.5,
    "gpu_compute": 2.0,
    "cpu_memory": 2.0,
    "gpu_memory": 1.5,
    # Work that is no network is eager array code on a CPU: it writes new arrays, whose pages are touched first.
    "cpu_array_memory": 8.0,
    # Histograms of boosted trees: some 3e8 updates a second and core, 5e10 on a large GPU.
    "cpu_tree_compute": 120.0,
    "gpu_tree_compute": 375.0,
    "layer_intensity": 0.1,  # FLOPs of a network a byte that its layers pass on, for a width of sqrt(parameters)
    # Seconds of a launch: of an operation, of a layer of a network (threads started and joined; CUDA's queue), a call.
    "cpu_launch_s": 5e-6,
    "gpu_launch_s": 15e-6,
    "cpu_layer_s": 70e-6,
    "gpu_layer_s": 50e-6,
    "cpu_call_s": 8e-6,
    "gpu_call_s": 25e-6,
    "fused_launches": 0.25,
    "fused_bytes": 0.7,  # of an eager framework's
    "network_launches": 150.0,
    "tree_launches": 0.15,  # of a pass over a network; of a node of boosted trees
    "array_launches": 0.65,  # exponent of the FLOPs an element, of an operation whose launches are not told
    "layer_exponent": 0.5,
    "layer_most": 2.0,  # a layer on a CPU of less than LAYER_GFLOPS takes longer, to so much
    "bus": 8e9,
    "copy_s": 2e-5,  # of a copy to the GPU: bytes a second of pageable memory, and its launch
}
"""Coefficients of the roofline; figures of vendors and of common experience with these frameworks, not fitted."""
LAYER_GFLOPS = 1000.0
COMPUTE_STD, TREE_STD, MEMORY_STD, LAUNCH_STD, COPY_STD = 0.6, 0.7, 0.9, 0.3, 0.5
"""Standard deviations of the logarithms of the coefficients; each counts by its share of the time."""
LEVEL_VARIANCE = 0.04  # of the log speed-up, whatever a time is made of
SHARED_LAUNCH = 1.6
"""Twice the correlation of what launches cost on both devices: one thread of the same framework dispatches them."""
HOST_ONLY_STD = 0.1
LAUNCH_VARIANCE, COPY_VARIANCE = LAUNCH_STD**2, COPY_STD**2
LAUNCH_BUSY = 0.3
"""Share of a launch in which the GPU runs something: a kernel of no work lasts some 3 of the 10 us of its launch."""
KINDS = {"network": 0, "tree": 1, "array": 2}
LAUNCHES_STD = {"network": 0.7, "tree": 0.7, "array": 0.35}
"""Standard deviations of the logarithm of launches that are not told; of "array" for an e-fold of FLOPs an element."""
QUADRATURE = ((-math.sqrt(3.0), 1 / 6), (0.0, 2 / 3), (math.sqrt(3.0), 1 / 6))
"""Points and weights of Gauss and Hermite for a standard normal variable."""
KNOWN = ((0.0, 1.0),)


def guessed_gpu_bandwidth(gflops: float | None, memory_gb: float | None, tdp_w: float | None) -> float:
    """Memory bandwidth of a GPU by its sustained FP32 throughput, memory and TDP, B/s; within 20 % for 18 GPUs, from
    a phone's to an H200.
    """
    logs = (math.log(gflops or 10_000.0), math.log(memory_gb or 12.0), math.log(tdp_w or 200.0))
    return 1e9 * math.exp(0.606 + 0.0989 * logs[0] + 0.698 * logs[1] + 0.523 * logs[2])


def guessed_cpu_bandwidth(gflops: float | None) -> float:
    """Memory bandwidth that CPUs of this sustained FP32 throughput reach, B/s: it grows slower than their cores."""
    return 100e9 * math.sqrt((gflops or 500.0) / 1500.0)


class Case(NamedTuple):
    """One possibility of a step's work. launches; moved: bytes read and written."""

    weight: float
    launches: float
    moved: float


class Work(NamedTuple):
    """One step of a task, as the roofline takes it. kind: "network", "tree" or "array".

    cases: possibilities of what the spec does not tell, with weights.  copied: bytes to a GPU; None: nothing is copied.
    """

    kind: str
    flops: float
    cases: tuple[Case, ...]
    copied: float | None
    host_only: bool


def work_of(task: TaskSpec) -> Work | None:
    """The work of a step; None where neither FLOPs nor launches are known."""
    if not task.flops and not (task.kernels and task.input_bytes):
        return None
    return work(
        task.flops, task.input_bytes, task.parameters, task.batch_size, task.kernels, task.framework,
        bool(task.inputs_on_device),
    )  # fmt: skip


def work(
    flops: float | None, input_bytes: float | None, parameters: float | None, batch_size: float | None,
    kernels: float | None, framework: str | None, inputs_on_device: bool,
) -> Work:  # fmt: skip
    """The work of a step by its quantities; None or 0 = unknown."""
    flops, input_bytes, parameters, batch_size, kernels = [
        min(float(value), LARGEST) if value else None for value in (flops, input_bytes, parameters, batch_size, kernels)
    ]
    read = input_bytes or _guessed_input(flops or 0.0, batch_size or 1.0, framework in TREES)
    elements = max(read / BYTES_AN_ELEMENT, 1.0)
    flops = flops or UNKNOWN_FLOPS_AN_ELEMENT * elements
    known = parameters or _guessed_parameters(flops, flops / elements)
    kind = "tree" if framework in TREES else "network" if known >= NETWORK_PARAMETERS else "array"
    fused = framework in FUSED
    passes = 1.0
    if kind == "network":
        uses = flops / (2.0 * known)
        if uses > SEQUENTIAL * elements:
            passes = uses / (batch_size or 1.0)
    middle, std = _launches(kind, known, passes, flops / elements)
    cases = []
    for point, weight in KNOWN if kernels else QUADRATURE:
        launches = kernels or max(1.0, math.exp(middle + std * point))
        items = batch_size if kind == "array" and batch_size and kernels and launches >= batch_size else 1.0
        moved = _moved(kind, flops, read, known, passes, launches / items, fused)
        cases.append(Case(weight, max(1.0, launches * TYPICAL["fused_launches"]) if fused else launches, moved))
    return Work(kind, flops, tuple(cases), None if inputs_on_device else read, framework in HOST_ONLY)


def _guessed_input(flops: float, batch_size: float, trees: bool) -> float:
    """Bytes of an input that a spec does not tell: between none at all and an element for each FLOP."""
    return BYTES_AN_ELEMENT * max(batch_size, batch_size * TREE_COLUMNS if trees else math.sqrt(flops))


def _guessed_parameters(flops: float, flops_an_element: float) -> float:
    """Parameters of work that does not tell them: none, unless it does more FLOPs an element than array code does."""
    if flops_an_element < NETWORK_FLOPS_AN_ELEMENT:
        return 0.0
    return min(12.0 * flops_an_element, 100.0 * math.sqrt(flops))


def _launches(kind: str, parameters: float, passes: float, flops_an_element: float) -> tuple[float, float]:
    """Mean and standard deviation of the logarithm of a step's launches."""
    if kind == "network":
        return math.log(TYPICAL["network_launches"] * passes), LAUNCHES_STD["network"]
    if kind == "tree":
        return math.log(max(1.0, TYPICAL["tree_launches"] * (parameters or 3e5))), LAUNCHES_STD["tree"]
    each = math.log(max(flops_an_element, 1.0))
    return TYPICAL["array_launches"] * each, LAUNCHES_STD["array"] * each


def _moved(
    kind: str, flops: float, read: float, parameters: float, passes: float, launches: float, fused: bool
) -> float:
    if kind == "network":
        width = math.sqrt(parameters * passes / launches)  # of a layer: so often is each element used
        return read + BYTES_AN_ELEMENT * parameters * passes + flops / max(1.0, TYPICAL["layer_intensity"] * width)
    if kind == "tree":
        return read
    return 2.0 * read * max(1.0, launches * (TYPICAL["fused_bytes"] if fused else 1.0))


class Rates(NamedTuple):
    """Seconds that a device takes for one of each, for one kind of work."""

    flop_s: float
    byte_s: float
    launch_s: float
    call_s: float
    copy_byte_s: float
    copy_s: float
    compute_std: float
    memory_std: float


class NodeRates(NamedTuple):
    """The rates of a node's CPU and of its GPU, by kind of work."""

    network: tuple[Rates, Rates]
    tree: tuple[Rates, Rates]
    array: tuple[Rates, Rates]


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
    cpu_launch = {"network": of["cpu_layer_s"] * slower, "tree": of["cpu_launch_s"], "array": of["cpu_launch_s"]}
    gpu_launch = {"network": of["gpu_layer_s"], "tree": of["gpu_launch_s"], "array": of["gpu_launch_s"]}
    found = {}
    for kind in KINDS:
        compute_std = TREE_STD if kind == "tree" else COMPUTE_STD
        tree, array = "tree_" * (kind == "tree"), "array_" * (kind == "array")
        found[kind] = (
            Rates(cpu_flop * of[f"cpu_{tree}compute"], cpu_byte * of[f"cpu_{array}memory"], cpu_launch[kind],
                  of["cpu_call_s"], 0.0, 0.0, compute_std, MEMORY_STD),
            Rates(gpu_flop * of[f"gpu_{tree}compute"], gpu_byte * of["gpu_memory"], gpu_launch[kind],
                  of["gpu_call_s"], 1.0 / of["bus"], of["copy_s"], compute_std, MEMORY_STD),
        )  # fmt: skip
    return NodeRates(**found)


def gpu_busy(task: TaskSpec, node: NodeSpec) -> float | None:
    """Share of a task's time on a node's GPU in which kernels run there; None where nothing tells its work."""
    work = work_of(task)
    if work is None or work.host_only:
        return None
    gpu = rates_of(node, 1.0)[KINDS[work.kind]][1]
    copying = 0.0 if work.copied is None else work.copied * gpu.copy_byte_s + gpu.copy_s
    busy = 0.0
    for weight, launches, moved in work.cases:
        compute, memory, launch = parts(work.flops, moved, launches, gpu.flop_s, gpu.byte_s, gpu.launch_s, gpu.call_s)
        busy += weight * (compute + memory + LAUNCH_BUSY * launch) / (compute + memory + launch + copying)
    return busy


class Roofline(NamedTuple):
    """Natural logarithms of a step on both devices: seconds of the CPU, the speed-up, and the speed-up's std."""

    log_cpu: float
    log_speedup: float
    std: float


def roofline(task: Work, node: NodeRates) -> Roofline:
    """The seconds of a step by the roofline, integrated over the cases of the work.

    `parts` is written out: a new size takes it a dozen times, and a call costs as much as the sum.
    """
    kind, flops, cases, copied, host_only = task
    cpu, gpu = node[KINDS[kind]]
    flop_s, byte_s, launch_s, call_s, _, _, compute_std, memory_std = cpu
    gpu_flop_s, gpu_byte_s, gpu_launch_s, gpu_call_s, copy_byte_s, copy_s, _, _ = gpu
    compute, gpu_compute = flops * flop_s, flops * gpu_flop_s
    copying = 0.0 if copied is None else copied * copy_byte_s + copy_s
    # Of the variance the sums over the cases are made here, each still without the variance of its coefficient.
    log_cpu = mean = square = of_one = on_one = of_memory = on_memory = of_launches = 0.0
    for weight, launches, moved in cases:
        memory, launch = moved * byte_s, launches * launch_s + call_s
        seconds = compute + memory + launch
        log_seconds = log(seconds)
        log_cpu += weight * log_seconds
        if host_only:
            continue
        gpu_memory, gpu_launch = moved * gpu_byte_s, launches * gpu_launch_s + gpu_call_s
        gpu_seconds = gpu_compute + gpu_memory + gpu_launch + copying
        speedup = log_seconds - log(gpu_seconds)
        weighted = weight * speedup
        mean += weighted
        square += weighted * speedup
        launch /= seconds
        gpu_launch /= gpu_seconds
        of_launches += weight * (launch * launch + gpu_launch * gpu_launch - SHARED_LAUNCH * launch * gpu_launch)
        share, gpu_share = weight / (seconds * seconds), weight / (gpu_seconds * gpu_seconds)
        of_one += share
        on_one += gpu_share
        of_memory += share * memory * memory
        on_memory += gpu_share * gpu_memory * gpu_memory
    if host_only:
        return Roofline(log_cpu, 0.0, HOST_ONLY_STD)
    variance = (
        compute_std * compute_std * (compute * compute * of_one + gpu_compute * gpu_compute * on_one)
        + memory_std * memory_std * (of_memory + on_memory)
        + LAUNCH_VARIANCE * of_launches + COPY_VARIANCE * copying * copying * on_one + LEVEL_VARIANCE
    )  # fmt: skip
    return Roofline(log_cpu, mean, sqrt(variance + max(0.0, square - mean * mean)))
