"""Writes a missing data set in the layout of the real one: whole or not at all, with any number of processes at once.

A folder that was written here holds a marker file, so that every later reader knows its data are synthetic.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path

from workloads.base import DataError

MARKER = "SYNTHETIC"


def ensure(folder: Path, write: Callable[[Path], None]) -> Path:
    """`folder`, written by `write(temporary folder)` where it is not there.

    Two processes may do this at once: each writes its own temporary folder beside it, the first rename wins, the
    other's is removed. Raises DataError where the folder cannot be written.
    """
    if folder.is_dir():
        return folder
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        temporary = Path(tempfile.mkdtemp(prefix=f".{folder.name}-", dir=folder.parent))
    except OSError as error:
        raise DataError(
            f"{folder} is not there and cannot be generated: {error}. Put the data set there, or give a data root "
            "that can be written."
        ) from error
    try:
        temporary.chmod(0o755)
        write(temporary)
        (temporary / MARKER).write_text("Generated files in the layout of the real data set. Not real data.\n")
        try:
            temporary.rename(folder)
        except OSError:
            if not folder.is_dir():  # another process has written it meanwhile
                raise
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
    return folder


def is_synthetic(folder: Path) -> bool:
    """Whether `ensure` wrote the folder."""
    return (folder / MARKER).exists()


def kept_text(path: Path, make: Callable[[], str]) -> str:
    """The text of the file, which is made and written at the first call; where it cannot be written, made anew."""
    if path.exists():
        return path.read_text(encoding="utf-8")
    made = make()
    temporary = path.with_name(f".{path.name}-{os.getpid()}")
    try:
        temporary.write_text(made, encoding="utf-8")
        temporary.replace(path)
    except OSError:  # a read-only data root: it is made again in the next process
        temporary.unlink(missing_ok=True)
    return made
