"""The notebook runs from top to bottom on a log, and was committed with its outputs."""

from __future__ import annotations

from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient

NOTEBOOK = Path(__file__).parents[2] / "notebooks" / "analysis.ipynb"
PLOTS = 8


def images(notebook) -> int:
    outputs = [output for cell in notebook.cells for output in cell.get("outputs", ())]
    return sum("image/png" in output.get("data", {}) for output in outputs)


@pytest.fixture(scope="module")
def executed(demo_run):
    notebook = nbformat.read(NOTEBOOK, as_version=4)
    for cell in notebook.cells:
        if cell.cell_type == "code":
            cell.outputs = []
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PLACEMENT_LOG", str(demo_run.out / "log"))
        NotebookClient(notebook, timeout=180, resources={"metadata": {"path": str(NOTEBOOK.parent)}}).execute()
    return notebook


def test_it_draws_every_figure_from_a_log(executed):
    assert images(executed) == PLOTS


def test_it_reads_the_log_it_is_told(executed, demo_run):
    printed = "".join(output.get("text", "") for cell in executed.cells for output in cell.get("outputs", ()))
    assert f"{demo_run.table.num_rows:,} rows" in printed
    assert demo_run.summary["selector"]["in_service"] in printed


def test_it_was_committed_with_its_outputs():
    notebook = nbformat.read(NOTEBOOK, as_version=4)
    assert images(notebook) == PLOTS
    text = NOTEBOOK.read_text("utf-8")
    assert "Traceback" not in text
