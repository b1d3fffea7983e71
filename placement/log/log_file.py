"""One file of the log, from bytes to rows, or the reason why it is none.

A file is ours by the schema version in its metadata. One that pandas, polars or Spark rewrote has lost its metadata; it
is ours if it has every required column, `schema_version` among them. Columns that a Hive-partitioned folder keeps in
its folders' names ("device=gpu") are read from the path.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Sequence
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

LARGEST_GROUPS = 2
"""Row groups of up to so many times the rows that are wanted are read."""

ENCODED = pa.dictionary(pa.int32(), pa.string())

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
    source, partitions = _opened(path, pa.BufferReader(data))
    return _log_file(path, name, source, partitions, SCHEMA, range(source.num_row_groups))


def parse_end(path: str, name: str, data: pa.NativeFile, columns: Sequence[str], rows: int) -> LogFile:
    """The file's last row groups with so many rows together, or all there are, and of these the `columns` alone.

    Nothing else of the file is read. Text is dictionary-encoded, except of batch_id. Raises what `parse` does, and
    UnreadableFile where a group is far larger than `rows`.
    """
    fields = [SCHEMA.field("schema_version"), SCHEMA.field("batch_id"), *map(SCHEMA.field, columns)]
    texts = [field.name for field in fields[2:] if pa.types.is_string(field.type)]
    schema = pa.schema([field.with_type(ENCODED) if field.name in texts else field for field in fields])
    source, partitions = _opened(path, data, texts)
    first, found = source.num_row_groups, 0
    while first and found < rows:
        first -= 1
        found += source.metadata.row_group(first).num_rows
    if found > LARGEST_GROUPS * rows:
        raise UnreadableFile(f"it has {found:,} rows in one row group")
    return _log_file(path, name, source, partitions, schema, range(first, source.num_row_groups))


def _opened(path: str, data: pa.NativeFile, encoded: Sequence[str] = ()) -> tuple[pq.ParquetFile, dict[str, Any]]:
    """The Parquet file of the log, its columns and version checked, and the columns of its folders' names."""
    try:
        footer = pq.read_metadata(data)
        source = pq.ParquetFile(
            data, metadata=footer, page_checksum_verification=True, coerce_int96_timestamp_unit="us",
            read_dictionary=[name for name in encoded if name in footer.schema.names],
        )  # fmt: skip
        metadata = source.schema_arrow.metadata or {}
    except _FAULTS as fault:
        raise UnreadableFile(f"not a readable Parquet file ({_first_line(fault)})") from None
    partitions = _partition_values(path)
    _check_columns(source.schema_arrow.names, partitions)
    _check_version(path, metadata)
    return source, partitions


def _log_file(
    path: str, name: str, source: pq.ParquetFile, partitions: dict[str, Any], schema: pa.Schema, groups: range
) -> LogFile:
    """The rows of the last `groups` of a file; of its parts those that these rows are of."""
    names = set(source.schema_arrow.names)
    try:
        table = source.read_row_groups(list(groups), [c for c in schema.names if c in names], use_threads=False)
        table = _conform(table, partitions, schema)
        sizes = _parts(name, source.schema_arrow.metadata or {}, source.metadata.num_rows)
    except _FAULTS as fault:
        raise UnreadableFile(f"corrupt ({_first_line(fault)})") from None
    _refuse_newer(path, pc.max(table["schema_version"]).as_py())
    parts, start = [], table.num_rows - source.metadata.num_rows
    for part, rows in sizes:
        if start + rows > 0 or not rows:
            parts.append((part, table.slice(max(start, 0), rows + min(start, 0))))
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


def _conform(table: pa.Table, partitions: dict[str, Any], schema: pa.Schema) -> pa.Table:
    """The columns of `schema` in its types; those that neither the file nor its path has are null.

    Raises UnreadableFile where a column's values do not fit its type.
    """
    columns = []
    for field in schema:
        if field.name in table.column_names:
            columns.append(_converted(table[field.name], field))
        else:
            value = pa.scalar(partitions.get(field.name), SCHEMA.field(field.name).type)
            columns.append(_converted(pa.chunked_array([pa.repeat(value, table.num_rows)]), field))
    conformed = pa.Table.from_arrays(columns, schema=schema)
    conformed.validate(full=True)
    return conformed


def _converted(column: pa.ChunkedArray, field: pa.Field) -> pa.ChunkedArray:
    if isinstance(column.type, pa.BaseExtensionType):
        raise UnreadableFile(f"foreign: column {field.name!r} is of extension type {column.type}")
    try:
        if pa.types.is_dictionary(field.type):
            return column if column.type == field.type else in_type(column, field.type.value_type).dictionary_encode()
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
