"""XGBoost on Iris: one step is a whole fit, or a whole prediction."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from placement.spec.task import TaskSpec
from workloads.base import Batch, Outcome, Preset, require
from workloads.datasets import iris

if TYPE_CHECKING:
    import numpy as np

BINS = 256


@dataclass(frozen=True, kw_only=True)
class TabularPreset(Preset):
    """A size of table and forest.

    rows: of the table; 150 are Iris itself, more are sampled with noise.  trees: boosting rounds.  depth: of a tree.
    """

    family = "tabular"
    framework = "xgboost"
    dataset = "iris"
    workload = "xgboost_iris"
    sizes = "xgboost_{preset.kind}_r{preset.rows}_t{preset.trees}_d{preset.depth}"

    rows: int
    trees: int
    depth: int

    def prepare(self, data_root: str | Path) -> Batch:  # noqa: ARG002
        """Arrays: `table` FP32 (rows, 4), `labels` int64 (rows,). Nothing is read from the data root."""
        table, labels, synthetic = iris.sample(self.rows)
        return Batch(self.dataset, synthetic, {"table": table, "labels": labels})

    def run(self, batch: Batch, device: str, steps: int = 1) -> Outcome:
        """Whole fits, or whole predictions."""
        step = train_step if self.kind == "train" else infer
        return step(batch, device, steps, trees=self.trees, depth=self.depth)

    def one_step(self) -> TaskSpec:
        """From `placement.describe`'s formula."""
        from placement import describe

        return describe.of_xgboost(
            self.rows,
            iris.COLUMNS,
            trees=self.trees,
            depth=self.depth,
            bins=BINS,
            classes=iris.CLASSES,
            train=self.kind == "train",
        )


def parameters(depth: int, device: str) -> dict[str, Any]:
    """XGBoost's parameters. Threads are not among them: they follow OMP_NUM_THREADS, which is the caller's."""
    return {
        "objective": "multi:softprob",
        "num_class": iris.CLASSES,
        "tree_method": "hist",
        "max_bin": BINS,
        "max_depth": depth,
        "device": device,
        "verbosity": 0,
        # XGBoost asks CUDA's driver as it makes a multi-class metric, and fails where that shows it no GPU (3.2, 3.4).
        "disable_default_eval_metric": True,
    }


def train_step(batch: Batch, device: str, steps: int = 1, *, trees: int, depth: int) -> Outcome:
    """`steps` fits of `trees` rounds from the table, binning included. value: the last fit's log loss on its rows."""
    import numpy as np
    import xgboost

    require(device, "cpu", "cuda")
    labels, loss = batch.arrays["labels"], math.nan
    for _ in range(steps):
        data = xgboost.QuantileDMatrix(batch.arrays["table"], labels, max_bin=BINS)
        booster = xgboost.train(parameters(depth, device), data, num_boost_round=trees)
        loss = -float(np.log(booster.predict(data)[np.arange(len(labels)), labels]).mean())
    return Outcome(loss, steps * len(labels), transferred(device))


def infer(batch: Batch, device: str, steps: int = 1, *, trees: int, depth: int) -> Outcome:
    """`steps` predictions of all rows by a booster fitted once on Iris. value: the first class's mean probability."""
    import xgboost

    require(device, "cpu", "cuda")
    booster = fitted(trees, depth)
    booster.set_param({"device": device})
    predicted: np.ndarray | None = None
    for _ in range(steps):
        predicted = booster.predict(xgboost.DMatrix(batch.arrays["table"]))
    return Outcome(float(predicted[:, 0].mean()), steps * len(predicted), transferred(device))  # type: ignore[index, arg-type]


def transferred(device: str) -> float | None:
    """XGBoost copies inside its own calls: the seconds are known only where there are none."""
    return 0.0 if device == "cpu" else None


@lru_cache(maxsize=8)
def fitted(trees: int, depth: int) -> Any:
    """A booster fitted on Iris, kept per process."""
    import xgboost

    table, labels = iris.iris()
    return xgboost.train(parameters(depth, "cpu"), xgboost.DMatrix(table, labels), num_boost_round=trees)
