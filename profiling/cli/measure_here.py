"""All measurements that need a machine with a real NVIDIA GPU, in one call:

    python -m profiling.cli.measure_here            (or: make measure)

    sweep      the demo's and the paper's presets on this machine's CPUs (1, 4 and all) and its GPU, repeated, metered
    log        compacted to one file under profiling/data/measured/NAME, a few hundred rows, ready to commit
    tables     Table 2, Fig. 1 and Table 5 with the measured rows in them

Killed and started again it goes on where it stopped. Without a GPU it says so and ends with 2; `--rehearse` then runs
the same steps on the CPU alone, into a folder of yours, so that all but the GPU is tried.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console

from placement.errors import NotServedError
from profiling.cli.error_line import error_line
from profiling.cli.options import folder_to_write
from profiling.cli.sweep import check_seconds, presets_of
from profiling.paper.source import MEASURED
from profiling.terminal import TerminalConsole

if TYPE_CHECKING:
    from profiling.sweep.measure_cell import Protocol
    from workloads import Preset

NO_GPU = (
    "this machine has no NVIDIA GPU that its driver tells of (`nvidia-smi` lists none), so there is nothing to measure "
    "here that is not measured already. Run it on a machine with one, or try its steps with --rehearse FOLDER."
)
SHOWN = ("table2", "fig1", "table5")
WINDOW_S = 2.0
"""Seconds of repeats of a cell: GPU energy counters move about every 100 ms."""


def measure(
    name: Annotated[str | None, typer.Option(help="Of the log's folder; else the GPU's.")] = None,
    budget_s: Annotated[float | None, typer.Option(help="Seconds for the sweep; the next call does the rest.")] = None,
    window_s: Annotated[float, typer.Option(help="A cell is repeated until it took so many seconds.")] = WINDOW_S,
    data: Annotated[Path, typer.Option(help="Where data sets lie, or are generated.")] = Path("out/data"),
    rehearse: Annotated[
        Path | None, typer.Option(callback=folder_to_write, help="No GPU: the same steps on the CPU, log in here.")
    ] = None,
    preset: Annotated[list[str] | None, typer.Option(help="Only this preset; may be given again.")] = None,
) -> None:
    """Measures this machine's GPU and CPU, and prints the paper's tables with the measured rows."""
    console = TerminalConsole()
    from profiling.sweep.measure_cell import Protocol

    with error_line():
        check_seconds(budget_s=budget_s, window_s=window_s)
        chosen = presets_to_measure(preset)
        found = gpu_names()
        if not found and rehearse is None:
            raise NotServedError(NO_GPU)
        folder = rehearse or Path(__file__).parents[1] / "data" / Path(MEASURED).name / (name or folder_name(found[0]))
        sweep_into(folder, data, Protocol(window_s=window_s), budget_s, chosen, console)
        show(folder, console)
    if rehearse is None:
        console.print(f"To keep it: git add {folder} && git commit")


def presets_to_measure(names: Sequence[str] | None) -> Sequence[Preset]:
    """The presets named, or those of the paper and the demo. Raises OptionError on a name that is none."""
    if names:
        return presets_of("full", names, None)
    both = (*presets_of("paper", None, None), *presets_of("demo", None, None))
    return list({preset.name: preset for preset in both}.values())


def gpu_names() -> list[str]:
    """The names of this machine's NVIDIA GPUs."""
    from placement.hardware.meters import find_gpus

    return [gpu.name or "gpu" for gpu in find_gpus()]


def folder_name(gpu: str) -> str:
    """A GPU's name as a folder's: "NVIDIA GeForce RTX 4090" -> "geforce-rtx-4090"."""
    return re.sub(r"[^a-z0-9]+", "-", gpu.lower().removeprefix("nvidia")).strip("-") or "gpu"


def sweep_into(
    folder: Path, data: Path, protocol: Protocol, budget_s: float | None, chosen: Sequence[Preset], console: Console,
    gpus: int | None = None, cpus: Sequence[float] | None = None,
) -> None:  # fmt: skip
    """The sweep on a Ray of this machine alone, and the log made one file. gpus: None: those that Ray finds."""
    import ray

    from placement.log import compact
    from profiling.emulation.emulated_cluster import environment_of
    from profiling.report import console_tables
    from profiling.sweep.sweep import sweep

    # The cells of a CPU and of a GPU come in turns, and each process imports its framework once.
    # Without the first variable a task that asked for no GPU would see every GPU of the machine.
    with environment_of(
        {"RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "1", "RAY_idle_worker_killing_time_threshold_ms": "600000"}
    ):
        ray.init(
            address="local", num_gpus=gpus, include_dashboard=False, logging_level=logging.ERROR, log_to_driver=False
        )
        try:
            done = sweep(
                folder, chosen, data.absolute(), protocol=protocol, budget_s=budget_s, console=console, cpus=cpus
            )
        finally:
            ray.shutdown()
    compact(folder)
    console.print(console_tables.facts("Measured", done.to_dict()))


def show(folder: Path, console: Console) -> None:
    """The tables with the measured rows; where the log has no pairs yet, a line that says so."""
    from placement.errors import LogError
    from placement.log import read_log
    from profiling.cli.paper import evaluated
    from profiling.dataset.pairs import pairs
    from profiling.paper import PaperOptions
    from profiling.paper.source import everything

    try:
        found = pairs(read_log(folder))
    except LogError as error:
        console.print(str(error))
        return
    console.print(f"{len(found)} measured pairs.")
    everything.cache_clear()
    for part in SHOWN:
        for table in evaluated(part, None, PaperOptions(part))[1].tables:
            console.print(table)


if __name__ == "__main__":
    with error_line():
        typer.run(measure)
