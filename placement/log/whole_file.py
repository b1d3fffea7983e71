"""One file at a path or any pyarrow filesystem URI, read and written whole: selector files on shared storage."""

from __future__ import annotations

import os
from pathlib import Path

import pyarrow as pa
from pyarrow import fs

from placement.log.files import Place, write_local


def read_whole(uri: str | os.PathLike[str]) -> bytes:
    """The file's bytes. Raises OSError where there is none or the store fails, LogError on an unknown kind of URI."""
    place = Place.of(uri)
    return bytes(place.read(place.folder))


def write_whole(uri: str | os.PathLike[str], data: bytes) -> None:
    """Writes the file whole or not at all, over the one that was there; missing folders are made. Raises OSError."""
    place = Place.of(uri)
    path = Path(place.folder)
    if isinstance(place.filesystem, fs.LocalFileSystem):
        write_local(path, pa.py_buffer(data))
    else:
        place.put(place.folder, pa.py_buffer(data))
