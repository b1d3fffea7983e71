"""Runs a subset of the tests on other versions of Ray and of Python than the pinned ones; prints what it ran.

    python tests/versions/run.py               each supported minor's newest release, the index's newest, other Pythons
    python tests/versions/run.py --oldest      the oldest supported minor alone
    python tests/versions/run.py 2.57.1 2.60.0@3.12    these, the second under Python 3.12

Each version gets a small environment (no torch) under .venvs/, which is kept. `make test` runs the pinned version.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
import time
from pathlib import Path
from typing import NamedTuple
from xml.etree import ElementTree

ROOT = Path(__file__).parents[2]
VENVS = ROOT / ".venvs"
LIBRARIES = ("numpy", "pandas", "pyarrow", "nvidia-ml-py", "typer", "rich", "pytest", "hypothesis")
WAYS = ("fast", "public")
OTHER_PYTHONS = ("3.12", "3.13", "3.14")
LONGEST_RUN_S = 900

OWN = ("tests/core/test_ray_internals.py", "tests/core/test_flattened_arguments.py", "tests/ray/test_ways.py")
"""What looks at the ways itself, and is run once."""
COMPARISON = tuple(str(path.relative_to(ROOT)) for path in sorted(ROOT.glob("tests/ray/test_same_*.py")))
CASES = (
    "arguments-", "keyword_only_arguments", "wrong_signatures", "names_docs_and_signatures", "exported_attributes",
    "errors_are_the_users_own", "tracebacks_end", "several_results", "handles_in_closures", "handles_pickle-",
    "the_runtime_context", "invocation_decorator", "underscore_way_in", "launch_hook", "a_closure_is_taken",
    "streaming_by_default", "an_error_comes_in_its_place", "calls_of_all_kinds-any", "constructors-any",
    "what_a_class_becomes-any", "inheriting_from", "named_actors-any", "num_returns_", "max_retries_", "per_yield_",
    "recursive_tasks",
)  # fmt: skip
"""Of the comparison with ray.remote those that touch what differs between versions, and none that takes seconds."""


class Subject(NamedTuple):
    """A version of Ray under a version of Python."""

    ray: str
    python: str


class Outcome(NamedTuple):
    """What became of the tests of one subject in one way. trouble: why there is no count."""

    subject: Subject
    way: str
    passed: int = 0
    failed: int = 0
    skipped: int = 0
    seconds: float = 0.0
    trouble: str = ""


def main(arguments: list[str]) -> int:
    """Runs what the arguments say; 1 where a test failed or a version that was asked for could not be run."""
    outcomes: list[Outcome] = []
    for subject in subjects(arguments):
        outcomes += outcomes_of(subject)
        print_table(outcomes[-len(WAYS) :])
    print("\nIn all:")
    print_table(outcomes)
    failed = sum(one.failed + bool(one.trouble and one.subject.python == own_python()) for one in outcomes)
    print(f"{sum(one.passed for one in outcomes)} passed, {failed} failed")
    return int(failed > 0)


def subjects(arguments: list[str]) -> list[Subject]:
    """What is to be run, the oldest first."""
    if arguments and arguments != ["--oldest"]:
        strange = [one for one in arguments if not re.fullmatch(r"\d+(\.\w+)+(@\d+\.\d+)?", one)]
        if strange:
            sys.exit(f"{strange[0]} is no version of Ray, as 2.57.1 or 2.60.0@3.12.\n{__doc__}")
        named = (argument.partition("@") for argument in arguments)
        return [Subject(version, python or own_python()) for version, _, python in named]
    newest = newest_of_minors()
    if arguments:
        return [Subject(newest[0], own_python())]
    return [Subject(v, own_python()) for v in newest] + [Subject(pinned(), python) for python in OTHER_PYTHONS]


def newest_of_minors() -> list[str]:
    """The newest release of each minor version that the index has, from the oldest that pyproject.toml allows."""
    found = re.search(r'"ray\[[\w,]*\]>=(\d+)\.(\d+)', (ROOT / "pyproject.toml").read_text())
    assert found, "pyproject.toml names no oldest Ray"
    command = [sys.executable, "-m", "pip", "index", "versions", "ray"]
    listed = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    versions = {tuple(map(int, v)) for v in re.findall(r"\b(\d+)\.(\d+)\.(\d+)\b", listed)}
    newest: dict[tuple[int, ...], tuple[int, ...]] = {}
    for version in sorted(versions):
        if version[:2] >= (int(found[1]), int(found[2])):
            newest[version[:2]] = version
    return [".".join(map(str, version)) for version in newest.values()]


def pinned() -> str:
    """The version that `make setup` installs."""
    found = re.search(r"^ray==(.*)$", (ROOT / "constraints.txt").read_text(), re.MULTILINE)
    assert found, "constraints.txt pins no Ray"
    return found[1].strip()


def own_python() -> str:
    """The version of Python that runs this."""
    return "{}.{}".format(*sys.version_info)


def outcomes_of(subject: Subject) -> list[Outcome]:
    """The tests in each way; one trouble for each way where there is no environment to be had."""
    try:
        python = environment(subject)
    except (LookupError, subprocess.SubprocessError) as error:
        return [Outcome(subject, way, trouble=str(error)) for way in WAYS]
    return [run(subject, python, way) for way in WAYS]


def environment(subject: Subject) -> Path:
    """The interpreter of a subject's environment, made where there is none. Raises LookupError without a Python."""
    folder = VENVS / f"ray-{subject.ray}-python-{subject.python}"
    python, ready = folder / "bin" / "python", folder / ".ready"
    if not ready.exists():
        subprocess.run([interpreter(subject.python), "-m", "venv", "--clear", folder], check=True)
        pip = [python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
        subprocess.run([*pip, f"ray[default]=={subject.ray}", *LIBRARIES], check=True)
        ready.touch()
    return python


def interpreter(version: str) -> str:
    """A Python of that version: this one, one on the path, or one of pyenv's."""
    pyenv = sorted(Path.home().glob(f".pyenv/versions/{version}.*/bin/python"))
    for command in [*([sys.executable] if version == own_python() else []), f"python{version}", *map(str, pyenv)]:
        try:
            subprocess.run([command, "-c", ""], capture_output=True, check=True)
        except (OSError, subprocess.CalledProcessError):
            continue
        return command
    raise LookupError(f"no Python {version} here")


def run(subject: Subject, python: Path, way: str) -> Outcome:
    """The subset in one way, in a process of its own."""
    report = VENVS / f"{python.parents[1].name}-{way}.xml"
    report.unlink(missing_ok=True)
    command = [python, "-m", "pytest", "-p", "no:cacheprovider", "--durations=5", f"--junitxml={report}", *COMPARISON]
    if way == "fast":
        command += OWN
    names = " or ".join((*CASES, *(Path(path).stem for path in OWN)))
    variables = {name: value for name, value in os.environ.items() if name != "PLACEMENT_RAY_API"}
    variables["PYTHONPATH"] = str(ROOT)
    if way != "fast":
        variables["PLACEMENT_RAY_API"] = way
    began = time.monotonic()
    try:
        subprocess.run(
            [*command, "-k", f"({names}) and not nobody_else_imports"],
            cwd=ROOT,
            env=variables,
            timeout=LONGEST_RUN_S,
            check=False,
        )
    except subprocess.TimeoutExpired:
        return Outcome(subject, way, failed=1, trouble=f"no end within {LONGEST_RUN_S} s")
    return counted(subject, way, report, time.monotonic() - began)


def counted(subject: Subject, way: str, report: Path, seconds: float) -> Outcome:
    """The counts of pytest's report."""
    if not report.exists():
        return Outcome(subject, way, failed=1, seconds=seconds, trouble="pytest wrote no report")
    (suite,) = ElementTree.parse(report).getroot().iter("testsuite")
    total, skipped = int(suite.attrib["tests"]), int(suite.attrib["skipped"])
    failed = int(suite.attrib["failures"]) + int(suite.attrib["errors"])
    return Outcome(subject, way, total - failed - skipped, failed, skipped, seconds)


def print_table(outcomes: list[Outcome]) -> None:
    """One line for each version and way."""
    print(f"{'Ray':10}{'Python':8}{'way':8}{'passed':>8}{'failed':>8}{'skipped':>9}{'seconds':>9}")
    for one in outcomes:
        counts = f"{one.passed:8}{one.failed:8}{one.skipped:9}{one.seconds:9.0f}"
        print(f"{one.subject.ray:10}{one.subject.python:8}{one.way:8}{one.trouble or counts}", flush=True)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
