"""The pages: their Python runs, their commands and targets exist, and their tables are those of the code."""

from __future__ import annotations

import importlib.util
import json
import re
import shlex
import sys
from importlib import resources
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import typer
from pages import PAGES, PROJECT, README, commands_in, make_targets_in, run, scripts_of

import placement
from profiling.cli.app import main

ALL = (README, PROJECT / "CONTRIBUTING.md", *PAGES)
WITH_SCRIPTS = [page for page in PAGES if scripts_of(page)]
COMMANDS: dict[str, Any] = typer.main.get_command(main).commands  # type: ignore[attr-defined]
MOST_WORDS = 900


def name_of(page: Path) -> str:
    return str(page.relative_to(PROJECT))


@pytest.fixture(scope="module")
def hooks() -> ModuleType:
    """docs/hooks.py, as MkDocs loads it."""
    spec = importlib.util.spec_from_file_location("docs_hooks", PROJECT / "docs" / "hooks.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_readme_is_short() -> None:
    assert len(README.read_text().split()) <= MOST_WORDS


def test_the_links_of_the_readme_lead_somewhere() -> None:
    for page in (README, PROJECT / "CONTRIBUTING.md", PROJECT / "SECURITY.md"):
        for link in re.findall(r"\]\(([^)#]+)", page.read_text()):
            assert (PROJECT / link).exists(), f"{page.name}: {link}"


def test_the_pages_that_show_code_are_those_that_should() -> None:
    assert {page.stem for page in WITH_SCRIPTS} >= {"start", "describe", "decisions", "policies", "libraries"}


@pytest.mark.parametrize("page", WITH_SCRIPTS, ids=name_of)
def test_the_python_of_a_page_is_one_script_that_runs(
    page: Path, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    script = "\n\n".join(scripts_of(page))
    (tmp_path / "script.py").write_text(script)
    # A script that sets something for its whole cluster starts its own; others share the session's.
    address = request.getfixturevalue("emulated") if "ray.init()" in script else "local"
    done = run([sys.executable, "script.py"], tmp_path, RAY_ADDRESS=address)
    assert done.stdout.strip()
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("page", ALL, ids=name_of)
def test_the_commands_of_a_page_exist_with_their_options(page: Path) -> None:
    for command in commands_in(page):
        words = shlex.split(command)
        if words[1] not in COMMANDS:
            assert words[1] == "COMMAND", command
            continue
        parameters = COMMANDS[words[1]].params
        known = {name for one in parameters for name in (*one.opts, *one.secondary_opts)} | {"--help"}
        assert {word for word in words[2:] if re.match(r"-[a-z-]", word)} <= known, command


@pytest.mark.parametrize("page", ALL, ids=name_of)
def test_make_knows_the_targets_of_a_page(page: Path) -> None:
    for command in make_targets_in(page):
        run([*command.split(), "--dry-run"], PROJECT)


def test_each_target_of_make_is_on_the_command_line_page() -> None:
    phony = re.search(r"^\.PHONY: (.*)$", (PROJECT / "Makefile").read_text(), re.MULTILINE)
    assert phony is not None
    documented = make_targets_in(PROJECT / "docs/reference/command-line.md")
    assert {f"make {target}" for target in phony[1].split()} == documented


def test_each_page_that_asks_for_a_table_gets_it(hooks: ModuleType) -> None:
    asked = {name: page for page in PAGES for name in hooks.PLACE.findall(page.read_text())}
    assert set(asked) == set(hooks.TABLES)
    for page in asked.values():
        assert "generated:" not in hooks.on_page_markdown(page.read_text())


def test_the_tables_hold_what_the_code_has(hooks: ModuleType) -> None:
    from placement.control_plane.metrics import RECORDS
    from placement.scheduling.policies.registry import POLICIES
    from placement.spec.task_record import NAMES

    assert re.findall(r"^\| `(\w+)`", hooks.log_columns(), re.MULTILINE) == list(NAMES)
    assert re.findall(r"^\| `(\w+)`", hooks.policies(), re.MULTILINE) == list(POLICIES)
    assert re.findall(r"^### placement (\S+)", hooks.commands(), re.MULTILINE) == list(COMMANDS)
    metrics = re.findall(r"^\| `ray_placement_(\w+)`", hooks.metrics(), re.MULTILINE)
    assert set(metrics) >= {"decisions", "wait_seconds", *RECORDS}
    assert len(set(metrics)) == len(metrics) == 15
    assert all(f"| {description} |" in hooks.metrics() for description in RECORDS.values())


def test_the_table_of_commands_shows_switches_both_ways_and_defaults_of_zero(hooks: ModuleType) -> None:
    shown = hooks.commands()
    assert "| `--queues/--no-queues` | `True` |" in shown
    assert "| `--growth` |  |" in shown  # not on by default, so that there is nothing to turn off
    assert "| `--noise` | `0.0` |" in shown


def test_the_dashboard_asks_for_metrics_that_are_told(hooks: ModuleType) -> None:
    dashboard = resources.files("placement").joinpath("data/grafana.json").read_text()
    asked = set(re.findall(r"ray_placement_[a-z_]+", dashboard))
    told = set(re.findall(r"ray_placement_[a-z_]+", hooks.metrics()))
    assert {re.sub(r"_total$", "", name) for name in asked} <= told


def test_the_api_page_has_every_public_name() -> None:
    shown = set(re.findall(r"^::: placement\.([\w.]+)", (PROJECT / "docs/reference/api.md").read_text(), re.MULTILINE))
    public = set(placement.__all__) - {"describe", "PlacementError"}
    assert shown >= public | {f"describe.{name}" for name in placement.describe.__all__} | {"errors"}


def test_the_page_on_selector_files_names_each_field_of_the_file() -> None:
    page = (PROJECT / "docs/reference/selector-file.md").read_text()
    file = json.loads(resources.files("placement").joinpath("data/selector.json").read_text())
    assert {name for name in [*file, *file["trees"]] if f"`{name}`" not in page} == set()


def test_the_changelog_begins_with_this_version_and_the_newest_release_is_dated() -> None:
    import tomllib

    version, _, in_work = tomllib.loads((PROJECT / "pyproject.toml").read_text())["project"]["version"].partition(
        ".dev"
    )
    entries = re.findall(r"^## (.*)$", (PROJECT / "CHANGELOG.md").read_text(), re.MULTILINE)
    assert "Unreleased" not in entries[1:]
    newest = next(entry for entry in entries if entry != "Unreleased")
    dated = re.fullmatch(r"(\d+\.\d+\.\d+) \(\d{4}-\d\d-\d\d\)", newest)
    assert dated is not None
    assert (entries[0] == "Unreleased" and dated[1] != version) if in_work else dated[1] == version


@pytest.mark.parametrize("page", [README, PROJECT / "docs/how-to/decisions.md"], ids=name_of)
def test_the_decision_that_a_page_shows_is_that_of_the_selector_that_ships(page: Path) -> None:
    from profiling.cli.task_explanation import explain_task, snapshot_of

    task = placement.TaskSpec(flops=1e12, input_bytes=1e6, batch_size=8, parameters=1_000_000)
    assert "--flops 1e12 --input-bytes 1e6 --batch 8 --parameters 1e6" in page.read_text()
    explanation = explain_task(task, snapshot_of(None, True, None)[0], 1.0, None, None)
    shown = re.search(r"^    gpu \(gpu_worth_it\)(?:.+\n)+", page.read_text(), re.MULTILINE)
    assert shown is not None
    assert {line.strip() for line in shown[0].splitlines()} <= set(str(explanation).splitlines())


def test_fields_of_a_docstring_become_a_list() -> None:
    pytest.importorskip("griffe", reason="it is in the extra `docs`: make setup")
    spec = importlib.util.spec_from_file_location("docstring_fields", PROJECT / "docs" / "docstring_fields.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    text = "One line.\n\nsize: in bytes,\n    of one.  name, kind: two.  other: text.\nRaises ValueError."
    items = "- **`size`**: in bytes, of one.\n- **`name, kind`**: two.\n- **`other`**: text."
    assert module.listed(text, {"size", "name", "kind"}) == f"One line.\n\n{items}\n\nRaises ValueError."
    assert module.listed("There is one note: nothing of this.", {"size"}) == "There is one note: nothing of this."
