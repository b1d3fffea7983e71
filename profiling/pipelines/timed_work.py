"""The stages' functions: they take their emulated seconds, divided by a compression, and say in columns what they used.

Columns of the result: id, gpu (1 where it ran on one), busy_s (emulated seconds of the row), joules.
"""

from __future__ import annotations

import time
from typing import Any

import numpy as np

from placement.spec.task import Device, TaskSpec
from profiling.pipelines.gate import Gate
from profiling.pipelines.shapes import Shape

CORES = 12.0
"""CPUs of each task and worker on a CPU: all of node A's, so that a few processes stand for many cores."""


def row_seconds(
    shape: Shape, config: str, device: Device, *, scale: float = 1.0, cores: float = CORES
) -> tuple[float, float]:
    """(seconds, joules) of one row of the model's stage in a full batch on a configuration. cores: CPUs of a worker."""
    from placement.spec.node import paper_configs
    from profiling.emulation.emulator import emulated

    found = emulated(shape.spec(shape.batch, scale), paper_configs()[config], device, cores)
    seconds = (found.transfer_s or 0.0) + (found.compute_s or 0.0)
    return seconds / shape.batch, ((found.cpu_joules or 0.0) + (found.gpu_joules or 0.0)) / shape.batch


class EmulatedClock:
    """The emulated seconds and joules of rows on this worker's device, and the wait for them."""

    def __init__(self, shape: Shape, rows: int, compression: float) -> None:
        self.shape, self.rows, self.compression = shape, rows, compression
        self._known: dict[Any, tuple[float, float]] = {}

    def scale(self, ids: Any) -> float:
        """The factor of the work of these rows: larger in the second half where the shape grows."""
        return self.shape.growth if len(ids) and float(np.mean(ids)) >= self.rows / 2 else 1.0

    def wait(self, seconds: float, start: float) -> None:
        """Returns once so many emulated seconds have passed since `start` (time.perf_counter())."""
        time.sleep(max(0.0, seconds / self.compression - (time.perf_counter() - start)))

    def of_row(self, scale: float) -> tuple[float, float, int]:
        """(seconds, joules, 1 on a GPU) of a row here."""
        import ray

        device: Device = "gpu" if ray.get_gpu_ids() else "cpu"
        config = ray.get_runtime_context().get_node_labels()["config"]
        key = (device, scale)
        if key not in self._known:
            self._known[key] = row_seconds(self.shape, config, device, scale=scale)
        return *self._known[key], int(device == "gpu")


class Prepare(EmulatedClock):
    """The first stage of a batch: bytes in, bytes out, on a CPU."""

    def __init__(self, shape: Shape, rows: int, compression: float, gate: Gate) -> None:
        super().__init__(shape, rows, compression)
        self._gate = gate

    def __call__(self, batch: dict[str, Any]) -> dict[str, Any]:
        """The prepared rows, once the gate is open."""
        self._gate.passed()
        start, ids = time.perf_counter(), batch["id"]
        made = np.zeros((len(ids), self.shape.prepared_bytes), dtype=np.uint8)
        self.wait(self.shape.prepare_s / CORES * len(ids), start)
        return {"id": ids, "data": made}


class Model(EmulatedClock):
    """The model's stage. A worker of it arrives at the gate."""

    def __init__(self, shape: Shape, rows: int, compression: float, gate: Gate) -> None:
        super().__init__(shape, rows, compression)
        gate.arrive()

    def __call__(self, batch: dict[str, Any]) -> dict[str, Any]:
        """A result for each row, and what it took."""
        start, ids = time.perf_counter(), batch["id"]
        seconds, joules, on_gpu = self.of_row(self.scale(ids))
        self.wait(seconds * len(ids), start)
        n = len(ids)
        return {
            "id": ids, "result": np.zeros((n, self.shape.result_bytes), dtype=np.uint8),
            "gpu": np.full(n, on_gpu), "busy_s": np.full(n, seconds), "joules": np.full(n, joules),
            "done": np.full(n, time.time()),
        }  # fmt: skip


class Spec:
    """The spec of a batch of the model's stage."""

    def __init__(self, shape: Shape, rows: int) -> None:
        self._shape, self._clock = shape, EmulatedClock(shape, rows, 1.0)

    def __call__(self, batch: dict[str, Any]) -> TaskSpec:
        """The spec of one batch, as `placement.map_batches` takes it."""
        return self._shape.spec(len(batch["id"]), self._clock.scale(batch["id"]))
