"""The kernels that a probe times: matrix products, a convolution, copies, a launch, boosted trees.

They run in the process of `placement.hardware.probe`, so that torch, XGBoost and CUDA stay out of the node agent.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from importlib.util import find_spec
from typing import Any

KERNEL_S = 0.25  # a kernel is repeated for so long; the median counts
LARGE, SMALL = 2048, 64  # sides of the square matrix products
COPY_BYTES = 2**26

Kernels = dict[str, Callable[[], Any]]


def numpy_kernels() -> dict[str, float]:
    """Seconds of the CPU kernels that need NumPy alone."""
    import numpy as np

    random = np.random.default_rng(0)
    large = random.random((LARGE, LARGE), dtype=np.float32)
    small = random.random((SMALL, SMALL), dtype=np.float32)
    source = np.ones(COPY_BYTES, dtype=np.uint8)
    target = np.empty_like(source)
    kernels: Kernels = {
        "matmul_large": lambda: large @ large,
        "matmul_small": lambda: small @ small,
        "copy": lambda: np.copyto(target, source),
    }
    return _timed(kernels)


def torch_kernels(threads: int) -> dict[str, float]:
    """Seconds of torch's CPU kernels; empty where torch is not installed."""
    if not find_spec("torch"):
        return {}
    import torch

    torch.set_num_threads(threads)
    image, filters, one = torch.rand(8, 64, 56, 56), torch.rand(64, 64, 3, 3), torch.ones(1)
    return _timed({"conv": lambda: torch.nn.functional.conv2d(image, filters, padding=1), "launch": lambda: one + one})


def tree_kernels(device: str, threads: int) -> dict[str, float]:
    """Seconds of two rounds of XGBoost's training; empty where it is not installed."""
    if not find_spec("xgboost"):
        return {}
    import numpy as np
    import xgboost

    random = np.random.default_rng(0)
    data = xgboost.QuantileDMatrix(random.random((10_000, 16), dtype=np.float32), label=random.integers(0, 2, 10_000))
    parameters = {"device": device, "max_depth": 6, "nthread": threads}
    return _timed({"trees": lambda: xgboost.train(parameters, data, 2)})


def cuda_kernels() -> dict[str, float]:
    """Seconds of torch's kernels on the first visible GPU; empty where torch is not installed or sees no GPU."""
    if not find_spec("torch"):
        return {}
    import torch

    if not torch.cuda.is_available():
        return {}
    large = torch.rand(LARGE, LARGE, device="cuda")
    small = torch.rand(SMALL, SMALL, device="cuda")
    image, filters = torch.rand(8, 64, 56, 56, device="cuda"), torch.rand(64, 64, 3, 3, device="cuda")
    one, host = torch.ones(1, device="cuda"), torch.ones(COPY_BYTES, dtype=torch.uint8)
    source = torch.ones(COPY_BYTES, dtype=torch.uint8, device="cuda")
    kernels: Kernels = {
        "matmul_large": lambda: large @ large,
        "matmul_small": lambda: small @ small,
        "conv": lambda: torch.nn.functional.conv2d(image, filters, padding=1),
        "copy": lambda: source.clone(),
        "launch": lambda: one + one,
        "host_to_device": lambda: host.to("cuda"),
    }
    return _timed(kernels, torch.cuda.synchronize)


def _timed(kernels: Kernels, synchronise: Callable[[], Any] = lambda: None) -> dict[str, float]:
    return {name: seconds_of(kernel, synchronise) for name, kernel in kernels.items()}


def seconds_of(kernel: Callable[[], Any], synchronise: Callable[[], Any] = lambda: None) -> float:
    """Median seconds of a kernel, warmed up, over KERNEL_S or three runs, whichever is more."""
    for _ in range(2):
        kernel()
    synchronise()
    times: list[float] = []
    end = time.perf_counter() + KERNEL_S
    while len(times) < 3 or time.perf_counter() < end:
        start = time.perf_counter()
        kernel()
        synchronise()
        times.append(time.perf_counter() - start)
    return sorted(times)[len(times) // 2]
