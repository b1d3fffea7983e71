"""The command line: what it prints, what it writes, and one clear line for a misuse. No cluster."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import tomllib
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest
from typer.testing import CliRunner

from placement.commands import NOT_PLACED
from profiling.cli.app import main
from profiling.cli.error_line import EXTRA_MODULES
from profiling.learning.descent import TrainingOptions

COMMANDS = ("nodes", "explain", "sweep", "refit", "swap", "evaluate", "report", "demo", "bench", "import")
TASK = ("--flops", "1e9", "--input-bytes", "1e6", "--batch", "8", "--parameters", "1e6")


def run(*arguments: object) -> object:
    return CliRunner().invoke(main, [str(argument) for argument in arguments], env={"COLUMNS": "200"})


def test_help_names_every_command_and_loads_nothing_heavy(loaded_by: Callable[..., set[str]]) -> None:
    shown = run("--help").output
    assert all(command in shown for command in COMMANDS)
    assert not {"ray", "torch", "pandas", "pyarrow", "numpy", "workloads"} & loaded_by("profiling.cli.app")


def test_explain_works_without_a_cluster_and_says_so(tmp_path: Path) -> None:
    found = run("explain", "--offline", *TASK, "--json", tmp_path / "x.json")
    assert found.exit_code == 0, found.output
    assert "no cluster is running" in found.output
    data = json.loads((tmp_path / "x.json").read_text())
    assert {(c["config"], c["device"]) for c in data["candidates"]} == {(x, d) for x in "ABCD" for d in ("cpu", "gpu")}
    assert all(c["reason"] for c in data["candidates"])
    assert data["task"]["parameters"] == 1_000_000
    assert "weighed" in data["decision"]  # the name of the log's column of it


def test_explain_of_one_config() -> None:
    found = run("explain", "--offline", *TASK, "--config", "B")
    assert "excluded by --config" in found.output


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("explain", "--offline", "--flops", "-1"), "flops=-1.0"),
        (("explain", "--offline", "--parameters", "nan"), "--parameters=nan"),
        (("simulate", "--nodes", "0"), "0 nodes"),
        (("simulate", "--policies", "best"), "unknown policy 'best'"),
        (("explain", "--offline", *TASK, "--policy", "best"), "unknown policy 'best'; valid are"),
        (("explain", "--offline", *TASK, "--config", "E"), "configs here are"),
        (("explain", "--offline", *TASK, "--selector", "no/such.json"), "cannot be read"),
        (("evaluate", "no/such/log"), "there is no log"),
        (("refit", "no/such/log", "-o", "x.json"), "there is no log"),
        (("swap", "no/such.json"), "cannot be read"),
        (("sweep", "--preset", "resnet19"), "no preset is called 'resnet19'"),
        (("sweep", "--workload", "llama"), "valid are"),
        (("sweep", "--budget-s", "0"), "positive"),
        (("import", "no/such.parquet", "-o", "log"), "no such file"),
    ],
)
def test_a_misuse_is_one_line_and_exit_code_2(arguments: tuple[str, ...], says: str) -> None:
    found = run(*arguments)
    assert found.exit_code == 2
    assert says in found.stderr
    assert found.stderr.count("\n") == 1
    assert "Traceback" not in found.output


@pytest.mark.parametrize(
    "arguments",
    [
        ("refit", "{log}", "-o", "{path}"),
        ("report", "{log}", "-o", "{path}"),
        ("evaluate", "{log}", "--json", "{path}"),
        ("explain", "--offline", "--json", "{path}"),
        ("simulate", "--tasks", "9", "--json", "{path}"),
        ("paper", "fig5", "--plot", "{path}"),
    ],
)
def test_a_file_that_cannot_be_written_is_named_before_the_work(
    arguments: tuple[str, ...], made_up_log: Path, tmp_path: Path
) -> None:
    (tmp_path / "file").write_text("x")
    for path, says in ((tmp_path, "is a folder"), (tmp_path / "file" / "x.json", "cannot be written")):
        found = run(*(each.format(log=made_up_log, path=path) for each in arguments))
        assert (found.exit_code, found.stdout) == (2, "")
        assert says in found.stderr
        assert found.stderr.count("\n") == 1


@pytest.mark.parametrize("arguments", [("sweep", "--emulate-only"), ("import", "{file}"), ("demo",)])
def test_a_folder_that_cannot_be_written_is_named_before_the_work(arguments: tuple[str, ...], tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_text("task,cpu,gpu,cpu_seconds,gpu_seconds\nx,c,g,2.0,0.5\n")
    found = run(*(each.format(file=file) for each in arguments), "-o", file)
    assert (found.exit_code, "is a file; give the path of a folder" in found.stderr) == (2, True)


@pytest.mark.parametrize(
    ("module", "arguments", "says"),
    [
        ("measure_here", ("--preset", "resnet19"), "no preset is called 'resnet19'"),
        ("measure_here", ("--window-s", "-1"), "--window-s=-1: must be positive seconds"),
        ("measure_here", ("--rehearse", "{file}"), "is a file; give the path of a folder"),
        ("evaluate_holdout", ("no/such/log",), "there is no log"),
        ("evaluate_holdout", ("no/such/log", "--json", "."), "is a folder"),
    ],
)
def test_a_misuse_of_a_program_is_one_line(module: str, arguments: tuple[str, ...], says: str, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    command = [sys.executable, "-m", f"profiling.cli.{module}", *(a.format(file=tmp_path / "file") for a in arguments)]
    found = subprocess.run(command, capture_output=True, text=True)
    assert (found.returncode, found.stderr.count("\n")) == (2, 1), found.stderr
    assert says in found.stderr


def test_a_library_of_the_extra_that_is_missing_is_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    def imports(name: str) -> None:
        raise ModuleNotFoundError(f"No module named {name!r}", name=name)

    monkeypatch.setattr("profiling.cli.task_explanation.explain_task", lambda *_, **__: imports("sklearn.ensemble"))
    found = run("explain", "--offline", *TASK)
    assert (found.exit_code, found.stderr.count("\n")) == (2, 1), found.output
    assert "of which sklearn is not installed here" in found.stderr
    assert "[profiling]" in found.stderr
    monkeypatch.setattr("profiling.cli.task_explanation.explain_task", lambda *_, **__: imports("placement.gone"))
    assert isinstance(run("explain", "--offline", *TASK).exception, ModuleNotFoundError)


def test_the_libraries_of_the_extra_are_those_of_the_project() -> None:
    project = tomllib.loads((Path(__file__).parents[2] / "pyproject.toml").read_text())["project"]
    libraries = {re.split(r"[^\w-]", one)[0] for one in project["optional-dependencies"]["profiling"]}
    brought = {"PIL", "threadpoolctl", "tokenizers"}
    assert {"sklearn" if name == "scikit-learn" else name for name in libraries} | brought == EXTRA_MODULES


@pytest.mark.parametrize(("log", "says"), [("/logs", "log /logs"), (None, "log none")])
def test_start_says_which_log_is_kept(log: str | None, says: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("profiling.cli.deploy.connect", lambda address: None)
    monkeypatch.setattr("placement.start", lambda **_: "roofline-1")
    monkeypatch.setattr("placement.status", lambda: {"log": log})
    assert run("start", "--policy", "selector").stdout == f"the placement actor serves; selector roofline-1, {says}\n"


def test_start_says_that_nothing_is_placed_where_nothing_can_be(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("profiling.cli.deploy.connect", lambda address: None)
    monkeypatch.setattr("placement.start", lambda **_: NOT_PLACED)
    assert "nothing is placed" in run("start").stdout


@pytest.mark.parametrize("command", ["evaluate", "refit", "report"])
def test_a_log_without_a_readable_file_is_one_line(command: str, tmp_path: Path) -> None:
    log, output = tmp_path / "log", () if command == "evaluate" else ("-o", tmp_path / "out.html")
    log.mkdir()
    found = run(command, log, *output)
    assert (found.exit_code, "has no Parquet file" in found.stderr, found.stderr.count("\n")) == (2, True, 1)
    (log / "x.parquet").write_bytes(b"no")
    found = run(command, log, *output)
    assert (found.exit_code, "x.parquet" in found.stderr, found.stderr.count("\n")) == (2, True, 1)


def test_a_broken_selector_is_refused_before_any_cluster_is_asked(tmp_path: Path) -> None:
    (tmp_path / "s.json").write_text('{"schema_version": 99}')
    found = run("swap", tmp_path / "s.json")
    assert (found.exit_code, "schema version 99" in found.stderr) == (2, True)


def test_a_log_of_one_class_is_refused_before_a_cluster_is_started(made_up_log: Path, tmp_path: Path) -> None:
    found = run("refit", made_up_log, "-o", tmp_path / "s.json", "--speedup", "1e-9", "--energy-ratio", "1e9")
    assert (found.exit_code, "nothing to learn from" in found.stderr) == (2, True)
    assert not (tmp_path / "s.json").exists()


def test_sweep_emulate_only_then_evaluate(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # How well the nets learn, test_training.py asks.
    monkeypatch.setattr("profiling.learning.descent.TrainingOptions", partial(TrainingOptions, epochs=40))
    log, told, scores = tmp_path / "log", tmp_path / "sweep.json", tmp_path / "scores.json"
    found = run("sweep", "-o", log, "--emulate-only", "--subset", "full", "--workload", "xgboost_iris", "--json", told)
    assert found.exit_code == 0, found.output
    assert json.loads(told.read_text())["rows"] == 20 * 4 * 3 * 2
    found = run("evaluate", log, "--json", scores)
    assert found.exit_code == 0, found.output
    data = json.loads(scores.read_text())
    assert set(data["policies"]) == {"cpu_only", "gpu_only", "random", "flops_rule", "selector", "oracle"}
    assert set(data["policies"]["oracle"]) == {
        "throughput", "energy_efficiency", "selection_accuracy", "gpu_reduction",
    }  # fmt: skip
    assert set(data["accuracy"]) == {"random", "config"}, "with one workload none can be held out, and it says so"
    assert "one workload only" in found.output


def test_import_brings_pairs(tmp_path: Path) -> None:
    (tmp_path / "p.csv").write_text("task,cpu,gpu,cpu_seconds,gpu_seconds\nx,c,g,2.0,0.5\ny,c,g,1.0,1.0\n")
    found = run("import", tmp_path / "p.csv", "-o", tmp_path / "log", "--json", tmp_path / "j.json")
    assert found.exit_code == 0, found.output
    assert json.loads((tmp_path / "j.json").read_text())["pairs"] == 2
