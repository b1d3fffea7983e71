"""What a run found: tables for the terminal and a page of its own."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.table import Table

from profiling.report.batch_rates import BatchRate, batch_rates
from profiling.report.html_parts import Section, TableCell, badges, fact, page, tile

if TYPE_CHECKING:
    import pyarrow as pa

    from examples.multimodal.pipeline import Finished

TITLE = "Clips, captions and figures: one pipeline on CPUs and GPUs"
FOOTER = (
    "measured: timed on the machine itself. emulated: predicted for a node that was not there. Rows a second: from a "
    "stage's first batch to its last. Accuracies are those of clips that the head was not trained on."
)
Cells = Sequence[Sequence[str]]


def accuracies(predictions: pa.Table) -> dict[str, float]:
    """Kind of data -> share of right answers by it alone, and `together`."""
    labels = predictions["label"].to_numpy()
    names = {name.removeprefix("by_"): name for name in predictions.column_names if name.startswith("by_")}
    names["together"] = "predicted"
    return {kind: float((predictions[name].to_numpy() == labels).mean()) for kind, name in names.items()}


def confusion(predictions: pa.Table, labels: Sequence[str]) -> list[list[int]]:
    """Clips by their label (rows) and by the answer (columns)."""
    counts = [[0] * len(labels) for _ in labels]
    for label, answer in zip(predictions["label"].to_pylist(), predictions["predicted"].to_pylist(), strict=True):
        counts[label][answer] += 1
    return counts


def device_cells(rates: Iterable[BatchRate]) -> Cells:
    """The cells of the stages by device, the head first."""
    head = ["stage", "device", "batches", "rows", "rows a second", "joules a row"]
    return [head, *(
        [stage_of(rate), rate.device.upper(), str(rate.batches), str(rate.rows),
         "–" if rate.rows_per_s is None else f"{rate.rows_per_s:.1f}",
         "–" if rate.joules_per_row is None else f"{rate.joules_per_row:.3g}"]
        for rate in rates
    )]  # fmt: skip


def stage_of(rate: BatchRate) -> str:
    """The name of a stage's function, without its module."""
    return rate.function.rpartition(".")[2]


def accuracy_cells(found: Mapping[str, float]) -> Cells:
    """The cells of `accuracies`, the head first."""
    return [["data", "right answers"], *([kind, f"{share:.0%}"] for kind, share in found.items())]


def confusion_cells(counts: Sequence[Sequence[int]], labels: Sequence[str]) -> Cells:
    """The cells of `confusion`, the head first."""
    return [["label", *labels], *([label, *map(str, row)] for label, row in zip(labels, counts, strict=True))]


def table(title: str, cells: Cells) -> Table:
    """A table of the terminal."""
    made = Table(title=title, title_justify="left", header_style="bold")
    for number, name in enumerate(cells[0]):
        made.add_column(name, justify="left" if number == 0 else "right")
    for row in cells[1:]:
        made.add_row(*row)
    return made


def write_page(
    out: Path, finished: Finished, labels: Sequence[str], synthetic: bool, seconds: Mapping[str, float]
) -> Path:
    """Writes report.html; gives its path."""
    rates, right = batch_rates(finished.log), accuracies(finished.predictions)
    models = [rate for rate in rates if stage_of(rate) != "decode"]
    on_gpu = sum(rate.rows for rate in models if rate.device == "gpu") / sum(rate.rows for rate in models)
    counts = finished.log.to_pandas()["time_provenance"].value_counts().to_dict()
    by_label = confusion_cells(confusion(finished.predictions, labels), labels)
    sections = [
        section("Stages", "A batch goes where it ends sooner at its price.", device_cells(rates), badges(times=counts)),
        Section("Training", "The first epoch is the stream itself, while clips are decoded.", "", [training(finished)]),
        section("Right answers", "Of each kind of data alone, and of all together.", accuracy_cells(right)),
        section("Answers by label", "A row is a label, a column an answer.", by_label),
    ]
    tiles = tile(f"{right['together']:.0%}", "right, by all data together")
    tiles += tile(f"{on_gpu:.0%}", "of the clips embedded on GPUs")
    facts = "".join(fact(name, f"{value:.0f} s") for name, value in seconds.items())
    summary = f"{len(finished.predictions):,} clips classified{' (generated ones)' if synthetic else ''}."
    path = out / "report.html"
    path.write_text(page(TITLE, summary, facts, tiles, "".join(one.html() for one in sections), FOOTER), "utf-8")
    return path


def section(title: str, text: str, cells: Cells, badge: str = "") -> Section:
    """A section with a table."""
    rows = [[TableCell(text, number=number > 0) for number, text in enumerate(row)] for row in cells]
    return Section(title, text, badge, rows=rows)


def training(finished: Finished) -> tuple[str, str, Any]:
    """(caption, alternative text, figure) of loss and accuracy by epoch."""
    from profiling.report.plot_style import axes_of, styled

    @styled
    def drawn() -> Any:
        figure, axes = axes_of(7.0, 3.0)
        epochs = [line["epoch"] for line in finished.history]
        axes.plot(epochs, [line["loss"] for line in finished.history], label="loss")
        axes.plot(epochs, [line["accuracy"] for line in finished.history], "--", label="right answers, training clips")
        axes.set_xlabel("epoch")
        axes.legend()
        return figure

    return "Loss and right answers on the training clips", "Two lines by epoch.", drawn()
