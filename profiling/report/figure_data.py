"""The data of the plots, computed from a log as plain tables.

gpu_share          Fig. 1: the share of the pairs of each config whose answer is the GPU
curves             Fig. 3-5: precision and recall, calibration, ROC of P(GPU) against the labels
threshold_points   speed-up and energy ratio of every pair
placed             placements: the production rows by function
provenance         how many rows of a figure were measured, emulated or estimated
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from placement.prediction.selector import Selector
from placement.spec.features import FEATURES
from placement.spec.node import NodeSpec
from placement.spec.task import TaskSpec
from placement.spec.task_record import PROVENANCES

if TYPE_CHECKING:
    import pandas as pd
    import pyarrow as pa

    from profiling.evaluation.evaluate import Evaluation

CALIBRATION_BINS = 10
FUNCTION_OF_NOTHING = "(no name)"
ORDINARY = "ordinary task, not placed"

# Table 5 of the paper, by our names of the policies; None: the paper gives a dash.
PAPER_POLICIES: dict[str, dict[str, float | None]] = {
    "cpu_only": {"throughput": 1.00, "energy_efficiency": 1.30, "selection_accuracy": None, "gpu_reduction": 1.00},
    "gpu_only": {"throughput": 1.60, "energy_efficiency": 1.00, "selection_accuracy": None, "gpu_reduction": 0.00},
    "random": {"throughput": 1.25, "energy_efficiency": 1.15, "selection_accuracy": 0.50, "gpu_reduction": 0.50},
    "flops_rule": {"throughput": 1.35, "energy_efficiency": 1.20, "selection_accuracy": 0.75, "gpu_reduction": 0.45},
    "selector": {"throughput": 1.45, "energy_efficiency": 1.25, "selection_accuracy": 0.95, "gpu_reduction": 0.65},
}

PAPER_LEAST = frozenset({("selector", "selection_accuracy")})
"""Figures of Table 5 for which the paper gives a lower bound."""

SPLIT_TITLES = {"random": "random split", "config": "unseen config", "workload": "unseen workload"}
"""Titles of the splits of `profiling.evaluation.evaluate`."""


def gpu_share(pairs: pd.DataFrame, p_gpu: Any | None = None) -> pd.DataFrame:
    """Fig. 1: a row for each config, the weakest GPU first.

    pairs: of `profiling.dataset.pairs.labelled`.  p_gpu: P(GPU) of each pair by a selector, NaN where it has none.
    Columns: config, gpu_name, gpu_gflops, pairs, rule (share labelled GPU, 0-1), selector (share it would send to the
    GPU, of the pairs that it predicts; NaN without p_gpu).
    """
    import pandas as pd

    frame = pairs.assign(p_gpu=np.nan if p_gpu is None else np.asarray(p_gpu, dtype=float))
    rows = []
    for config, group in frame.groupby("config", dropna=False):
        said = group["p_gpu"].dropna()
        rows.append(
            {
                "config": str(config),
                "gpu_name": next((name for name in group["gpu_name"] if isinstance(name, str)), None),
                "gpu_gflops": float(group["gpu_gflops"].astype(float).mean()),
                "pairs": len(group),
                "rule": float((group["label"] == "gpu").mean()),
                "selector": float((said >= 0.5).mean()) if len(said) else math.nan,
            }
        )
    names = ["config", "gpu_name", "gpu_gflops", "pairs", "rule", "selector"]
    return pd.DataFrame(rows, columns=names).sort_values(["gpu_gflops", "config"]).reset_index(drop=True)


def trend(share: pd.DataFrame) -> str:
    """A sentence on the trend of the rule's share from the weakest GPU to the strongest."""
    values = list(share["rule"])
    if len(values) < 2:
        return "here there is one config only"
    if values == sorted(values) and values[0] < values[-1]:
        return "here it rises too"
    if values == sorted(values, reverse=True) and values[0] > values[-1]:
        return "here it falls instead"
    return "here it does not rise from each config to the next"


def probabilities(selector: Selector, pairs: pd.DataFrame) -> np.ndarray:
    """P(GPU) by a selector for each pair, shape (n,); NaN where it has none (an unknown feature)."""
    return np.array([_probability(selector, pair) for pair in pairs.to_dict("records")], dtype=float)


def _probability(selector: Selector, pair: Mapping[str, Any]) -> float:
    known = {name: _known(pair.get(name)) for name in FEATURES}
    task = TaskSpec(
        flops=known["flops"],
        input_bytes=known["input_bytes"],
        batch_size=None if known["batch_size"] is None else int(known["batch_size"]),
        parameters=None if known["parameters"] is None else int(known["parameters"]),
        steps=int(_known(pair.get("steps")) or 1),
        kernels=None if _known(pair.get("kernels")) is None else int(pair["kernels"]),
        framework=pair.get("framework") if isinstance(pair.get("framework"), str) else None,
    )
    # A pair's cpu_gflops are those of the CPUs granted already: a node that has them all on one CPU.
    node = NodeSpec(
        config=str(pair.get("config")),
        cpus=1,
        gpus=1,
        cpu_gflops=known["cpu_gflops"],
        gpu_gflops=known["gpu_gflops"],
        gpu_memory_gb=known["gpu_memory_gb"],
        cpu_tdp_w=known["cpu_tdp_w"],
        gpu_tdp_w=known["gpu_tdp_w"],
    )
    estimate = selector.estimate(task, node, 1.0)
    return math.nan if estimate is None else estimate.p_gpu


def _known(value: Any) -> float | None:
    return None if value is None or (isinstance(value, float) and math.isnan(value)) else float(value)


@dataclass(frozen=True, slots=True)
class Curves:
    """Fig. 3-5 of one set of predictions. All arrays hold shares, 0-1.

    recall, precision, average_precision: Fig. 3.  base_rate: the share of GPU labels, a coin's precision.
    predicted, observed, counts: Fig. 4, one entry for each bin of P(GPU) that has predictions.
    false_positive, true_positive, auc: Fig. 5.
    """

    recall: np.ndarray
    precision: np.ndarray
    average_precision: float
    base_rate: float
    predicted: np.ndarray
    observed: np.ndarray
    counts: np.ndarray
    false_positive: np.ndarray
    true_positive: np.ndarray
    auc: float
    count: int


def curves(is_gpu: Any, p_gpu: Any) -> Curves | None:
    """The curves of predictions (n,) against labels (n,), both classes needed; None where there is one class only."""
    from sklearn import metrics

    truth, p = np.asarray(is_gpu, dtype=bool), np.asarray(p_gpu, dtype=float)
    said = ~np.isnan(p)
    truth, p = truth[said], p[said]
    if truth.all() or not truth.any():
        return None
    precision, recall, _ = metrics.precision_recall_curve(truth, p)
    false_positive, true_positive, _ = metrics.roc_curve(truth, p)
    predicted, observed, counts = calibration(truth, p)
    return Curves(
        recall, precision, float(metrics.average_precision_score(truth, p)), float(truth.mean()),
        predicted, observed, counts,
        false_positive, true_positive, float(metrics.auc(false_positive, true_positive)), len(truth),
    )  # fmt: skip


def held_out_curves(evaluation: Evaluation) -> dict[str, Curves]:
    """The curves of each split of an evaluation, by its title; those of one class only are left out."""
    is_gpu = (evaluation.frame["label"] == "gpu").to_numpy()
    found = {name: curves(is_gpu, p_gpu) for name, p_gpu in evaluation.held_out.items()}
    return {SPLIT_TITLES.get(name, name): curve for name, curve in found.items() if curve is not None}


def calibration(truth: np.ndarray, p: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """(mean P(GPU), share of GPU labels, count) of each tenth of the probability scale that has predictions."""
    which = np.minimum((p * CALIBRATION_BINS).astype(int), CALIBRATION_BINS - 1)
    counts = np.bincount(which, minlength=CALIBRATION_BINS)
    filled = counts > 0
    predicted = np.bincount(which, weights=p, minlength=CALIBRATION_BINS)[filled] / counts[filled]
    observed = np.bincount(which, weights=truth, minlength=CALIBRATION_BINS)[filled] / counts[filled]
    return predicted, observed, counts[filled]


def threshold_points(pairs: pd.DataFrame) -> pd.DataFrame:
    """Each pair that finished on both devices: workload, config, speedup, energy_ratio (NaN unknown), label."""
    names = ["workload", "config", "speedup", "energy_ratio", "label"]
    points = pairs[names].astype({"speedup": float, "energy_ratio": float})
    finished = np.isfinite(points["speedup"]) & (points["speedup"] > 0)
    return points[finished].reset_index(drop=True)


def placed(table: pa.Table) -> pd.DataFrame:
    """Placements: a row for each workload of the production rows, most tasks first.

    Columns: workload, kind ("" where no row has it), cpu, gpu (counts of tasks by the device they ran on), configs
    ("A 3, D 20"), reason (the commonest, with its count), fallbacks, errors.
    """
    import pandas as pd
    import pyarrow.compute as pc

    rows = table.filter(pc.field("source") == "production").to_pylist()
    groups: dict[str, list[dict[str, Any]]] = {}
    for row in rows:
        groups.setdefault(row["workload"] or row["function"] or FUNCTION_OF_NOTHING, []).append(row)
    names = ["workload", "kind", "cpu", "gpu", "configs", "reason", "fallbacks", "errors"]
    frame = pd.DataFrame([_placed(name, group) for name, group in groups.items()], columns=names)
    order = frame.assign(total=frame["cpu"] + frame["gpu"]).sort_values(["total", "workload"], ascending=[False, True])
    return frame.loc[order.index].reset_index(drop=True)


def _placed(workload: str, rows: list[dict[str, Any]]) -> dict[str, Any]:
    devices = Counter(row["device"] for row in rows)
    configs = Counter(row["config"] or "?" for row in rows)
    reason, count = Counter(row["reason"] or ORDINARY for row in rows).most_common(1)[0]
    return {
        "workload": workload,
        "kind": next((row["kind"] for row in rows if row["kind"]), ""),
        "cpu": devices["cpu"],
        "gpu": devices["gpu"],
        "configs": ", ".join(f"{config} {number}" for config, number in sorted(configs.items())),
        "reason": reason if count == len(rows) else f"{reason} ({count} of {len(rows)})",
        "fallbacks": sum(row["fallback"] is not None for row in rows),
        "errors": sum(row["error"] is not None for row in rows),
    }


def provenance(*columns: Iterable[Any]) -> dict[str, int]:
    """Number of values of each provenance, best first, unknown last; provenances without values are left out."""
    counts: Counter[str] = Counter()
    for column in columns:
        counts.update(value if value in PROVENANCES else "unknown" for value in column)
    return {name: counts[name] for name in (*PROVENANCES, "unknown") if counts[name]}
