"""A stage of Ray Data whose large batches overflow a real GPU: a CPU runs those, smaller ones fit, no row is lost."""

from __future__ import annotations

import time
from typing import Any

import numpy as np
import ray
from gpu_step import ray_with_gpu, report

import placement
from placement import TaskSpec, current_device

ROWS, BATCH = 400, 20
CPU_S = 0.3
"""Of a batch on a CPU, so that some are left once the GPU's worker has been there."""
FIT = 8
"""Rows whose tensor the GPU's memory holds with room to spare; of twice as many it does not."""


class Hungry:
    """Takes memory by the row where it runs on a GPU."""

    def __call__(self, batch: dict[str, Any]) -> dict[str, Any]:
        import torch

        device, rows = current_device(), len(batch["id"])
        if device != "cpu":
            total = torch.cuda.get_device_properties(0).total_memory
            held = torch.empty(int(0.6 * total / FIT) * rows, dtype=torch.uint8, device=device)
            del held
            torch.cuda.empty_cache()
        else:
            time.sleep(CPU_S)
        return {"id": batch["id"], "gpu": np.full(rows, device != "cpu"), "rows": np.full(rows, rows)}


def main() -> None:
    """Which rows came back, from where, in batches of what size."""
    with ray_with_gpu(cpus=4):
        rows = ray.data.range(ROWS, override_num_blocks=ROWS // BATCH)
        stage = placement.map_batches(rows, Hungry, spec=TaskSpec(), batch_size=BATCH, concurrency=1)
        found = stage.take_all()
        told = stage.stats().rpartition("Placed stage")[2]
    on_gpu = sorted({int(row["rows"]) for row in found if row["gpu"]})
    report(
        {
            "gpu_rows": sum(bool(row["gpu"]) for row in found),
            "rows": len(found),
            "gpu_batches_of": on_gpu,
            "stats": told,
        },
        every_row_came_once=sorted(int(row["id"]) for row in found) == list(range(ROWS)),
        the_gpu_ran_smaller_batches=bool(on_gpu) and max(on_gpu) < 2 * FIT,
        a_cpu_ran_what_did_not_fit=any(not row["gpu"] for row in found),
    )


if __name__ == "__main__":
    main()
