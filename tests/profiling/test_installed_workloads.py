"""Presets that a package brings by an entry point: the example of the pages, installed."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from importlib.metadata import EntryPoint
from pathlib import Path

import pytest

import workloads
from workloads import installed

PROJECT = Path(__file__).resolve().parents[2]
EXAMPLE = PROJECT / "examples" / "sorting_workload"
SWEEP = """
import json, sys, workloads
from profiling.sweep.sweep import emulate_sweep
from placement.log import read_log
one = workloads.preset("sort_n1024")
batch = one.prepare("")
print(json.dumps([
    emulate_sweep(sys.argv[1], workloads.presets("installed")).rows,
    sorted(set(read_log(sys.argv[1])["function"].to_pylist())),
    one.run(batch, "cpu").value - float(sorted(batch.arrays["numbers"])[512]),
]))
"""


def test_the_example_is_installed_and_swept(tmp_path: Path) -> None:
    shutil.copytree(EXAMPLE, tmp_path / "source")  # which setuptools writes into
    options = ["--quiet", "--no-index", "--no-deps", "--no-build-isolation", "--disable-pip-version-check"]
    pip = [sys.executable, "-m", "pip", "install", *options, "--target", str(tmp_path / "site")]
    subprocess.run([*pip, str(tmp_path / "source")], check=True, timeout=600)
    environment = os.environ | {"PYTHONPATH": os.pathsep.join([str(tmp_path / "site"), str(PROJECT)])}
    found = subprocess.run(
        [sys.executable, "-c", SWEEP, str(tmp_path / "log")], env=environment, capture_output=True, text=True,
        check=True, timeout=600,
    )  # fmt: skip
    rows, functions, off = json.loads(found.stdout)
    assert rows == 6 * 4 * 3 * 2  # presets, configs, CPUs, devices
    assert functions == ["sorting_workload.sort"]
    assert off == 0.0


@pytest.fixture
def entry(monkeypatch: pytest.MonkeyPatch):
    """Installs entry points that name objects of this module."""

    def install(*names: str) -> None:
        monkeypatch.setitem(sys.modules, "brought", sys.modules[__name__])
        points = [EntryPoint(name, f"brought:{name}", installed.GROUP) for name in names]
        monkeypatch.setattr(installed, "entry_points", lambda group: points)
        installed.installed_presets.cache_clear()

    yield install
    installed.installed_presets.cache_clear()


mine = [workloads.preset("parse_table_b100")]
numbers = [1]


def broken() -> None:
    raise RuntimeError("no such model")


def test_an_entry_point_that_gives_no_presets_is_named(entry) -> None:
    entry("mine")
    assert workloads.presets("installed") == tuple(mine)
    faults = {
        ("numbers",): "'numbers' = 'brought:numbers'.*no workloads.Preset",
        ("broken",): "no such model",
        ("mine", "mine"): "called 'parse_table_b100' already",
    }
    for names, says in faults.items():
        entry(*names)
        with pytest.raises(ValueError, match=says):
            workloads.presets("installed")
    assert workloads.preset("xgboost_train_r150_t20_d3"), "which asks no other package"
