"""Boosted regression trees as plain data (see `placement.prediction.tree_ensemble`), fitted by scikit-learn's histogram
gradient boosting.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import accumulate
from typing import Any

import numpy as np

from placement.prediction.tree_ensemble import Forest, Tree


def forest_of_sums(inputs: int, sums: Sequence[tuple[list[Tree], float]]) -> Forest:
    """Sums of trees, each with the constant that it is added to."""
    ends = tuple(accumulate(len(trees) for trees, _ in sums))
    return Forest(inputs, tuple(tree for trees, _ in sums for tree in trees), ends, tuple(base for _, base in sums))


def boosted(
    inputs: np.ndarray, target: np.ndarray, options: dict[str, Any], weights: np.ndarray | None = None
) -> tuple[list[Tree], float]:
    """The trees, and the constant that they are added to. weights: of the rows; None = 1 each."""
    model = regressor(options).fit(inputs, target, sample_weight=weights)
    return [_tree(each[0].nodes) for each in model._predictors], float(np.ravel(model._baseline_prediction)[0])


def regressor(options: dict[str, Any]) -> Any:
    """scikit-learn's trees with these options, unfitted."""
    from sklearn.ensemble import HistGradientBoostingRegressor

    return HistGradientBoostingRegressor(random_state=0, early_stopping=False, **options)


def _tree(nodes: Any) -> Tree:
    """scikit-learn's nodes as a Tree: leaves are numbered as they are met, left part first."""
    splits: list[tuple[int, float, int, int]] = []
    values: list[float] = []

    def walk(at: int) -> None:
        node = nodes[at]
        if node["is_leaf"]:
            values.append(float(f"{node['value']:.7g}"))
            return
        first = len(values)
        walk(int(node["left"]))
        splits.append((int(node["feature_idx"]), float(node["num_threshold"]), first, len(values)))
        walk(int(node["right"]))

    walk(0)
    return Tree(tuple(splits), tuple(values))
