"""The cost of gradient-boosted trees by histograms, from a formula: there is no trace to take."""

from __future__ import annotations

from placement.errors import SpecError
from placement.spec.task import Operation, TaskSpec

GRADIENT_BYTES = 8
"""A row's gradient and hessian, two FP32."""
HISTOGRAM_BYTES = 16
"""A bin's gradient and hessian sums, two FP64."""
SPLIT_FLOPS = 12
"""Per bin and node: two running sums, two gains G^2/(H + lambda) of 3 each, a comparison, two subtractions."""
LAUNCHES_PER_LEVEL = 6
"""Histogram, subtraction, split search, its reduction, row positions, node update: an estimate."""
LAUNCHES_PER_TREE = 8
"""Gradients, sampling, root sums, leaf weights, predictions: an estimate."""
LAUNCHES_ONCE = 20
"""Quantile sketch and binning: an estimate."""


def of_xgboost(
    rows: int,
    columns: int,
    *,
    trees: int,
    depth: int,
    bins: int = 256,
    classes: int = 1,
    train: bool = True,
    steps: int = 1,
) -> TaskSpec:
    """A fit (train=True) or a prediction of `trees` rounds on a dense table; one step is the whole of it.

    classes: 1 for regression and binary targets; with 3 or more, every round grows one tree for each class.

    A fit costs, for each tree and level, one pass over all rows and columns that adds each row's gradient and
    hessian to a bin (2 additions, halved below the root: one sibling is the parent less the other), and a scan of
    every node's bins for the best split (SPLIT_FLOPS each). That is O(rows x columns) for the histograms and
    O(bins x columns) a node for the splits: Ke et al., LightGBM (NeurIPS 2017), Algorithm 1 and section 2.1; the
    gain is Eq. 7 of Chen and Guestrin, XGBoost (KDD 2016). A prediction is one comparison for each row, tree and
    level. FLOPs are additions and comparisons; the work is bound by scattered memory access, so time follows bytes.

    batch_size: rows.  parameters: nodes of all trees.  input_bytes: an FP32 table.  memory_bytes: the table, its
    bins (one byte each up to 256), gradients, predictions, and the histograms of two levels.
    Raises SpecError on sizes that are not positive.
    """
    sizes = {"rows": rows, "columns": columns, "trees": trees, "depth": depth, "bins": bins, "classes": classes}
    faults = [f"{name}={value!r}" for name, value in sizes.items() if not is_count(value)]
    if faults:
        raise SpecError(f"of_xgboost: {', '.join(faults)} must be whole numbers of at least 1.")
    grown = trees * (classes if classes > 2 else 1)
    # A level cannot have more nodes with work to do than there are rows.
    level_nodes = [min(2**level, rows) for level in range(depth)]
    operation = fit_cost(rows, columns, grown, level_nodes, bins) if train else predict_cost(rows, grown, depth)
    table, outputs = 4.0 * rows * columns, 4.0 * rows * classes
    bin_bytes = (1 if bins <= 256 else 2) * rows * columns
    histograms = HISTOGRAM_BYTES * columns * bins * 1.5 * level_nodes[-1]
    training_bytes = bin_bytes + GRADIENT_BYTES * rows * classes + histograms
    # Sketching and binning (or reading) the table once is a streaming pass, unlike the trees' scattered access.
    reading = Operation("memory", 0.0, 2 * table + (bin_bytes if train else 0), LAUNCHES_ONCE if train else 1)
    return TaskSpec(
        flops=operation.flops,
        input_bytes=table,
        batch_size=rows,
        parameters=grown * (2 * sum(level_nodes) + 1),
        steps=steps,
        memory_bytes=table + outputs + (training_bytes if train else 0),
        kernels=operation.launches + reading.launches,
        framework="xgboost",
        kind="train" if train else "infer",
        operations=(operation, reading),
    )


def fit_cost(rows: int, columns: int, trees: int, level_nodes: list[int], bins: int) -> Operation:
    """The histograms and split searches of a fit."""
    passes = 1 + (len(level_nodes) - 1) / 2  # below the root only the smaller sibling is built
    scanned = sum(level_nodes) * columns * bins
    flops = trees * (2.0 * rows * columns * passes + SPLIT_FLOPS * scanned)
    # Each pass reads a bin and reads and writes its sums; the scan reads them once more.
    access = (1 if bins <= 256 else 2) + 2 * HISTOGRAM_BYTES
    moved = trees * (access * rows * columns * passes + GRADIENT_BYTES * rows * passes + HISTOGRAM_BYTES * scanned)
    return Operation("tree", flops, moved, trees * (LAUNCHES_PER_LEVEL * len(level_nodes) + LAUNCHES_PER_TREE))


def predict_cost(rows: int, trees: int, depth: int) -> Operation:
    """Each row walks down each tree: a node (16 B) and a feature (4 B) read a level, one sum written a tree."""
    return Operation("tree", float(rows * trees * depth), float(rows * trees * (20 * depth + 8)), 2)


def is_count(value: object) -> bool:
    """A whole number of at least 1."""
    return isinstance(value, int) and not isinstance(value, bool) and value >= 1
