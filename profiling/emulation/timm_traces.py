"""The operations of the timm models whose throughput others have measured: profiling/data/timm_operations.parquet.

    python -m profiling.emulation.timm_traces          makes that file anew; needs `pip install timm` and
    data/timm_throughput

Each row is one model at one image size, inference or training, traced by placement.describe on a batch of TRACED_BATCH:
FLOPs, bytes and launches by kind, and the bytes of the weights among them, so that any other batch follows.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from placement.spec.task import Operation
from profiling.emulation.step_cost import KINDS

TRACED_BATCH = 2
TRACES = Path(__file__).parents[1] / "data" / "timm_operations.parquet"
WEIGHT_PASSES = {"infer": 1, "train": 3}
"""Weights are read forward and backward, and their gradients written."""
ADAM_BYTES = 28
"""Of a parameter in a traced update: see placement.describe.trace."""
ROOTS = (
    *("efficientnet", "mobilenet", "resnet", "resnext", "resnest", "regnet", "convnext", "nfnet", "densenet"),
    *("deit", "beit", "swin", "maxvit", "coat", "vit"),
)
"""Kinds of network that appear under several first names (tf_efficientnet, seresnet): one family each."""


def data_folder() -> Path:
    """The folder of measurements by others: PLACEMENT_DATA, by default ../shared/data beside the project."""
    return Path(os.environ.get("PLACEMENT_DATA") or Path(__file__).parents[3] / "shared" / "data")


def family(model: str) -> str:
    """A model's family by its name: the first of ROOTS in it (all ResNets are one family), else its first word."""
    for root in ROOTS:
        if root in model:
            return "resnet" if root.startswith("res") else root
    return re.split(r"[_\d.]", model)[0]


def measured_rows(folder: Path | None = None) -> pd.DataFrame:
    """The timm measurements that have a trace, each with its family, seconds of a step and `operations`.

    Raises FileNotFoundError where the measurements are not there.
    """
    rows = pd.read_parquet((folder or data_folder()) / "timm_throughput.parquet")
    traces = pd.read_parquet(TRACES)
    rows = rows.merge(traces, on=["model", "img_size", "mode"], how="inner")
    rows["family"] = rows.model.map(family)
    rows["seconds"] = rows.batch_size / rows.samples_per_sec
    return rows


def at_batch(rows: pd.DataFrame) -> dict[str, np.ndarray]:
    """FLOPs, bytes and launches of each row's step at its own batch size: name_kind -> array."""
    scale = (rows.batch_size / TRACED_BATCH).to_numpy()
    made = {}
    for kind in KINDS:
        weights = rows[f"weight_bytes_{kind}"].to_numpy(dtype=float)
        traced = rows[f"bytes_{kind}"].to_numpy(dtype=float)
        made[f"flops_{kind}"] = rows[f"flops_{kind}"].to_numpy(dtype=float) * scale
        made[f"bytes_{kind}"] = np.maximum(traced - weights, 0) * scale + weights
        made[f"launches_{kind}"] = rows[f"launches_{kind}"].to_numpy(dtype=float)
    return made


def trace_model(model: Any, name: str, image: int, mode: str) -> dict[str, Any]:
    """One row of the file, of a model built on the meta device."""
    from placement.describe.module import Shape
    from placement.describe.trace import trace_step

    trace = trace_step(lambda: model, [Shape((TRACED_BATCH, 3, image, image))], {}, mode == "train")
    row: dict[str, Any] = {"model": name, "img_size": image, "mode": mode, "parameters": trace.parameters}
    operations = {operation.kind: operation for operation in trace.operations}
    weights = weights_by_kind(model)
    for kind in KINDS:
        operation = operations.get(kind, Operation(kind, 0.0, 0.0, 0))
        row |= {f"{field}_{kind}": getattr(operation, field) for field in ("flops", "bytes", "launches")}
        update = ADAM_BYTES * trace.parameters if mode == "train" and kind == "memory" else 0
        row[f"weight_bytes_{kind}"] = 4 * WEIGHT_PASSES[mode] * weights[kind] + update
    return row


def weights_by_kind(model: Any) -> dict[str, int]:
    """Parameters by the kind of the operation that reads them."""
    kinds = {}
    for module in model.modules():
        weight = getattr(module, "weight", None)
        if hasattr(module, "groups") and weight is not None and weight.dim() >= 3:
            kinds[id(weight)] = "grouped_conv" if module.groups > 1 else "conv"
    counts = dict.fromkeys(KINDS, 0)
    for parameter in model.parameters():
        counts[kinds.get(id(parameter)) or ("matmul" if parameter.dim() == 2 else "memory")] += parameter.numel()
    return counts


def trace_all(folder: Path) -> Iterator[dict[str, Any]]:
    """A row for every model, image size and mode that was measured and that the timm installed can build."""
    rows = pd.read_parquet(folder / "timm_throughput.parquet").dropna(subset=["gmacs"])
    for (name, image), group in rows.groupby(["model", "img_size"]):
        for mode in sorted(set(group["mode"])):
            try:
                yield trace_model(built(name, image), name, image, mode)
            except Exception as error:  # a model that this timm no longer has, or that takes no such image
                print(json.dumps({"model": name, "img_size": int(image), "mode": mode, "skipped": str(error)[:120]}))


def built(name: str, image: int) -> Any:
    """The timm model on the meta device, built for this image size where the model takes one."""
    import timm
    import torch
    from torch.utils._python_dispatch import TorchDispatchMode

    class NoInitialisation(TorchDispatchMode):
        """Leaves weights uninitialised: on the meta device they hold nothing, and filling them is most of a model's
        building.
        """

        def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
            if func._schema.is_mutable and func._schema.name.endswith("_"):
                return args[0]
            return func(*args, **(kwargs or {}))

    with torch.device("meta"), NoInitialisation():
        try:
            return timm.create_model(name, pretrained=False, img_size=image)
        except (TypeError, RuntimeError, AssertionError, ValueError):
            return timm.create_model(name, pretrained=False)


def main() -> None:
    """Traces all models (about an hour on one core) and writes the file."""
    rows = pd.DataFrame(list(trace_all(data_folder())))
    rows.to_parquet(TRACES, compression="zstd", index=False)
    print(f"{len(rows)} traces in {TRACES}")


if __name__ == "__main__":
    main()
