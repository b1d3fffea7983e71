"""The last rows of a log, some columns of them, as arrays: what a restarted placement actor remembers.

Bounded in rows and time, however large the log is: files are read from the newest on, and of each only what is asked.
"""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import TYPE_CHECKING, NamedTuple

import pyarrow as pa

from placement.errors import PlacementError
from placement.log.files import LogFolder
from placement.log.log_file import LogFile, UnreadableFile, parse_end
from placement.log.reader import counted_once
from placement.log.schema import SCHEMA

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

FILES_AT_ONCE = 4

_log = logging.getLogger(__name__)


class Texts(NamedTuple):
    """A column of text: the position of each row's value in `values`, -1 for null."""

    codes: NDArray[np.int64]
    values: list[str]


class LogTail(NamedTuple):
    """Columns of the last rows, in the order of their writing. Numbers and booleans are floats, null is NaN."""

    rows: int
    numbers: dict[str, NDArray[np.float64]]
    texts: dict[str, Texts]


def read_tail(uri: str | os.PathLike[str], columns: Sequence[str], rows: int, time_s: float) -> LogTail:
    """The last `rows` rows of a log, or a few more: no file is begun once they are read, or `time_s` is over.

    Files that cannot be read, or are of a newer schema version, are named by a warning and left out. No rows where
    there is no log. Raises OSError where the store fails, LogError on an unknown kind of URI.
    """
    place = LogFolder.of(uri)
    files = list(_newest(place, columns, rows, time.monotonic() + time_s))
    parts = [table for _, table in counted_once(files)]
    schema = pa.schema([SCHEMA.field(column) for column in columns])
    table = pa.concat_tables([part.select(schema.names) for part in parts]) if parts else schema.empty_table()
    texts = [field.name for field in schema if pa.types.is_string(field.type)]
    numbers = {name: _numbers(table[name]) for name in schema.names if name not in texts}
    return LogTail(table.num_rows, numbers, {name: _texts(table[name]) for name in texts})


def _newest(place: LogFolder, columns: Sequence[str], rows: int, deadline: float) -> Iterator[LogFile]:
    paths = (place.list() or [])[::-1]
    read = partial(_end_of, place, columns=columns, rows=rows)
    with ThreadPoolExecutor(FILES_AT_ONCE) as pool:
        for first in range(0, len(paths), FILES_AT_ONCE):
            if rows <= 0 or time.monotonic() > deadline:
                return
            for file in pool.map(read, paths[first : first + FILES_AT_ONCE]):
                if file is not None:
                    rows -= sum(part.num_rows for _, part in file.parts)
                    yield file


def _end_of(place: LogFolder, path: str, columns: Sequence[str], rows: int) -> LogFile | None:
    try:
        with place.filesystem.open_input_file(path) as source:
            return parse_end(path, place.name_of(path), source, columns, rows)
    except FileNotFoundError:  # compacted meanwhile; its rows are in a file that was not listed
        return None
    except (UnreadableFile, PlacementError) as fault:
        _log.warning("log file left out of what is remembered: %s: %s", path, fault)
        return None


def _numbers(column: pa.ChunkedArray) -> NDArray[np.float64]:
    array: NDArray[np.float64] = column.cast(pa.float64()).to_numpy()
    return array


def _texts(column: pa.ChunkedArray) -> Texts:
    encoded = column.dictionary_encode().unify_dictionaries()
    if not encoded.num_chunks:
        return Texts(pa.array([], pa.int64()).to_numpy(), [])
    codes = pa.chunked_array([chunk.indices for chunk in encoded.chunks]).cast(pa.int64()).fill_null(-1)
    return Texts(codes.to_numpy(), encoded.chunk(0).dictionary.to_pylist())
