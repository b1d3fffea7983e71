"""The meters of a node are opened once, and a driver that hangs keeps nobody waiting."""

from __future__ import annotations

import asyncio
import threading
from types import SimpleNamespace
from typing import Any

from placement.control_plane.task_energy import TaskEnergy
from placement.hardware.meters import Gpu
from placement.messages.reports import Window

WINDOWS = [Window(0.0, 1.0, 0.5, None), Window(0.0, 1.0, 0.5, "0")]


def test_a_driver_that_hangs_costs_one_short_wait_and_one_thread() -> None:
    hang, opened = threading.Event(), []

    def open_meters() -> Any:
        opened.append(1)
        hang.wait()

    async def run() -> None:
        energy = TaskEnergy(open_meters, wait_s=0.01)
        assert not await energy.open()
        for _ in range(50):
            assert await energy.energies(WINDOWS) == [None, None]
        assert len(opened) == 1
        hang.set()

    asyncio.run(run())


def test_meters_that_cannot_be_opened_measure_nothing() -> None:
    def open_meters() -> Any:
        raise RuntimeError("no driver")

    async def run() -> None:
        energy = TaskEnergy(open_meters)
        assert not await energy.open()
        assert await energy.energies(WINDOWS) == [None, None]

    asyncio.run(run())


def test_only_the_gpus_that_ray_may_grant_are_watched() -> None:
    gpus = [Gpu("GPU-a", 0), Gpu("GPU-b", 1)]

    async def run() -> None:
        energy = TaskEnergy(lambda: SimpleNamespace(gpus=gpus))  # type: ignore[arg-type,return-value]
        assert await energy.open()
        assert energy.granted("1") == [gpus[1]]
        assert energy.granted("GPU-a") == [gpus[0]]
        assert energy.granted("") == []
        assert energy.granted(None) == gpus

    asyncio.run(run())
