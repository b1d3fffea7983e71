"""The wheel works where the repository is not: in a fresh environment, with the libraries of the tested one."""

from __future__ import annotations

import shutil
import sys
import sysconfig
import venv
from pathlib import Path

import pytest
from pages import PROJECT, README, run, scripts_of

SOURCES = ("placement", "profiling", "workloads")
FILES = ("pyproject.toml", "README.md", "LICENSE")
WITHOUT_REPOSITORY = {"PYTHONPATH": "", "RAY_ADDRESS": "local", "COLUMNS": "200"}


@pytest.fixture(scope="module")
def environment(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A virtual environment with the wheel, built of a copy: setuptools writes into the folder it builds from."""
    pytest.importorskip("build", reason="it is in the extra `dev`: make setup")
    folder = tmp_path_factory.mktemp("wheel")
    for name in SOURCES:
        ignored = shutil.ignore_patterns("__pycache__")
        shutil.copytree(PROJECT / name, folder / "source" / name, ignore=ignored)
    for name in FILES:
        shutil.copy(PROJECT / name, folder / "source")
    build = [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", str(folder)]
    run([*build, str(folder / "source")], folder)
    shutil.rmtree(folder / "source")
    (wheel,) = folder.glob("*.whl")
    made = folder / "environment"
    venv.create(made, with_pip=True)
    install = [str(made / "bin/pip"), "install", "--quiet", "--no-index", "--no-deps", str(wheel)]
    run(install, folder, **WITHOUT_REPOSITORY)
    # The .pth files of a folder that a .pth file names are passed over: the repository's editable install among them.
    (own,) = made.glob("lib/python*/site-packages")
    (own / "libraries.pth").write_text(sysconfig.get_path("purelib") + "\n")
    return made


def test_the_repository_cannot_be_imported(environment: Path, tmp_path: Path) -> None:
    code = "import placement, profiling, workloads; print(*(m.__file__ for m in (placement, profiling, workloads)))"
    found = run([str(environment / "bin/python"), "-c", code], tmp_path, **WITHOUT_REPOSITORY).stdout.split()
    assert len(found) == 3
    assert all(Path(file).is_relative_to(environment) for file in found)


def test_the_first_script_runs(environment: Path, tmp_path: Path) -> None:
    (tmp_path / "script.py").write_text(scripts_of(README)[0])
    done = run([str(environment / "bin/python"), "script.py"], tmp_path, **WITHOUT_REPOSITORY)
    assert "cold_start" in done.stdout or "only_device" in done.stdout
    assert "Traceback" not in done.stderr


def test_the_command_explains_without_a_cluster(environment: Path, tmp_path: Path) -> None:
    task = ["--flops", "1e9", "--input-bytes", "1e6", "--batch", "8", "--parameters", "1e6"]
    command = [str(environment / "bin/placement"), "explain", "--offline", *task, "--json", "explained.json"]
    done = run(command, tmp_path, **WITHOUT_REPOSITORY)
    assert "no cluster is running" in done.stdout
    assert (tmp_path / "explained.json").is_file()


def test_the_wheel_holds_the_data_of_each_package_and_says_that_it_is_typed(environment: Path) -> None:
    (own,) = environment.glob("lib/python*/site-packages")
    for name in SOURCES:
        needed = {p.relative_to(PROJECT) for p in (PROJECT / name).rglob("*") if p.is_file() and p.suffix != ".pyc"}
        assert {str(path) for path in needed if not (own / path).exists()} == set()
    assert (own / "placement/py.typed").exists()
