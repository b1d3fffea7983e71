"""Measures one cell of a sweep in a worker: warm-up, then runs until the window is long enough, under a budget.

No Ray here: the sweep sends `measure` to a node as a task.
"""

from __future__ import annotations

import os
import signal
import statistics
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from types import FrameType
from typing import TYPE_CHECKING, Any

from threadpoolctl import threadpool_limits

from profiling.sweep.sweep_rows import CellMeasurement

if TYPE_CHECKING:
    from placement.hardware.meters import Energy
    from profiling.sweep.measurable import Measurable

_SLACK = 0.9  # largest share of the remaining budget that one more run is expected to take


@dataclass(frozen=True, slots=True)
class Protocol:
    """Settings of a cell's measurement.

    window_s: runs are repeated until they add up to so many seconds.  least, most: repeats.
    budget_s: of all runs of a cell; a single run that takes longer is stopped and logged as censored.
    """

    window_s: float = 0.5
    least: int = 2
    most: int = 200
    budget_s: float = 60.0


class OverBudgetError(Exception):
    """A run took longer than its cell's budget."""


def measure(
    preset: Measurable, data_root: str, device: str, cpus: float, protocol: Protocol, tdp_w: float | None = None
) -> CellMeasurement:
    """Measures one preset on this machine. device: "cpu" | "gpu". Never raises: an exception of the preset is in
    `error`.

    tdp_w: of the processor, by which its energy is estimated where no counter may be read.
    """
    threads = max(1, int(cpus))
    began = time.time()
    try:
        _import_framework(preset.framework)
        with _threads(threads):
            batch = preset.prepare(data_root)
            target = "cuda:0" if device == "gpu" else "cpu"
            return replace(_runs(preset, batch, target, protocol, began, tdp_w), synthetic=batch.synthetic)
    except Exception as error:
        return CellMeasurement(0.0, 0, began, error=f"{type(error).__name__}: {error}"[:500])


def _runs(
    preset: Measurable, batch: Any, device: str, protocol: Protocol, began: float, tdp_w: float | None
) -> CellMeasurement:
    """Warm-up and repeats. Where no time is left for a second run, the first one is reported and marked."""
    deadline = time.monotonic() + protocol.budget_s
    try:
        with _alarm(protocol.budget_s):
            cold_s, _ = _timed(preset, batch, device)
    except OverBudgetError:
        return CellMeasurement(protocol.budget_s, 1, began, censored=True, reason="over its time budget")
    if cold_s > _SLACK * (deadline - time.monotonic()):
        return CellMeasurement(cold_s, 1, began, reason="first run: no time for a warm one")
    with _metered(device, tdp_w) as energy:
        seconds, transfers = _repeat(preset, batch, device, protocol, deadline)
    mean = statistics.fmean(seconds)
    return CellMeasurement(
        mean,
        len(seconds),
        began,
        seconds_std=statistics.stdev(seconds) if len(seconds) > 1 else None,
        transfer_s=statistics.fmean(transfers) if transfers and None not in transfers else None,
        **energy(len(seconds), device),
    )


def _repeat(
    preset: Measurable, batch: Any, device: str, protocol: Protocol, deadline: float
) -> tuple[list[float], list[float | None]]:
    seconds: list[float] = []
    transfers: list[float | None] = []
    while len(seconds) < protocol.most:
        took, transfer = _timed(preset, batch, device)
        seconds.append(took)
        transfers.append(transfer)
        if len(seconds) >= protocol.least and sum(seconds) >= protocol.window_s:
            break
        if took > _SLACK * (deadline - time.monotonic()):
            break
    return seconds, transfers


def _timed(preset: Measurable, batch: Any, device: str) -> tuple[float, float | None]:
    start = time.perf_counter()
    outcome = preset.run(batch, device)
    _synchronise(device)
    return time.perf_counter() - start, outcome.transfer_s


def _synchronise(device: str) -> None:
    torch = sys.modules.get("torch")
    if device != "cpu" and torch is not None and torch.cuda.is_available():
        torch.cuda.synchronize()


def _import_framework(framework: str | None) -> None:
    """Imports the framework before the threads are set: a library that is not loaded cannot be set.

    A user's spec may tell none, or a name that is no module's.
    """
    from importlib import import_module
    from importlib.util import find_spec

    if framework and framework.isidentifier() and find_spec(framework):
        import_module(framework)


@contextmanager
def _threads(count: int) -> Iterator[None]:
    """Sets the threads of torch, OpenMP (XGBoost) and BLAS in the `with` block."""
    before = os.environ.get("OMP_NUM_THREADS")
    os.environ["OMP_NUM_THREADS"] = str(count)
    torch = sys.modules.get("torch")
    torch_before = torch.get_num_threads() if torch else None
    try:
        with threadpool_limits(limits=count):
            if torch:
                torch.set_num_threads(count)
            yield
    finally:
        if torch:
            torch.set_num_threads(torch_before)
        if before is None:
            del os.environ["OMP_NUM_THREADS"]
        else:
            os.environ["OMP_NUM_THREADS"] = before


@contextmanager
def _alarm(seconds: float) -> Iterator[None]:
    """Raises OverBudgetError in the `with` block after so many seconds, at the next step of Python code of the main
    thread.

    Where that step is a callback from C, which drops exceptions or turns them into its own, it is raised at the end.
    """
    fired = False

    def stop(signum: int, frame: FrameType | None) -> None:  # noqa: ARG001
        nonlocal fired
        fired = True
        raise OverBudgetError

    before = signal.signal(signal.SIGALRM, stop)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    except Exception:
        if fired:
            raise OverBudgetError from None
        raise
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0.0)
        signal.signal(signal.SIGALRM, before)
    if fired:
        raise OverBudgetError


@contextmanager
def _metered(device: str, tdp_w: float | None) -> Iterator[Any]:
    """Meters the node in the `with` block; yields a function (runs, device) -> the energy fields of CellMeasurement,
    for one run.
    """
    from placement.hardware.meters import Sampler, find_gpus, node_meters, visible_gpus, window

    seen = visible_gpus(os.environ.get("CUDA_VISIBLE_DEVICES"), find_gpus())[0] if device != "cpu" else ()
    told: list[Energy] = []
    with Sampler(*node_meters(tdp_w)) as sampler:
        start = time.time()
        yield lambda runs, where: _energy_fields(told[0], runs, where)
        end = time.time()
        told.append(window(sampler.trace(until=end), start, end, seen))


def _energy_fields(energy: Energy, runs: int, device: str) -> dict[str, Any]:
    known = energy.cpu_joules is not None and (device == "cpu" or energy.gpu_joules is not None)
    return {
        "cpu_joules": None if energy.cpu_joules is None else energy.cpu_joules / runs,
        "gpu_joules": None if energy.gpu_joules is None or device == "cpu" else energy.gpu_joules / runs,
        "cpu_utilisation": energy.cpu_utilisation,
        "gpu_utilisation": energy.gpu_utilisation if device != "cpu" else None,
        "energy_provenance": energy.provenance if known else None,
        "energy_error": energy.error if known else None,
    }
