"""`placement bench-pipeline --real`: real JPEG files, decoded and classified on this machine, in every arm.

The seconds of CPUs are measured. So are those of a GPU where the machine has one; else node A's GPU is emulated.
"""

from __future__ import annotations

import functools
import logging
import os
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from placement.errors import MissingExtraError, OptionError
from placement.log.whole_file import check_folder_can_be_written
from profiling.emulation.emulated_cluster import CONFIG_LABEL, LOCAL, environment_of
from profiling.emulation.real_gpu_node import count_gpus
from profiling.pipelines import pictures, processes
from profiling.pipelines.arms import Setting, first_workers, share_of
from profiling.pipelines.benchmark import check_names
from profiling.pipelines.gate import Gate
from profiling.pipelines.measure import RUN_S, START_S, Measured, run
from profiling.pipelines.runs import Advance, Found, Runs, emulated_nodes, without_progress_bars
from profiling.pipelines.shapes import SHAPES, Shape

ARMS = ("pinned", "cpu_only", "half", "choose", "placed")
"""The best fixed share is a search over runs of which each takes minutes here."""
EMULATED = "A"
IMAGES = 2_000
DATA = Path("out/bench-pipeline")
LEAST_CPUS = 2
"""The two stages, if both are on CPUs, need one each."""
OTHERS = 2
"""Worker processes of a run beside those of its CPUs and GPUs: a router, and the actor that routers ask."""
ROW_S = 1.0
"""Patience with each picture, beyond that with any run."""
MODULES = (*processes.LOADED, "torchvision.transforms.v2", "workloads.image", "workloads.networks")


def benchmark(
    images: int = IMAGES, arms: Sequence[str] = ARMS, *, data: Path = DATA, advance: Advance = lambda _: None
) -> Found:
    """Runs the arms on a cluster of its own on this machine. A run that fails is reported with its `error` alone.

    images: JPEG files, which are generated below `data` where they are not there.
    Raises OptionError on an unknown arm, fewer images than one or a folder that cannot be written, and
    MissingExtraError where torchvision is not installed.
    """
    check_names(arms, ARMS, "arms of --real")
    if images < 1:
        raise OptionError(f"images={images}: must be at least 1.")
    if not find_spec("torchvision"):
        raise MissingExtraError.of_profiling("--real", "torchvision")
    check_folder_can_be_written(data)
    advance(f"{images} JPEG files under {data}, generated where they are not there")
    paths = pictures.files(data, images)
    machine = _Machine(paths, count_gpus())
    with Runs(machine.cluster, advance) as runs:
        found = {arm: runs.one(f"real: {arm}", functools.partial(machine.run, arm)) for arm in arms}
    return {"images": images, "times": machine.times, "joules": machine.times["gpu"], "arms": found}


class _Machine:
    """This machine, with its own GPUs or an emulated one."""

    def __init__(self, paths: list[str], gpus: int) -> None:
        self._paths, self._gpus = paths, gpus
        self._cpus = max(LEAST_CPUS, len(os.sched_getaffinity(0)))
        self.times = {"cpu": "measured", "gpu": "measured" if gpus else "emulated"}

    @contextmanager
    def cluster(self) -> Iterator[None]:
        """A cluster of one node with its placement actor."""
        if not self._gpus:
            with emulated_nodes([EMULATED], self._cpus):
                yield
            return
        import ray

        import placement

        # Without the variable a task that asked for no GPU would see every GPU of the machine.
        with environment_of({"RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "1"}):
            ray.init(
                "local", num_cpus=self._cpus, num_gpus=self._gpus, labels={CONFIG_LABEL: LOCAL},
                include_dashboard=False, logging_level=logging.ERROR, log_to_driver=False,
            )  # fmt: skip
            try:
                placement.start(timeout_s=START_S)
                without_progress_bars()
                yield
            finally:
                ray.shutdown()

    def run(self, arm: str) -> Measured:
        """One run of an arm."""
        config, gpus = (LOCAL, self._gpus) if self._gpus else (EMULATED, 1)
        processes.ready([config], self._cpus + gpus + OTHERS, self._cpus, MODULES)
        rows = len(self._paths)
        shape = sized(SHAPES["image_classification"], rows)
        share = whole_batches(share_of(arm, shape, 0.0, pictures.CORES), rows, shape.batch)
        stages = pictures.PictureStages(self._paths, None if self._gpus else EMULATED)
        gate = Gate.closed(first_workers(share, gpus))
        setting = Setting(shape, rows, 1.0, self._cpus, gpus, share, gate, stages)
        if not self._gpus:
            return run(setting, None, patience_s=RUN_S + ROW_S * rows)
        return _metered(setting, RUN_S + ROW_S * rows)


def _metered(setting: Setting, patience_s: float) -> Measured:
    """A run with the joules of the whole machine, by its meters, whoever used them; None where one is not measured."""
    from placement.hardware.meters import Sampler, find_gpus, node_meters, window

    with Sampler(*node_meters()) as sampler:
        found = run(setting, None, patience_s=patience_s)
        end = time.time()
        uuids = [gpu.uuid for gpu in find_gpus()]
        energy: Any = window(sampler.trace(end), end - found.makespan_seconds, end, uuids)
    if not energy.valid:
        return found
    return replace(found, joules_per_row=(energy.cpu_joules + energy.gpu_joules) / setting.rows)


def sized(shape: Shape, rows: int) -> Shape:
    """The shape with batches of which there are at least four where there are so many rows."""
    return replace(shape, batch=max(1, min(shape.batch, rows // 4)))


def whole_batches(share: float | None, rows: int, batch: int) -> float | None:
    """The share nearest to `share` that is of whole batches, so that the clock waits for no worker without rows."""
    return None if share is None else min(1.0, round(rows * share / batch) * batch / rows)
