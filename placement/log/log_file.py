"""One file of the log, from bytes to rows, or the reason why it is none.

A file is ours by the schema version in its metadata. One that pandas, polars or Spark rewrote has lost its metadata; it
is ours if it has every required column, `schema_version` among them. Columns that a Hive-partitioned folder keeps in
its folders' names ("device=gpu") are read from the path.
"""

from __future__ import annotations

import json
from collections.abc import Collection
from dataclasses import dataclass
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.dataset
import pyarrow.parquet as pq

from placement.errors import LogError
from placement.log.conversion import in_type
from placement.log.schema import SCHEMA, VERSION_KEY
from placement.spec.task_record import REQUIRED, SCHEMA_VERSION

PARTS_KEY = b"placement.parts"
"""In a compacted file: [[name, rows], ...] of the files whose rows it holds, in order. Each name is counted once."""

_PARTITIONS = pyarrow.dataset.HivePartitioning(pa.schema(list(SCHEMA)), null_fallback="__HIVE_DEFAULT_PARTITION__")
_FAULTS = (pa.ArrowException, OSError, ValueError, TypeError, KeyError, MemoryError, OverflowError)


@dataclass(frozen=True, slots=True)
class LogFile:
    """One readable file: (name, rows) of each append whose rows it holds, several if it was compacted."""

    path: str
    parts: tuple[tuple[str, pa.Table], ...]


class UnreadableFile(Exception):
    """A file that is no log file; the message is the reason."""


def parse(path: str, name: str, data: pa.Buffer) -> LogFile:
    """A file's bytes as rows of SCHEMA.

    name: under which its rows are counted, the path below the log's folder.
    Raises UnreadableFile where the bytes are no log file, LogError on a newer schema version.
    """
    try:
        source = pq.ParquetFile(
            pa.BufferReader(data), page_checksum_verification=True, coerce_int96_timestamp_unit="us"
        )
        metadata = source.schema_arrow.metadata or {}
    except _FAULTS as fault:
        raise UnreadableFile(f"not a readable Parquet file ({_first_line(fault)})") from None
    partitions = _partition_values(path)
    _check_columns(source.schema_arrow.names, partitions)
    _check_version(path, metadata)
    try:
        table = _conform(source.read(use_threads=False), partitions)
        sizes = _parts(name, metadata, table.num_rows)
    except _FAULTS as fault:
        raise UnreadableFile(f"corrupt ({_first_line(fault)})") from None
    _refuse_newer(path, pc.max(table["schema_version"]).as_py())
    parts, start = [], 0
    for part, rows in sizes:
        parts.append((part, table.slice(start, rows)))
        start += rows
    return LogFile(path, tuple(parts))


def _partition_values(path: str) -> dict[str, Any]:
    """Columns of the log in the names of a path's Hive folders."""
    try:
        return dict(pyarrow.dataset.get_partition_keys(_PARTITIONS.parse(path)))
    except pa.ArrowException as fault:
        raise UnreadableFile(f"foreign: a folder's name is no value of its column ({_first_line(fault)})") from None


def _check_columns(names: list[str], partitions: Collection[str]) -> None:
    missing = sorted(REQUIRED - {*names, *partitions})
    if missing:
        raise UnreadableFile(f"foreign: it lacks the columns {missing} of the log")
    repeated = sorted(name for name in SCHEMA.names if names.count(name) > 1)
    if repeated:
        raise UnreadableFile(f"foreign: it has the columns {repeated} more than once")


def _check_version(path: str, metadata: dict[bytes, bytes]) -> None:
    text = metadata.get(VERSION_KEY)
    if text is None:
        return
    if not text.isdigit() or len(text) > 9:
        raise UnreadableFile(f"foreign: schema version {text[:20]!r} is not a number")
    _refuse_newer(path, int(text))


def _refuse_newer(path: str, version: int | None) -> None:
    if version is not None and version > SCHEMA_VERSION:
        raise LogError(
            f"{path} has schema version {version}; this installation reads up to {SCHEMA_VERSION}. "
            "Update ray-placement, or read the log without that file."
        )


def _conform(table: pa.Table, partitions: dict[str, Any]) -> pa.Table:
    """The columns of SCHEMA in its types; those that neither the file nor its path has are null.

    Raises UnreadableFile where a column's values do not fit its type.
    """
    columns = []
    for field in SCHEMA:
        if field.name in table.column_names:
            columns.append(_converted(table[field.name], field))
        else:
            value = pa.scalar(partitions.get(field.name), field.type)
            columns.append(pa.chunked_array([pa.repeat(value, table.num_rows)]))
    conformed = pa.Table.from_arrays(columns, schema=SCHEMA)
    conformed.validate(full=True)
    return conformed


def _converted(column: pa.ChunkedArray, field: pa.Field) -> pa.ChunkedArray:
    if isinstance(column.type, pa.BaseExtensionType):
        raise UnreadableFile(f"foreign: column {field.name!r} is of extension type {column.type}")
    try:
        return in_type(column, field.type)
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError, pa.ArrowTypeError) as fault:
        raise UnreadableFile(f"foreign: column {field.name!r} is no {field.type}: {_first_line(fault)}") from None


def _parts(name: str, metadata: dict[bytes, bytes], rows: int) -> list[tuple[str, int]]:
    if PARTS_KEY not in metadata:
        return [(name, rows)]
    parts = [(str(part), int(count)) for part, count in json.loads(metadata[PARTS_KEY])]
    if any(count < 0 for _, count in parts) or sum(count for _, count in parts) != rows:
        raise UnreadableFile("corrupt: its parts do not add up to its rows")
    return parts


def _first_line(fault: BaseException) -> str:
    return (str(fault).splitlines() or [type(fault).__name__])[0][:200]
