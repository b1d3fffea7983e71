"""`placement paper PART [LOG]`: one part of the paper's evaluation, its tables in the terminal and with --json."""

from __future__ import annotations

import time
from dataclasses import replace
from enum import StrEnum
from importlib import import_module
from pathlib import Path
from typing import Annotated

import typer

from placement.errors import OptionError
from profiling.cli.options import Json, file_to_write
from profiling.paper import EPOCHS, PARTS, PaperOptions, Part

Which = StrEnum("Which", {name: name for name in PARTS})  # type: ignore[misc]


def paper_command(
    part: Annotated[Which, typer.Argument(help=f"Of the paper's evaluation: {', '.join(PARTS)}.")],
    log: Annotated[
        str | None, typer.Argument(help="A log (path or URI); else A-D emulated, and what was measured.")
    ] = None,
    seeds: Annotated[int, typer.Option(min=2, help="Of splits and nets; intervals are over them.")] = 3,
    epochs: Annotated[int, typer.Option(min=1, help="Of each net at most; the paper's are 800.")] = EPOCHS,
    beside: Annotated[
        str, typer.Option(help="Learners beside the net in Table 5: boosted_trees, ratio (slower), logistic; NAME,...")
    ] = "boosted_trees",
    configs: Annotated[
        str, typer.Option(help="Emulated without a log: names or groups (paper, servers, phone, laptop),...")
    ] = "paper",
    plot: Annotated[
        Path | None, typer.Option(callback=file_to_write, help="Draw Fig. 1 or 3-5 to this file (.png, .svg, .pdf).")
    ] = None,
    json: Json = None,
) -> None:
    """One part of the paper's evaluation: the published figures, ours beside them, and why they differ."""
    from profiling.report import console_tables

    began = time.monotonic()
    name, found = evaluated(part.value, log, PaperOptions(part.value, seeds, epochs, names_of(beside)), configs)
    console_tables.say(name)
    for made in found.tables[:-1]:
        console_tables.show(made, None, {})
    console_tables.show(found.tables[-1], json, found.data)
    if plot is not None:
        if found.draw is None:
            raise OptionError(f"--plot: {part.value} is a table; fig1, fig3, fig4 and fig5 are drawn.")
        found.draw().savefig(plot, dpi=150)
    for note in found.notes:
        console_tables.say(f"- {note}")
    console_tables.say(f"{time.monotonic() - began:.0f} s")


def evaluated(part: str, log: str | None, options: PaperOptions, configs: str = "paper") -> tuple[str, Part]:
    """(A line on the origin of the figures, the part); its data name the origin too."""
    from profiling.learning.descent import one_thread
    from profiling.paper.source import read

    source = read(log, configs=configs)
    with one_thread():
        found: Part = import_module(PARTS[part]).run(source, options)
    told = {"part": part, **source.told(), **found.data, "notes": list(found.notes)}
    return source.line(), replace(found, data=told)


def names_of(text: str) -> tuple[str, ...]:
    """The learners of a list NAME,...; OptionError on an unknown name."""
    from profiling.learning.registry import learners

    names = tuple(name.strip() for name in text.split(",") if name.strip())
    if missing := [name for name in names if name not in learners()]:
        raise OptionError(f"--beside {','.join(missing)}: valid are {', '.join(learners())}.")
    return names
