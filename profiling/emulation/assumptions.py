"""Figures of the emulator that no measurement at hand gives, each with its reason; `profiling.emulation.calibrate`
writes it out.

A figure that has been measured is replaced here by `python -m profiling.emulation.calibrate`.
"""

from __future__ import annotations

from typing import Any

FAMILY_PARTS = 5

SOURCES = {
    "costs": "timm_throughput.parquet (huggingface/pytorch-image-models aa4b585, Apache-2.0): RTX 3090 with AMP, "
    "eager; i9-10940X, FP32, torch.compile, batch 1; operations from profiling/data/timm_operations.parquet",
    "cpu_train": "profiling/data/cpu_training.json, measured by python -m profiling.emulation.cpu_training",
    "trees": "pairs.parquet, source gbm (szilard/GBM-perf 0e9d8ad, MIT)",
    "launch": "pairs.parquet, source help (HayeonLee/HELP 45f70eb, MIT): RTX 2080 Ti, batch 1, slope over kernels",
    "tflite": "more_pairs.parquet, source nnmeter (microsoft/nn-Meter 28e982e, MIT): a Pixel 4",
    "power": "slm_energy.csv (GAISSA-UPC/energy-ml-serving e011e6d, MIT)",
    "hardware": "profiling/data/hardware.json",
}

PIPELINE: dict[str, Any] = {
    "bytes_s_core": 88e6,
    "boost_ghz": 3.5,
    "source": "Measured, one core of an unnamed Intel Xeon virtual machine: 6.4 ms of CPU time to decode a 500x375 "
    "JPEG (562 KB decoded) with Pillow, crop, resize to 224 and normalise it with torchvision 0.29. Clock guessed.",
}

ASSUMED: dict[str, Any] = {
    "cpu_startup_s": 1.5,
    "gpu_startup_s": 4.0,
    "startup_why": "A Ray worker that imports torch; on a GPU a CUDA context and cuDNN too. Orders of magnitude.",
    "bus_share": 0.4,
    "bus_why": "A copy from pageable memory is staged through a pinned buffer: about 12 of PCIe 4.0's 31.5 GB/s.",
    "copy_s": 2e-5,
    "copy_why": "A copy's launch and synchronisation.",
    "fp32_bytes_factor": {"matmul": 1.4, "conv": 1.4, "grouped_conv": 1.4, "memory": 2.0},
    "fp32_why": "The GPU sets were measured with AMP. Single FP32 operations on V100 and A100 (pairs.parquet, source "
    "mlxops) move their bytes at 1.2 times the bandwidth's time element-wise, twice the AMP coefficient, and at most "
    "at 1.0 in products, 1.4 times it: AMP halves these, but its casts add to them.",
    "cpu_bandwidth_of_a_share": 3.0,
    "cpu_bandwidth_why": "A few cores saturate a desktop's memory: each has thrice its fair share until all is used.",
    "cpu_tree_launch_us": 4.2,
    "cpu_tree_launch_why": "Measured: the fastest of four fits of 100 rounds to Iris (300 trees of depth 6) took "
    "0.055 s of CPU time, one thread; the large tables of GBM-perf cannot tell it.",
    "cuda_context_bytes": 0.6e9,
    "cuda_context_why": "CUDA context, cuDNN and cuBLAS workspaces.",
    "gpu_idle_share": 0.06,
    "gpu_idle_why": "Table 2 of the paper: 20 to 23 W while the GPU waits for the loader; 350 W TDP assumed.",
    "gpu_compute_share": 0.9,
    "gpu_compute_why": "Dense products run near the power limit; the tasks of slm_energy.csv never do.",
}

WIDENING: dict[str, float] = {
    "operations": 0.6,  # only FLOPs: they alone miss the times by 35 % in the median, and the kinds are guessed too
    "unknown_hardware": 0.5,
    "other_hardware": 0.2,  # in the table, but nothing of it was calibrated on
    "fp32_on_gpu": 0.25,
    "cpu_training": 0.2,  # measured on one core of one machine
    "amp_on_cpu": 0.5,
    "compiled_on_gpu": 0.7,  # no compiled model of the table ran on a GPU; reports differ by a factor of two
    "eager_on_cpu": 0.3,  # its launches are measured at batch 1, its arithmetic in training alone
    "mobile_training": 0.7,  # TFLite was measured in inference alone
    "input_bytes": 0.1,
    "framework": 0.3,
    "loader": 0.3,
}
"""Relative errors, 1 sigma, added in squares for inputs that the calibration did not cover. Judgement, not
measurement.
"""
