"""`python -m examples.multimodal`: the whole pipeline once, with tables and a page."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path
from typing import Annotated

import typer

from profiling.cli.error_line import error_line

OUTPUT = Path("out/multimodal")
Option = typer.Option


def main(
    output: Annotated[Path, Option("--output", "-o", help="Folder of the log, the model and the page.")] = OUTPUT,
    data: Annotated[Path | None, Option(help="Where clips/ lies, or is generated; else OUTPUT/data.")] = None,
    width: Annotated[float, Option(help="Of CLIP's layers; 1.0 is ViT-B/32.")] = 0.25,
    epochs: Annotated[int, Option(min=1, help="Of the fusion head.")] = 30,
    address: Annotated[str | None, Option(help="A cluster's; left out: emulated nodes are started.")] = None,
    configs: Annotated[str, Option(help="The emulated nodes.")] = "A,D",
) -> None:
    """Decodes, embeds, trains, applies and evaluates: a multimodal pipeline on CPUs and GPUs at once."""
    with error_line():
        run(output, data or output / "data", width, epochs, address, tuple(configs.split(",")))


def run(output: Path, data: Path, width: float, epochs: int, address: str | None, configs: tuple[str, ...]) -> None:
    """The pipeline, its tables and its page. An earlier run's log and model under `output` are replaced."""
    from examples.multimodal import results
    from examples.multimodal.pipeline import Pipeline
    from examples.multimodal.settings import Settings
    from profiling.demo.demo import Stages
    from profiling.report.batch_rates import batch_rates
    from profiling.terminal import TerminalConsole
    from workloads.datasets import clips

    for folder in (output / "log", output / "train"):
        shutil.rmtree(folder, ignore_errors=True)
    output.mkdir(parents=True, exist_ok=True)
    stages = Stages(TerminalConsole())
    with stages.stage("data", f"Reading clips, captions and figures under {data}; generated where they are not"):
        train, test = clips.read(data, "train"), clips.read(data, "test")
        settings = replace(Settings(clips.vocabulary(data), train.labels), width=width, epochs=epochs)
    finished = Pipeline(output, settings, stages).run(train, test, address, configs)
    counts = results.confusion(finished.predictions, train.labels)
    stages.console.print(results.table("Stages by device", results.device_cells(batch_rates(finished.log))))
    stages.console.print(
        results.table("Right answers", results.accuracy_cells(results.accuracies(finished.predictions)))
    )
    stages.console.print(results.table("Answers by label", results.confusion_cells(counts, train.labels)))
    page = results.write_page(output, finished, train.labels, train.synthetic, stages.seconds)
    for name in (page, output / "predictions.parquet", output / "log"):
        stages.console.print(f"  {name}", highlight=False)
    stages.console.print(f"[bold]{len(train.rows) + len(test.rows)} clips in {stages.wall_seconds:.0f} s.[/]")


if __name__ == "__main__":
    typer.run(main)
