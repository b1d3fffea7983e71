"""The work of one step of a task, as the roofline takes it: FLOPs, bytes moved, launches, bytes copied to a GPU.

The parts that a spec does not tell (launches, bytes between launches) are integrated over: `Work.cases` are the points
of a quadrature.
"""

from __future__ import annotations

import math
from typing import NamedTuple

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
UNKNOWN_FLOPS_AN_ELEMENT = 100.0

LAYER_INTENSITY = 0.1  # FLOPs of a network a byte that its layers pass on, for a width of sqrt(parameters)
FUSED_LAUNCHES, FUSED_BYTES = 0.25, 0.7  # of an eager framework's
NETWORK_LAUNCHES = 150.0
SMALL_LAYER = 32768.0
"""FLOPs of a layer that a CPU runs on one thread: PyTorch parts no operation of fewer elements (its GRAIN_SIZE)."""
TREE_LAUNCHES = 0.022  # of a node of boosted trees
ARRAY_LAUNCHES = 0.65  # exponent of the FLOPs an element, of an operation whose launches are not told
LAUNCHES_STD = {"network": 0.7, "tree": 0.7, "array": 0.35}
"""Standard deviations of the logarithm of launches that are not told; of "array" for an e-fold of FLOPs an element."""
QUADRATURE = ((-math.sqrt(3.0), 1 / 6), (0.0, 2 / 3), (math.sqrt(3.0), 1 / 6))
"""Points and weights of Gauss and Hermite for a standard normal variable."""
KNOWN = ((0.0, 1.0),)


class Case(NamedTuple):
    """One possibility of a step's work. launches; moved: bytes read and written."""

    weight: float
    launches: float
    moved: float


class Work(NamedTuple):
    """One step of a task, as the roofline takes it. kind: "network", "small_network", whose layers are not worth a
    second thread, "tree", "array", or "uncounted": array code whose FLOPs are not known, so that it may be any
    algorithm: those of products and maps are easily counted.

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
    counted = flops is not None
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
        cases.append(Case(weight, max(1.0, launches * FUSED_LAUNCHES) if fused else launches, moved))
    if kind == "array" and not counted:
        kind = "uncounted"
    if kind == "network" and flops < SMALL_LAYER * (kernels or math.exp(middle)):
        kind = "small_network"
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
        return math.log(NETWORK_LAUNCHES * passes), LAUNCHES_STD["network"]
    if kind == "tree":
        return math.log(max(1.0, TREE_LAUNCHES * (parameters or 3e5))), LAUNCHES_STD["tree"]
    each = math.log(max(flops_an_element, 1.0))
    return ARRAY_LAUNCHES * each, LAUNCHES_STD["array"] * each


def _moved(
    kind: str, flops: float, read: float, parameters: float, passes: float, launches: float, fused: bool
) -> float:
    if kind == "network":
        width = math.sqrt(parameters * passes / launches)  # of a layer: so often is each element used
        return read + BYTES_AN_ELEMENT * parameters * passes + flops / max(1.0, LAYER_INTENSITY * width)
    if kind == "tree":
        return read
    return 2.0 * read * max(1.0, launches * (FUSED_BYTES if fused else 1.0))
