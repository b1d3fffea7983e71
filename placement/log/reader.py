"""Reading the log: corrupt and foreign files are named, skipped and counted; a newer schema is refused by name."""

from __future__ import annotations

import json
import logging
import math
import os
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from placement.errors import LogError
from placement.log.files import Place
from placement.log.schema import SCHEMA, VERSION_KEY
from placement.spec.task_record import SCHEMA_VERSION

PARTS_KEY = b"placement.parts"
"""In a compacted file: [[name, rows], ...] of the files whose rows it holds, in order. The name is counted once."""

_ATTEMPTS = 5
_log = logging.getLogger(__name__)

Cell = tuple[str, str, str, float | None]
"""(preset, config, device, cpus)"""


@dataclass(frozen=True, slots=True)
class LogReadout:
    """A log as read: its rows, the files they came from, and (path, reason) of each file that was skipped."""

    table: pa.Table
    files: tuple[str, ...]
    skipped: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, slots=True)
class LogFile:
    """One readable file: (name, rows) of each file that was written by an append, itself or those compacted into it."""

    path: str
    parts: tuple[tuple[str, pa.Table], ...]


class _Unreadable(Exception):
    """A file that is no log file; the message is the reason."""


def read_log(
    uri: str | os.PathLike[str], *, columns: Sequence[str] | None = None, filters: Any | None = None
) -> pa.Table:
    """The log's rows as a table of SCHEMA, or of `columns` of it; skipped files are warned about, see `readout`.

    filters: a pyarrow.compute expression, or (column, operator, value) tuples as pyarrow.parquet takes them.
    Raises LogError where there is no log, or where a file has a newer schema version.
    """
    found = readout(uri, columns=columns, filters=filters)
    for path, reason in found.skipped:
        _log.warning("log file skipped: %s: %s", path, reason)
    return found.table


def readout(
    uri: str | os.PathLike[str], *, columns: Sequence[str] | None = None, filters: Any | None = None
) -> LogReadout:
    """As `read_log`, with the files read and the files skipped. A batch that is in several files counts once."""
    unknown = sorted(set(columns or ()) - set(SCHEMA.names))
    if unknown:
        raise LogError(f"the log has no columns {unknown}; it has {SCHEMA.names}.")
    place = Place.of(uri)
    files, skipped = read_files(place)
    if files is None:
        raise LogError(f"there is no log at {uri!s}. `placement sweep -o {uri!s}` writes one.")
    table = _joined(files)
    if filters is not None:
        table = table.filter(_expression(filters))
    if columns is not None:
        table = table.select(list(columns))
    return LogReadout(table, tuple(file.path for file in files), skipped)


def done_cells(uri: str | os.PathLike[str], run_id: str | None = None) -> set[Cell]:
    """The cells a sweep has measured, a run over its budget included, so that it can resume. No log: none.

    run_id: of one sweep only.
    """
    files, _ = read_files(Place.of(uri))
    table = _joined(files or []).filter((pc.field("source") == "sweep") & pc.field("error").is_null())
    if run_id is not None:
        table = table.filter(pc.field("run_id") == run_id)
    names = ("preset", "config", "device", "cpus")
    return set(zip(*(table[name].to_pylist() for name in names), strict=True))


def read_files(
    place: Place, below_bytes: float = math.inf, only: Sequence[str] | None = None
) -> tuple[list[LogFile] | None, tuple[tuple[str, str], ...]]:
    """Every readable file smaller than that, or of those named, and (path, reason) of the rest; None of no folder.

    A file that goes while it is read has been compacted into another: then the folder is listed anew.
    """
    for _ in range(_ATTEMPTS):
        paths = place.list(below_bytes) if only is None else list(only)
        if paths is None:
            return None, ()
        try:
            with ThreadPoolExecutor(4) as pool:
                outcomes = list(pool.map(lambda path: _attempt(place, path), paths))
        except FileNotFoundError:
            continue
        files = [outcome for outcome in outcomes if isinstance(outcome, LogFile)]
        skipped = tuple(
            (path, outcome) for path, outcome in zip(paths, outcomes, strict=True) if isinstance(outcome, str)
        )
        return files, skipped
    raise LogError(f"files of the log at {place.folder} kept vanishing while it was read; read it again.")


def _attempt(place: Place, path: str) -> LogFile | str:
    data = place.read(path)
    try:
        return parse(path, data)
    except _Unreadable as fault:
        return str(fault)


def parse(path: str, data: pa.Buffer) -> LogFile:
    """A file's bytes as rows of SCHEMA. _Unreadable where they are not; LogError on a newer schema version."""
    try:
        source = pq.ParquetFile(pa.BufferReader(data), page_checksum_verification=True)
        metadata = source.schema_arrow.metadata or {}
    except (pa.ArrowException, OSError, ValueError, TypeError, KeyError, MemoryError, OverflowError) as fault:
        raise _Unreadable(f"not a readable Parquet file ({_short(fault)})") from None
    _check_version(path, metadata)
    try:
        table = _conform(source.read(use_threads=False))
        sizes = _parts(path, metadata, table.num_rows)
    except (pa.ArrowException, OSError, ValueError, TypeError, KeyError, MemoryError, OverflowError) as fault:
        raise _Unreadable(f"corrupt ({_short(fault)})") from None
    parts, start = [], 0
    for name, rows in sizes:
        parts.append((name, table.slice(start, rows)))
        start += rows
    return LogFile(path, tuple(parts))


def _check_version(path: str, metadata: dict[bytes, bytes]) -> None:
    if VERSION_KEY not in metadata:
        raise _Unreadable("foreign: no placement schema version in its metadata")
    text = metadata[VERSION_KEY]
    if not text.isdigit() or len(text) > 9:
        raise _Unreadable(f"foreign: schema version {text[:20]!r} is not a number")
    if int(text) > SCHEMA_VERSION:
        raise LogError(
            f"{path} has schema version {int(text)}; this installation reads up to {SCHEMA_VERSION}. "
            "Update ray-placement, or read the log without that file."
        )


def _conform(table: pa.Table) -> pa.Table:
    """Our columns only, in our types; those an older version did not have are null.

    Raises ArrowException where a column's values do not fit its type.
    """
    columns = []
    for field in SCHEMA:
        index = table.schema.get_all_field_indices(field.name)
        if not index:
            columns.append(pa.chunked_array([pa.nulls(table.num_rows, field.type)]))
            continue
        column = table.column(index[0])
        if isinstance(column.type, pa.BaseExtensionType):
            raise _Unreadable(f"foreign: column {field.name!r} is of extension type {column.type}")
        columns.append(column if column.type == field.type else column.cast(field.type))
    conformed = pa.Table.from_arrays(columns, schema=SCHEMA)
    conformed.validate(full=True)
    return conformed


def _parts(path: str, metadata: dict[bytes, bytes], rows: int) -> list[tuple[str, int]]:
    own = os.path.basename(path)
    if PARTS_KEY not in metadata:
        return [(own, rows)]
    parts = [(str(name), int(count)) for name, count in json.loads(metadata[PARTS_KEY])]
    if any(count < 0 for _, count in parts) or sum(count for _, count in parts) != rows:
        raise _Unreadable("corrupt: its parts do not add up to its rows")
    return parts


def counted_once(files: Iterable[LogFile]) -> list[tuple[str, pa.Table]]:
    """(name, rows) of every appended file in the order of their names, each name once, each batch once.

    A batch is written whole by one append, so a batch_id in a later file is a resend. Rows without one always count.
    """
    unique: dict[str, pa.Table] = {}
    for file in files:
        for name, table in file.parts:
            unique.setdefault(name, table)
    seen: set[str] = set()
    parts = []
    for name in sorted(unique):
        table = unique[name]
        batches = set(pc.unique(table["batch_id"]).to_pylist()) - {None}
        doubles = batches & seen
        if doubles:
            resent = pc.is_in(table["batch_id"], pa.array(sorted(doubles), pa.string()))
            table = table.filter(pc.invert(resent))
        seen |= batches
        parts.append((name, table))
    return parts


def _joined(files: Iterable[LogFile]) -> pa.Table:
    parts = counted_once(files)
    return pa.concat_tables([table for _, table in parts]) if parts else SCHEMA.empty_table()


def _expression(filters: Any) -> pc.Expression:
    if isinstance(filters, pc.Expression):
        return filters
    try:
        return pq.filters_to_expression(filters)
    except (ValueError, TypeError) as fault:
        raise LogError(f"not filters: {filters!r} ({fault}). Give [(column, operator, value), ...].") from fault


def _short(fault: BaseException) -> str:
    return (str(fault).splitlines() or [type(fault).__name__])[0][:200]
