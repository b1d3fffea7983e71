"""NVML's energy counter against its power integrated here, and against the joules that `Sampler` gives, under load."""

from __future__ import annotations

import threading
import time
from itertools import pairwise

from gpu_step import rehearsed, report

from placement.hardware.meters import Sampler, find_gpus, node_meters, window

LOAD_S = 2.0 if rehearsed else 12.0
SIDE = 256 if rehearsed else 8192
LARGEST_ERROR = 0.10


def burn(seconds: float) -> None:
    """Matrix products on the GPU."""
    import torch

    a = torch.rand(SIDE, SIDE, device="cuda")
    end = time.perf_counter() + seconds
    while time.perf_counter() < end:
        for _ in range(4):
            a @ a
        torch.cuda.synchronize()


def integrated(power: list[tuple[float, float]]) -> float:
    """Joules of (time, watts) by trapezoids."""
    return sum((t1 - t0) * (p0 + p1) / 2 for (t0, p0), (t1, p1) in pairwise(power))


def main() -> None:
    """The three figures of the same seconds."""
    import pynvml

    pynvml.nvmlInit()
    handle = pynvml.nvmlDeviceGetHandleByIndex(0)
    uuid = find_gpus(None)[0].uuid
    burn(1.0)  # CUDA's start and the clocks' rise are no part of it
    load = threading.Thread(target=burn, args=(LOAD_S + 1.0,))
    power: list[tuple[float, float]] = []
    with Sampler(*node_meters()) as sampler:
        load.start()
        time.sleep(0.5)
        begun, counted = time.time(), pynvml.nvmlDeviceGetTotalEnergyConsumption(handle) / 1e3
        while time.time() - begun < LOAD_S:
            power.append((time.time(), pynvml.nvmlDeviceGetPowerUsage(handle) / 1e3))
            time.sleep(0.02)
        ended, counted_end = time.time(), pynvml.nvmlDeviceGetTotalEnergyConsumption(handle) / 1e3
        energy = window(sampler.trace(until=ended), begun, ended, (uuid,))
        load.join()
    counter, by_power = counted_end - counted, integrated(power)
    sampled = energy.gpu_joules or 0.0
    report(
        {
            "seconds": ended - begun, "counter_joules": counter, "integrated_joules": by_power,
            "sampler_joules": sampled, "watts": counter / (ended - begun), "cpu_joules": energy.cpu_joules,
            "provenance": energy.provenance,
        },
        integrated_power_agrees_with_the_counter=abs(by_power / counter - 1) <= LARGEST_ERROR,
        the_sampler_agrees_with_the_counter=abs(sampled / counter - 1) <= LARGEST_ERROR,
    )  # fmt: skip


if __name__ == "__main__":
    main()
