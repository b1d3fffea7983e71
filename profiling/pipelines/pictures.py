"""Real stages on pictures: JPEG files read, decoded and resized on CPUs, then classified by ResNet-18.

On a CPU, and on a GPU that is there, the network runs and its seconds are measured. On an emulated GPU a batch takes
the emulator's seconds, and no network runs: its results are zeros.

Columns of the result: id (the file's path), label, gpu (1 where it ran on one), busy_s (seconds of the row), joules
(emulated; NaN on a machine that is not), done.
"""

from __future__ import annotations

import functools
import math
import time
from pathlib import Path
from typing import Any

import numpy as np

from placement.spec.task import TaskSpec
from profiling.pipelines.arms import Setting
from profiling.pipelines.gate import Gate
from profiling.pipelines.shapes import Shape
from profiling.pipelines.timed_work import row_seconds

SIDE = 224
"""Pixels of a picture's sides as the network takes it."""
CORES = 1.0
"""CPUs of each task and worker on a CPU."""


def files(folder: Path, count: int) -> list[str]:
    """Paths of so many JPEG files below the folder, which are generated once. Raises DataError where they cannot be."""
    from workloads.datasets import imagenet
    from workloads.datasets.synthetic import ensure

    classes = min(imagenet.CLASSES, count)
    write = functools.partial(imagenet.write, classes=classes, per_class=math.ceil(count / classes))
    there = ensure(folder.absolute() / f"pictures_{count}", write)
    return sorted(str(path) for path in there.rglob("*.JPEG"))[:count]


class PictureStages:
    """The stages over these files. config: of the emulated node; None: the machine is what it is."""

    cores = CORES

    def __init__(self, paths: list[str], config: str | None) -> None:
        self._paths, self._config = paths, config

    def prepared(self, setting: Setting, start: int, stop: int) -> Any:
        """The files from `start` on, a block for each batch of the model's."""
        import ray

        gate, batch = setting.gate, setting.shape.batch

        def prepared(rows: dict[str, Any]) -> dict[str, Any]:
            gate.passed()
            return prepare(rows)

        blocks = math.ceil((stop - start) / batch)
        read = ray.data.read_binary_files(self._paths[start:stop], include_paths=True, override_num_blocks=blocks)
        return read.map_batches(prepared, batch_size=batch, num_cpus=CORES)

    def model(self, setting: Setting) -> tuple[type, tuple[Any, ...]]:
        """(the class of the model's stage, the arguments of its constructor)."""
        return Classify, (setting.shape, self._config, setting.gate)

    def spec(self, setting: Setting) -> PictureSpec:
        """The function that gives the spec of a batch of the model's stage."""
        return PictureSpec(setting.shape)


def prepare(batch: dict[str, Any]) -> dict[str, Any]:
    """JPEG files to uint8 pictures, channels first."""
    from workloads.base import Batch
    from workloads.image import decode_resize

    paths = batch["path"]
    pictures = Batch("imagenet100", True, files=tuple(batch["bytes"]), names=tuple(paths))
    return {"id": paths, "data": decode_resize(pictures, SIDE).numpy()}


class PictureSpec:
    """The spec of a batch of pictures."""

    def __init__(self, shape: Shape) -> None:
        self._shape = shape

    def __call__(self, batch: dict[str, Any]) -> TaskSpec:
        """The spec of one batch, as `placement.map_batches` takes it."""
        return self._shape.spec(len(batch["id"]))


class Classify:
    """ResNet-18 with random weights on the device of this worker, which arrives at the gate once it can compute."""

    def __init__(self, shape: Shape, config: str | None, gate: Gate) -> None:
        import ray

        from placement.worker.device import current_device

        self._on_gpu, self._device = bool(ray.get_gpu_ids()), current_device()
        self._emulated_s, joules = math.nan, math.nan
        if config is not None:
            self._emulated_s, joules = row_seconds(shape, config, "gpu" if self._on_gpu else "cpu", cores=CORES)
        self._watts = joules / self._emulated_s
        self._runs = config is None or not self._on_gpu
        if self._runs:
            self._labels(np.zeros((1, 3, SIDE, SIDE), np.uint8))  # builds the network and warms it up
        gate.arrive()

    def __call__(self, batch: dict[str, Any]) -> dict[str, Any]:
        """The label of each picture, and what it took."""
        start, n = time.perf_counter(), len(batch["id"])
        if self._runs:
            labels = self._labels(batch["data"])
            seconds = (time.perf_counter() - start) / n
        else:
            labels, seconds = np.zeros(n, np.int64), self._emulated_s
            time.sleep(max(0.0, seconds * n - (time.perf_counter() - start)))
        return {
            "id": batch["id"], "label": labels, "gpu": np.full(n, int(self._on_gpu)), "busy_s": np.full(n, seconds),
            "joules": np.full(n, self._watts * seconds), "done": np.full(n, time.time()),
        }  # fmt: skip

    def _labels(self, pictures: np.ndarray) -> np.ndarray:
        import torch

        from workloads.image import normalised
        from workloads.networks import Network, model_of
        from workloads.steps import on_device

        with torch.inference_mode():
            scores = model_of(Network("resnet18"), self._device).eval()(normalised(on_device(pictures, self._device)))
        found: np.ndarray = scores.argmax(1).cpu().numpy()
        return found
