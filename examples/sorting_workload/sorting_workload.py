"""A workload of one's own: sorts an array of numbers with torch, on a CPU or a GPU."""

from __future__ import annotations

import math
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from placement import TaskSpec
from workloads import Batch, Outcome, Preset


@dataclass(frozen=True, kw_only=True)
class Sort(Preset):
    """Sorts `numbers` random numbers."""

    workload = "sort"
    family = "sorting"
    framework = "torch"
    dataset = "random"
    sizes = "sort_n{preset.numbers}"

    numbers: int

    def prepare(self, data_root: str | Path) -> Batch:  # noqa: ARG002
        """Arrays: `numbers` FP32 (numbers,)."""
        drawn = np.random.default_rng(0).random(self.numbers, dtype=np.float32)
        return Batch(self.dataset, True, {"numbers": drawn})

    def run(self, batch: Batch, device: str, steps: int = 1) -> Outcome:
        """Copies the numbers to the device and sorts them there; value: their median."""
        import torch

        transfer_s = 0.0
        for _ in range(steps):
            start = time.perf_counter()
            numbers = torch.tensor(batch.arrays["numbers"]).to(device)
            transfer_s += time.perf_counter() - start
            ordered = torch.sort(numbers).values
        return Outcome(float(ordered[self.numbers // 2]), steps * self.numbers, transfer_s if device != "cpu" else 0.0)

    def one_step(self) -> TaskSpec:
        """A comparison counts as one FLOP."""
        return TaskSpec(
            flops=self.numbers * math.log2(self.numbers), input_bytes=4.0 * self.numbers, batch_size=self.numbers,
            parameters=0, kernels=4, framework=self.framework, kind="preprocess",
        )  # fmt: skip


def presets() -> Iterator[Preset]:
    """The sizes that a sweep measures."""
    for exponent in range(10, 26, 3):
        yield Sort(kind="preprocess", numbers=2**exponent)
