"""MkDocs hook: fills in the reference tables that are made of the code, so that they cannot drift from it.

A page asks for a table by a line `<!-- generated: NAME -->`; the names are those of TABLES.
"""

from __future__ import annotations

import ast
import re
import sys
import tomllib
from collections.abc import Iterable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

PLACE = re.compile(r"^<!-- generated: (\w+) -->$", re.MULTILINE)
METRIC_TYPES = {"Counter": "counter", "Gauge": "gauge"}


def on_page_markdown(markdown: str, **_: Any) -> str:
    """Called by MkDocs for each page, before Markdown is rendered. KeyError where a page asks for no known table."""
    return PLACE.sub(lambda match: TABLES[match[1]](), markdown)


def table(heads: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A Markdown table."""
    lines = [heads, ["---"] * len(heads), *rows]
    return "\n".join("| " + " | ".join(map(_cell, line)) + " |" for line in lines)


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("<", "&lt;")


def log_columns() -> str:
    """The columns of the log, with their types and units."""
    from placement.spec.task_record import COLUMNS, REQUIRED

    types = {float: "double", int: "int64", str: "string", bool: "bool"}
    return table(
        ("column", "type", "unit", "meaning"),
        (
            (
                f"`{c.name}`",
                "timestamp" if c.name == "time_utc" else types[c.type],
                c.unit.replace("1", "-"),
                c.what + (" (required)" if c.name in REQUIRED else ""),
            )
            for c in COLUMNS
        ),
    )


def features() -> str:
    """The nine features of the paper's net."""
    from placement.spec.features import FEATURES

    return table(("feature", "unit"), ((f"`{name}`", unit.replace("1", "-")) for name, unit in FEATURES.items()))


def policies() -> str:
    """The policies by name, with the first line of what each says of itself."""
    from placement.scheduling.policies.registry import POLICIES

    return table(
        ("name", "class", "what it takes"),
        ((f"`{name}`", f"`{kind.__name__}`", (kind.__doc__ or "").split("\n\n")[0]) for name, kind in POLICIES.items()),
    )


def metrics() -> str:
    """The metrics, read from the source: importing it needs a Ray that runs."""
    source = (ROOT / "placement" / "control_plane" / "metrics.py").read_text()
    calls = [node for node in ast.walk(ast.parse(source)) if isinstance(node, ast.Call)]
    records = {name: what for node in ast.walk(ast.parse(source)) for name, what in _records(node).items()}
    rows = []
    for call in calls:
        kind = METRIC_TYPES.get(getattr(call.func, "id", ""))
        if kind is None:
            continue
        tags = ", ".join(f"`{tag}`" for tag in ast.literal_eval(call.args[2])) if len(call.args) > 2 else ""
        own = isinstance(call.args[0], ast.BinOp) and isinstance(call.args[0].right, ast.Constant)
        called = {call.args[0].right.value: ast.literal_eval(call.args[1])} if own else records  # type: ignore[attr-defined]
        rows += [(f"`ray_placement_{name}`", kind, tags, what) for name, what in called.items()]
    return table(("metric", "type", "tags", "meaning"), rows)


def _records(node: ast.AST) -> dict[str, str]:
    """The names and descriptions of `RECORDS = {...}`."""
    if isinstance(node, ast.Assign) and getattr(node.targets[0], "id", "") == "RECORDS":
        return dict(ast.literal_eval(node.value))
    return {}


def commands() -> str:
    """Every command with its arguments and options."""
    import typer

    from profiling.cli.app import main

    group: Any = typer.main.get_command(main)
    return "\n\n".join(_command(name, command) for name, command in group.commands.items())


def _command(name: str, command: Any) -> str:
    rows = [
        (_names(parameter), _default(parameter), getattr(parameter, "help", None) or "")
        for parameter in command.params
        if parameter.name != "help"
    ]
    head = f"### placement {name}\n\n{(command.help or '').strip()}"
    return f"{head}\n\n{table(('option or argument', 'default', 'meaning'), rows)}" if rows else head


def _names(parameter: Any) -> str:
    if parameter.param_type_name == "argument":
        return f"`{parameter.name.upper()}`"
    opposite = "".join(f"/{word}" for word in parameter.secondary_opts)  # of a switch: --queues/--no-queues
    return ", ".join(f"`{word}{opposite}`" for word in parameter.opts)


def _default(parameter: Any) -> str:
    if parameter.required:
        return "required"
    value = parameter.default
    value = getattr(value, "value", value)
    return "" if value is None or value is False or value in ((), "") or callable(value) else f"`{value}`"


def tree(package: str) -> str:
    """The rooms of a package with the first line of each module, as a list."""
    lines = []
    for folder in _rooms(package):
        lines.append(f"- **`{package}/{folder.name}/`**: {_first_line(folder / '__init__.py')}")
        modules = sorted(p for p in folder.rglob("*.py") if p.name != "__init__.py")
        lines += [f"    - `{module.relative_to(folder)}`: {_first_line(module)}" for module in modules]
    modules = sorted(p for p in (ROOT / package).glob("*.py") if p.name != "__init__.py")
    lines += [f"- `{package}/{module.name}`: {_first_line(module)}" for module in modules]
    return "\n".join(lines)


def _rooms(package: str) -> list[Path]:
    """A package's folders in the order of its contract, the lowest first; KeyError where a folder is not in it."""
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]
    (contract,) = (one for one in settings["contracts"] if one.get("containers") == [package])
    names = [name for layer in reversed(contract["layers"]) for name in layer.split(" | ")]
    order = {name: i for i, name in enumerate(names)}
    folders = [path for path in (ROOT / package).iterdir() if (path / "__init__.py").exists()]
    return sorted(folders, key=lambda folder: order[folder.name])


def _first_line(module: Path) -> str:
    doc = ast.get_docstring(ast.parse(module.read_text())) or ""
    return " ".join(doc.split("\n\n")[0].split())


TABLES = {
    "commands": commands,
    "features": features,
    "log_columns": log_columns,
    "metrics": metrics,
    "policies": policies,
    "tree_of_placement": partial(tree, "placement"),
    "tree_of_profiling": partial(tree, "profiling"),
}
