"""The notebooks run from top to bottom on a log, and were committed with their outputs."""

from __future__ import annotations

from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient

FOLDER = Path(__file__).parents[2] / "notebooks"
NOTEBOOK = FOLDER / "analysis.ipynb"
PLOTS = 8
PAPER_PLOTS = {"selector": 6, "policies": 5}


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
        NotebookClient(notebook, timeout=600, resources={"metadata": {"path": str(NOTEBOOK.parent)}}).execute()
    return notebook


@pytest.mark.soak  # it evaluates as `placement evaluate` does
@pytest.mark.slow
def test_it_draws_every_figure_from_a_log(executed):
    assert images(executed) == PLOTS


@pytest.mark.soak
@pytest.mark.slow
def test_it_reads_the_log_it_is_told(executed, demo_run):
    printed = "".join(output.get("text", "") for cell in executed.cells for output in cell.get("outputs", ()))
    assert f"{demo_run.table.num_rows:,} rows" in printed
    assert demo_run.summary["selector"]["in_service"] in printed


def test_it_was_committed_with_its_outputs():
    notebook = nbformat.read(NOTEBOOK, as_version=4)
    assert images(notebook) == PLOTS
    text = NOTEBOOK.read_text("utf-8")
    assert "Traceback" not in text


@pytest.mark.parametrize("name", PAPER_PLOTS)
def test_a_notebook_of_the_paper_s_evaluation_runs_on_a_log(name, made_up_log):
    notebook = nbformat.read(FOLDER / f"{name}.ipynb", as_version=4)
    for cell in notebook.cells:
        if cell.cell_type == "code":
            cell.outputs = []
    with pytest.MonkeyPatch.context() as patch:
        told = {"LOG": str(made_up_log), "SEEDS": "2", "EPOCHS": "60", "BESIDE": "boosted_trees"}
        for variable, value in told.items():
            patch.setenv(f"PLACEMENT_{variable}", value)
        NotebookClient(notebook, timeout=600, resources={"metadata": {"path": str(FOLDER)}}).execute()
    assert images(notebook) == PAPER_PLOTS[name]
    outputs = [output for cell in notebook.cells for output in cell.get("outputs", ())]
    assert str(made_up_log) in "".join(output.get("text", "") for output in outputs)


@pytest.mark.parametrize("name", PAPER_PLOTS)
def test_it_too_was_committed_with_its_outputs(name):
    notebook = nbformat.read(FOLDER / f"{name}.ipynb", as_version=4)
    assert images(notebook) == PAPER_PLOTS[name]
    assert "Traceback" not in (FOLDER / f"{name}.ipynb").read_text("utf-8")
