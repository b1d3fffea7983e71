"""The README's scripts and the commands of the command-line page, run as they stand there; one demo run is shared."""

from __future__ import annotations

import re
import shlex
import sys
from pathlib import Path
from typing import Any

import pytest
from pages import PROJECT, README, make_targets_in, run, scripts_of

import placement

SCRIPTS = scripts_of(README)
COMMAND_LINE = PROJECT / "docs" / "reference" / "command-line.md"
COMMANDS = re.findall(r"^\| `(placement [^`]+)` \|", COMMAND_LINE.read_text(), re.MULTILINE)
NEED_A_CLUSTER = ("nodes", "explain", "sweep", "refit", "start", "status", "swap")
SLOW = ("evaluate", "report", "bench", "bench-pipeline")
"""Commands that take minutes; others run them smaller: test_cli.py and the demo, test_bench.py, test_pipelines.py."""
RUN_ELSEWHERE = ("demo",)  # by test_demo.py: one run, shared


def test_the_readme_has_scripts_and_the_command_page_all_commands() -> None:
    assert SCRIPTS
    assert {command.split()[1] for command in COMMANDS} >= {
        "nodes", "explain", "sweep", "refit", "swap", "evaluate", "report", "import", "demo",
    }  # fmt: skip


@pytest.mark.parametrize("script", SCRIPTS, ids=range(len(SCRIPTS)))
def test_a_pasted_script_works(script: str, tmp_path: Path) -> None:
    (tmp_path / "script.py").write_text(script)
    done = run([sys.executable, "script.py"], tmp_path, RAY_ADDRESS="local")
    assert "config" in done.stdout
    assert "Traceback" not in done.stderr


@pytest.fixture(scope="module")
def folder(demo_run: Any, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder in which the demo has run."""
    folder = tmp_path_factory.mktemp("readme")
    (folder / "out").mkdir()
    (folder / "out" / "demo").symlink_to(demo_run.out)
    (folder / "pairs.csv").write_text(
        "task,family,framework,cpu,gpu,flops,batch_size,parameters,input_elements,cpu_seconds,gpu_seconds\n"
        "resnet18,vision,torch,i5-12400,RTX 3060,1.8e9,1,11689512,150528,0.05,0.004\n"
    )
    (folder / "my_module.py").write_text(
        "from placement import TaskSpec, placed_remote\n\n\n"
        "@placed_remote(spec=TaskSpec(flops=1e6, input_bytes=1e4, batch_size=1, parameters=10))\n"
        "def fine_tune(batch):\n    return sum(batch)\n\n\n"
        "batches = [range(1000)]\n"
    )
    (folder / "tariff.csv").write_text("time,seconds_per_joule\n00:00,0.001\n07:00,0.01\n")
    return folder


@pytest.mark.parametrize("command", [
    pytest.param(c, marks=[pytest.mark.soak, pytest.mark.slow] if c.split()[1] in SLOW else ())
    for c in COMMANDS if c.split()[1] not in RUN_ELSEWHERE
])  # fmt: skip
def test_a_command_works(command: str, folder: Path, request: pytest.FixtureRequest) -> None:
    words = shlex.split(command)
    cluster = {}
    if words[1] in NEED_A_CLUSTER:
        cluster = {"RAY_ADDRESS": request.getfixturevalue("emulated")}
    done = run([str(Path(sys.executable).with_name("placement")), *words[1:]], folder, **cluster)
    assert done.stdout.strip()
    if words[1] == "swap":
        placement.rollback()  # the cluster is the whole session's


def test_the_readme_names_the_targets_that_a_newcomer_needs() -> None:
    assert {"make demo", "make test", "make setup"} <= make_targets_in(README)
