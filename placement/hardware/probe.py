"""What this machine has: sustained throughput by timed kernels, memory, thermal design power.

The kernels run in a process of their own with every CPU as a thread, so that no CUDA context and no thread pool stays
behind; the result is kept on the machine's disk and taken again where the hardware is the same.
"""

from __future__ import annotations

import json
import os
import platform
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from placement.errors import PlacementError, SpecError
from placement.hardware.meters import cpu_name, cpu_tdp_w, find_gpus
from placement.spec.node import NodeSpec

VERSION = 1
KERNEL_S = 0.25  # a kernel is repeated for so long; its median is told
PROBE_TIMEOUT_S = 180
LARGE, SMALL = 2048, 64  # sides of the square matrix products
COPY_BYTES = 2**26
WATTS_A_THREAD = 5.3  # median TDP a thread of 15 desktop and server processors (vendors' pages), for want of a counter
GPU_WATTS = 250.0  # a common TDP of a data-centre or desktop card, for want of a reading


def probe(config: str | None = None, *, fresh: bool = False) -> NodeSpec:
    """This machine's NodeSpec. config: its name, else one derived from the hardware. fresh: time it again.

    Takes a few seconds at the first call on a machine. Raises PlacementError where the kernels do not finish.
    """
    path = _cache_path()
    spec = None if fresh else _read(path)
    if spec is None:
        spec = _probe_in_process_of_its_own()
        _write(path, spec)
    return replace(spec, config=config or spec.config)


def _probe_in_process_of_its_own() -> NodeSpec:
    threads = str(os.cpu_count() or 1)
    names = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")
    env = {**os.environ, **dict.fromkeys(names, threads)}
    try:
        done = subprocess.run(
            [sys.executable, "-m", "placement.hardware.probe"],
            env=env,
            capture_output=True,
            text=True,
            timeout=PROBE_TIMEOUT_S,
        )
    except subprocess.TimeoutExpired:
        raise PlacementError(f"the probe of this node did not finish within {PROBE_TIMEOUT_S} s.") from None
    if done.returncode:
        raise PlacementError(f"the probe of this node failed: {done.stderr.strip()[-500:]}")
    return NodeSpec.from_dict(json.loads(done.stdout.splitlines()[-1]))


def measure() -> NodeSpec:
    """Times the kernels in this process. GPU throughput is None where torch cannot use it; TDPs may be estimates."""
    gpus = find_gpus()
    probes = {f"cpu_{name}": seconds for name, seconds in _cpu_kernels().items()}
    if gpus and _torch_sees_cuda():
        probes |= {f"gpu_{name}": seconds for name, seconds in _gpu_kernels().items()}
    cpus = os.cpu_count() or 1
    name = cpu_name() or platform.processor() or platform.machine()
    told = {"cpu_tdp_w": cpu_tdp_w(), "gpu_tdp_w": gpus[0].power_limit_w if gpus else None}
    guesses = {"cpu_tdp_w": cpus * WATTS_A_THREAD, "gpu_tdp_w": GPU_WATTS if gpus else None}
    estimated = tuple(figure for figure, value in told.items() if value is None and guesses[figure] is not None)
    gpu = gpus[0] if gpus else None
    return NodeSpec(
        config=config_name(name, cpus, gpu.name if gpu else None), cpus=cpus, gpus=len(gpus),
        cpu_name=name, gpu_name=gpu.name if gpu else None,
        cpu_gflops=_gflops(probes["cpu_matmul_large"]), gpu_gflops=_gflops(probes.get("gpu_matmul_large")),
        gpu_memory_gb=gpu.memory_gb if gpu else None, ram_gb=_ram_gb(),
        probes=probes, estimated=estimated,
        cpu_tdp_w=guesses["cpu_tdp_w"] if told["cpu_tdp_w"] is None else told["cpu_tdp_w"],
        gpu_tdp_w=guesses["gpu_tdp_w"] if told["gpu_tdp_w"] is None else told["gpu_tdp_w"],
    )  # fmt: skip


def config_name(cpu: str, cpus: int, gpu: str | None) -> str:
    """A config derived from the hardware, valid as a Ray label: letters, digits and dashes."""
    words = re.sub(r"\([^)]*\)|\bCPU\b|\bProcessor\b|@.*", " ", cpu)
    text = f"{words} {cpus}cpu" + (f" {gpu}" if gpu else "")
    return re.sub(r"[^a-z0-9]+", "-", text.lower()).strip("-")[:60].strip("-")


def _gflops(seconds: float | None) -> float | None:
    """Throughput of the large matrix product: 2 n^3 FLOPs."""
    return None if seconds is None else 2 * LARGE**3 / seconds / 1e9


def _cpu_kernels() -> dict[str, float]:
    import numpy as np

    random = np.random.default_rng(0)
    large = random.random((LARGE, LARGE), dtype=np.float32)
    small = random.random((SMALL, SMALL), dtype=np.float32)
    source = np.ones(COPY_BYTES, dtype=np.uint8)
    target = np.empty_like(source)
    kernels: dict[str, Callable[[], Any]] = {
        "matmul_large": lambda: large @ large,
        "matmul_small": lambda: small @ small,
        "copy": lambda: np.copyto(target, source),
    }
    if find_spec("torch"):
        import torch

        torch.set_num_threads(os.cpu_count() or 1)
        image, filters = torch.rand(8, 64, 56, 56), torch.rand(64, 64, 3, 3)
        kernels["conv"] = lambda: torch.nn.functional.conv2d(image, filters, padding=1)
        one = torch.ones(1)
        kernels["launch"] = lambda: one + one
    if find_spec("xgboost"):
        kernels["trees"] = _trees("cpu")
    return {name: seconds_of(kernel) for name, kernel in kernels.items()}


def _gpu_kernels() -> dict[str, float]:
    import torch

    large = torch.rand(LARGE, LARGE, device="cuda")
    small = torch.rand(SMALL, SMALL, device="cuda")
    image, filters = torch.rand(8, 64, 56, 56, device="cuda"), torch.rand(64, 64, 3, 3, device="cuda")
    one, host = torch.ones(1, device="cuda"), torch.ones(COPY_BYTES, dtype=torch.uint8)
    source = torch.ones(COPY_BYTES, dtype=torch.uint8, device="cuda")
    kernels: dict[str, Callable[[], Any]] = {
        "matmul_large": lambda: large @ large,
        "matmul_small": lambda: small @ small,
        "conv": lambda: torch.nn.functional.conv2d(image, filters, padding=1),
        "copy": lambda: source.clone(),
        "launch": lambda: one + one,
        "host_to_device": lambda: host.to("cuda"),
    }
    timed = {name: seconds_of(kernel, torch.cuda.synchronize) for name, kernel in kernels.items()}
    if find_spec("xgboost"):
        timed["trees"] = seconds_of(_trees("cuda"))
    return timed


def _trees(device: str) -> Callable[[], Any]:
    import numpy as np
    import xgboost

    random = np.random.default_rng(0)
    data = xgboost.QuantileDMatrix(random.random((10_000, 16), dtype=np.float32), label=random.integers(0, 2, 10_000))
    return lambda: xgboost.train({"device": device, "max_depth": 6, "nthread": os.cpu_count()}, data, 2)


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


def _torch_sees_cuda() -> bool:
    if not find_spec("torch"):
        return False
    import torch

    return bool(torch.cuda.is_available())


def _ram_gb() -> float:
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 1e9


def _cache_path() -> Path:
    """One file for each user, host, hardware and set of libraries: another of any of them is probed anew."""
    libraries = "".join(str(int(find_spec(name) is not None)) for name in ("torch", "xgboost"))
    gpus = "".join(sorted(p.name for p in Path("/proc/driver/nvidia/gpus").glob("*"))) or "none"
    name = f"placement-probe-{VERSION}-{os.getuid()}-{platform.node()}-{os.cpu_count()}-{gpus}-{libraries}.json"
    return Path(tempfile.gettempdir()) / name


def _read(path: Path) -> NodeSpec | None:
    """What was kept; None where there is nothing, or nothing that is ours and whole."""
    try:
        if path.stat().st_uid != os.getuid():
            return None
        return NodeSpec.from_dict(json.loads(path.read_text()))
    except (OSError, ValueError, TypeError, SpecError):
        return None


def _write(path: Path, spec: NodeSpec) -> None:
    with tempfile.NamedTemporaryFile("w", dir=path.parent, prefix=path.name, delete=False) as file:
        json.dump(spec.to_dict(), file)
    os.replace(file.name, path)


if __name__ == "__main__":
    print(json.dumps(measure().to_dict()))
