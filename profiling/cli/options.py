"""Options and arguments that several commands share. Paths to write are checked before the command computes."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, TypeVar

import typer

Output = TypeVar("Output", str, Path, Path | None)


def file_to_write(path: Output) -> Output:
    """The path; OptionError where a file cannot be written there."""
    if path is not None:
        from placement.log.whole_file import check_file_can_be_written

        check_file_can_be_written(path)
    return path


def folder_to_write(path: Output) -> Output:
    """The path; OptionError where files cannot be written into that folder."""
    if path is not None:
        from placement.log.whole_file import check_folder_can_be_written

        check_folder_can_be_written(path)
    return path


Json = Annotated[
    Path | None,
    typer.Option("--json", callback=file_to_write, help="Also write what is printed to this JSON file."),
]
Address = Annotated[str | None, typer.Option(help="Of the Ray cluster; found by itself where not given.")]
Log = Annotated[str, typer.Argument(help="The log: a folder, or a URI that pyarrow knows (s3://bucket/log).")]
OutputLog = Annotated[
    str, typer.Option("--output", "-o", callback=folder_to_write, help="The log, a folder or URI; it is added to.")
]
Speedup = Annotated[float, typer.Option(help="T_t: the GPU must be so many times faster.")]
EnergyRatio = Annotated[float, typer.Option(help="T_e: it may take so many times the energy.")]
Seed = Annotated[int, typer.Option(help="Of splits and initial weights.")]
