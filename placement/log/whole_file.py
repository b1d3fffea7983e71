"""One file at a path or any pyarrow filesystem URI, read and written whole: selector files on shared storage."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

import pyarrow as pa
from pyarrow import fs

from placement.errors import OptionError
from placement.log.files import LogFolder, write_local


def read_whole(uri: str | os.PathLike[str]) -> bytes:
    """The file's bytes. Raises OSError where there is none or the store fails, LogError on an unknown kind of URI."""
    place = LogFolder.of(uri)
    return bytes(place.read(place.folder))


def write_whole(uri: str | os.PathLike[str], data: bytes) -> None:
    """Writes the file whole or not at all, over the one that was there; missing folders are made. Raises OSError."""
    place = LogFolder.of(uri)
    path = Path(place.folder)
    if isinstance(place.filesystem, fs.LocalFileSystem):
        write_local(path, pa.py_buffer(data))
    else:
        place.put(place.folder, pa.py_buffer(data))


def check_file_can_be_written(uri: str | os.PathLike[str]) -> None:
    """Raises OptionError where `write_whole` would fail at this path or URI; leaves nothing behind.

    For commands that compute for minutes before they write. Of a store that is not local only the kind of the path and
    the access to it are checked.
    """
    place = LogFolder.of(uri)
    if place.filesystem.get_file_info(place.folder).type == fs.FileType.Directory or os.fspath(uri).endswith("/"):
        raise OptionError(f"{os.fspath(uri)} is a folder; give the path of a file to write.")
    if isinstance(place.filesystem, fs.LocalFileSystem):
        _check_folder(uri, Path(place.folder).parent)


def check_folder_can_be_written(uri: str | os.PathLike[str]) -> None:
    """Raises OptionError where no file can be made in a folder at this path or URI; leaves nothing behind."""
    place = LogFolder.of(uri)
    if place.filesystem.get_file_info(place.folder).type == fs.FileType.File:
        raise OptionError(f"{os.fspath(uri)} is a file; give the path of a folder to write to.")
    if isinstance(place.filesystem, fs.LocalFileSystem):
        _check_folder(uri, Path(place.folder))


def _check_folder(uri: str | os.PathLike[str], folder: Path) -> None:
    """Raises OptionError unless a temporary file can be made in the folder, or in its nearest parent that exists."""
    there = next(each for each in (folder, *folder.parents) if each.exists())
    try:
        with tempfile.TemporaryFile(dir=there):
            return
    except OSError as fault:
        raise OptionError(
            f"{os.fspath(uri)} cannot be written: {there}: {fault.strerror}. Give another path."
        ) from None
