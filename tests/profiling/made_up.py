"""A small log of made-up times, and a selector made by hand: what the tests of figures and pages stand on."""

from __future__ import annotations

import json
import math
import random
from itertools import pairwise
from pathlib import Path

import numpy as np

from placement.log import TaskRecord
from placement.prediction.mlp import LAYERS, Classifier
from placement.spec.node import paper_configs

# workload, FLOPs of a step at batch 1, parameters, bytes of a sample
NETWORKS = (
    ("bert_imdb", 2.2e10, 109_000_000, 1_024),
    ("resnet18_imagenet100", 3.6e9, 11_200_000, 602_112),
    ("mobilenet_imagenet100", 1.2e8, 1_500_000, 602_112),
    ("timesformer_k400", 3.9e11, 121_000_000, 4_816_896),
    ("xgb_iris", 2e5, 3_000, 16),
)


def made_up_rows() -> list[TaskRecord]:
    """Pairs over A-D with both answers, some over their budget, some without energy; and production rows."""
    chance = random.Random(0)
    rows = []
    for config, node in paper_configs().items():
        for workload, flops, parameters, sample_bytes in NETWORKS:
            for batch in (1, 4, 16, 64):
                work = flops * batch
                common = {
                    "run_id": "made-up", "source": "sweep", "function": f"workloads.{workload}", "workload": workload,
                    "preset": f"{workload}-b{batch}", "kind": "train", "framework": "torch", "config": config,
                    "emulated": True, "cpus": 4.0, "steps": 1, "flops": work, "batch_size": batch,
                    "parameters": parameters, "input_bytes": float(sample_bytes * batch), "synthetic": True,
                    "cpu_gflops": node.cpu_gflops, "gpu_gflops": node.gpu_gflops, "gpu_memory_gb": node.gpu_memory_gb,
                    "ram_gb": node.ram_gb, "cpu_tdp_w": node.cpu_tdp_w, "gpu_tdp_w": node.gpu_tdp_w,
                    "cpu_name": node.cpu_name, "gpu_name": node.gpu_name, "time_provenance": "emulated",
                }  # fmt: skip
                cpu_s = 2e-4 + work / (node.cpu_gflops * 5e8) * chance.uniform(0.8, 1.2)
                gpu_s = 6e-3 + work / (node.gpu_gflops * 3e8) * chance.uniform(0.8, 1.2)
                lost = workload == "xgb_iris" and batch == 64
                censored = workload == "timesformer_k400" and batch == 64
                watts = {"cpu_watts": node.cpu_tdp_w * 0.6, "energy_provenance": None if lost else "emulated"}
                rows.append(TaskRecord(device="cpu", compute_s=cpu_s, censored=censored, **common, **watts))
                gpu_watts = None if lost else node.gpu_tdp_w * 0.5
                rows.append(TaskRecord(device="gpu", gpus=1.0, compute_s=gpu_s, gpu_watts=gpu_watts, **common, **watts))
    return rows + made_up_production()


def made_up_production() -> list[TaskRecord]:
    """Tasks that went somewhere, one of which fell back and one of which failed."""
    where = {"resnet18": ("gpu", "D", "gpu_worth_it"), "xgboost": ("cpu", "A", "gpu_not_worth_it"),
             "tokenise": ("cpu", "B", None)}  # fmt: skip
    rows = [
        TaskRecord(run_id="p", source="production", function=f"demo.{name}", workload=name, config=config,
                   device=device, emulated=True, time_provenance="emulated", compute_s=0.1, reason=reason,
                   kind=None if name == "tokenise" else "infer")
        for name, (device, config, reason) in where.items()
        for _ in range(12)
    ]  # fmt: skip
    common = {"run_id": "p", "source": "production", "function": "demo.resnet18", "workload": "resnet18", "config": "A",
              "device": "cpu", "time_provenance": "emulated", "compute_s": 0.2, "reason": "gpu_worth_it"}  # fmt: skip
    return [*rows, TaskRecord(fallback="cuda_out_of_memory", **common), TaskRecord(error="ValueError: no", **common)]


def write_flops_selector(folder: Path) -> Path:
    """A selector that looks at FLOPs alone: GPU above 1e10."""
    weights = [np.zeros((a, b)) for a, b in pairwise(LAYERS)]
    weights[0][5, :2] = (1.0, -1.0)  # flops is the sixth feature
    weights[1][0, 0] = weights[1][1, 1] = 1.0
    weights[2][:2, 0] = (1.5, -1.5)
    mean = np.zeros(LAYERS[0])
    mean[5] = math.log1p(1e10)
    selector = Classifier(
        "flops-only", tuple(weights), tuple(np.zeros(n) for n in LAYERS[1:]), mean, np.ones(LAYERS[0]),
        np.full(LAYERS[0], -100.0), np.full(LAYERS[0], 100.0),
    )  # fmt: skip
    path = folder / "selector.json"
    path.write_text(json.dumps(selector.to_dict()))
    return path
