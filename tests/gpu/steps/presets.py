"""`make measure` cut to the presets that tell the most: each family on both sides of the threshold, these first.

python presets.py FOLDER SECONDS        the log is FOLDER/log; called again it goes on where it stopped
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

from gpu_step import rehearsed, report
from rich.console import Console

import workloads
from profiling.cli.measure_here import sweep_into
from profiling.sweep.measure_cell import Protocol

FIRST = (
    "bert_train_b1_l16_w0.25_compute", "bert_infer_b1_l16_w0.25", "xgboost_train_r150_t100_d6",
    "xgboost_infer_r150_t20_d3", "resnet18_train_b64_s32_w0.25", "resnet18_infer_b1_s32_w0.25",
    "mobilenetv3_train_b4_s32_w0.25_compute", "mobilenetv3_infer_b1_s32_w0.25",
    "timesformer_train_b1_f1_s32_w0.25_compute", "timesformer_infer_b1_f1_s32_w0.25", "jpeg_resize_b1_s64",
    "normalise_b1_f1_s64", "bert_train_b64_l32_w0.25", "bert_infer_b8_l512_w0.25", "xgboost_train_r1000000_t20_d3",
    "xgboost_infer_r1000000_t100_d6", "resnet18_train_b64_s224_w0.25_compute", "resnet18_infer_b64_s112_w1.0",
    "mobilenetv3_train_b64_s224_w1.0_compute", "mobilenetv3_infer_b64_s224_w1.0",
    "timesformer_train_b4_f8_s112_w0.25_compute", "timesformer_infer_b16_f1_s224_w0.25", "jpeg_resize_b64_s224",
    "normalise_b8_f8_s224", "bert_train_b8_l16_w0.25", "bert_infer_b8_l16_w0.25", "xgboost_train_r1000_t20_d3",
    "xgboost_infer_r1000_t100_d6", "resnet18_train_b16_s32_w0.25_compute", "resnet18_infer_b1_s224_w0.25",
    "mobilenetv3_train_b64_s112_w0.25", "mobilenetv3_infer_b8_s64_w0.25", "timesformer_train_b4_f1_s64_w0.25_compute",
    "timesformer_infer_b1_f8_s64_w0.25", "jpeg_resize_b8_s64", "normalise_b8_f1_s64",
    "bert_train_b8_l128_w0.25_compute", "bert_infer_b4_l64_w1.0", "xgboost_train_r10000_t100_d6",
    "xgboost_infer_r10000_t100_d6", "resnet18_train_b8_s64_w1.0_compute", "resnet18_infer_b64_s112_w0.25",
    "mobilenetv3_train_b4_s64_w1.0", "mobilenetv3_infer_b64_s112_w0.25", "timesformer_train_b1_f1_s112_w1.0",
    "timesformer_infer_b16_f4_s64_w0.25", "jpeg_resize_b64_s64", "normalise_b1_f8_s224", "bert_train_b4_l64_w0.25",
    "bert_infer_b4_l64_w0.25", "resnet18_train_b8_s32_w1.0", "resnet18_infer_b8_s32_w1.0",
    "mobilenetv3_train_b8_s32_w1.0", "mobilenetv3_infer_b64_s32_w0.25", "timesformer_train_b1_f4_s112_w0.25",
    "timesformer_infer_b1_f8_s112_w0.25", "bert_train_b1_l512_w0.25_compute", "bert_infer_b1_l128_w1.0",
    "resnet18_train_b8_s112_w1.0", "resnet18_infer_b1_s224_w1.0", "mobilenetv3_infer_b64_s64_w0.25",
    "timesformer_train_b1_f1_s32_w1.0_compute", "bert_train_b8_l128_w1.0", "resnet18_train_b64_s224_w1.0",
    "mobilenetv3_train_b64_s224_w1.0", "timesformer_train_b1_f8_s224_w1.0",
)  # fmt: skip
"""By family in turns: both ends of the speed-up that the emulator tells, then between; what takes a core long, last."""
CHEAP = ("resnet18_infer_b1_s32_w1.0", "xgboost_infer_r150_t100_d6", "normalise_b1_f8_s64")
"""For a rehearsal: minutes of the CPU would tell nothing that these do not."""
CELL_S = 15.0
"""A cell that takes a core longer than half of it is measured once; one that takes longer, not at all."""


def main() -> None:
    """The sweep within its seconds."""
    folder, seconds = Path(sys.argv[1]), float(sys.argv[2])
    chosen = [workloads.preset(name) for name in (CHEAP if rehearsed else FIRST)]
    protocol = Protocol(window_s=0.01 if rehearsed else 0.4, budget_s=CELL_S)
    cpus = (1, len(os.sched_getaffinity(0)))
    sweep_into(folder / "log", folder / "data", protocol, seconds, chosen, Console(stderr=True), gpus=1, cpus=cpus)
    rows = rows_in(folder / "log")
    done = {(row["preset"], row["device"]) for row in rows if not row["error"]}
    failed = [f"{row['preset']} on {row['device']}: {row['error']}" for row in rows if row["error"]]
    missing = [one.name for one in chosen for device in ("cpu", "gpu") if (one.name, device) not in done]
    report(
        {"rows": len(rows), "presets_on_both": len(chosen) - len(set(missing)), "presets": len(chosen),
         "missing": sorted(set(missing)), "errors": failed[:20], "log": str(folder / "log")},
        every_preset_was_measured_on_both=not missing,
    )  # fmt: skip


def rows_in(log: Path) -> list[dict]:
    """The log's rows."""
    import placement

    return placement.read_log(str(log)).to_pylist()


if __name__ == "__main__":
    main()
