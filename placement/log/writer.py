"""Writes the log as whole files of unique names, so that writers cannot harm each other."""

from __future__ import annotations

import json
import math
import os
import time
from collections.abc import Iterable

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from placement.log.files import LogFolder
from placement.log.log_file import PARTS_KEY
from placement.log.reader import counted_once, read_files
from placement.log.schema import SCHEMA, table_of
from placement.spec.task_record import Rows, TaskRecord

_SECONDS_A_DAY = 86_400
_MICROSECONDS = 1_000_000


class LogWriter:
    """Appends to the log at a local path or any pyarrow filesystem URI (file://, s3://, gs://, ...).

    Any number of writers may append to one log at once, from any number of machines.
    """

    def __init__(self, uri: str | os.PathLike[str]) -> None:
        self._place = LogFolder.of(uri)

    def append(self, rows: Iterable[TaskRecord | Rows]) -> str | None:
        """Writes the rows as one new file and returns its path once it is durable; None where there are no rows.

        A row is in the log after this returns, and not at all before. A batch_id's rows go in one call, whole.
        Raises OSError where the store fails (nothing is left behind), LogError on a row that fits no column.
        """
        table = table_of(rows)
        if not table.num_rows:
            return None
        self._place.create()
        return self._place.write(_encoded(table))


def compact(
    uri: str | os.PathLike[str], keep_days: float | None = None, *, below_bytes: float = math.inf,
    source: str | None = None,
) -> str | None:  # fmt: skip
    """Merges the log's files into one and returns its path; None where there was nothing to merge.

    A busy cluster writes a file a second; reading takes some milliseconds a file. Call it now and then, with
    `below_bytes` (1 MB, say) so that merged files are not written again each time.

    The new file names those it holds, so a reader that sees both (a kill before the old ones were deleted, another
    compaction at the same time) counts each row once. Files that cannot be read are left alone.

    keep_days: rows whose run began earlier are dropped; rows without a time are kept.
    source: then of this source only ("production": what sweeps measured is kept for ever).
    Raises LogError where there is a file of a newer schema version, OSError where the store fails.
    """
    place = LogFolder.of(uri)
    place.delete_leftovers()
    files, _ = read_files(place, below_bytes)
    if not files or (len(files) == 1 and keep_days is None):
        return None
    parts = counted_once(files)
    if keep_days is not None:
        kept = _kept(keep_days, source)
        parts = [(name, table.filter(kept)) for name, table in parts]
    names = json.dumps([[name, table.num_rows] for name, table in parts])
    merged = pa.concat_tables([table for _, table in parts])
    path = place.write(_encoded(merged.replace_schema_metadata({**SCHEMA.metadata, PARTS_KEY: names})))
    for file in files:
        place.delete(file.path)
    return path


def expire(uri: str | os.PathLike[str], keep_days: float, *, source: str = "production") -> int:
    """Deletes the files of which every row is of this source and began more than `keep_days` ago, and returns their
    number.

    Compacted files are not compacted again, so only this deletes them. Reads the files one after the other.
    """
    place = LogFolder.of(uri)
    deleted = 0
    for path in place.list() or ():
        files, _ = read_files(place, only=(path,))
        if files and all(not table.filter(_kept(keep_days, source)).num_rows for _, table in files[0].parts):
            place.delete(path)
            deleted += 1
    return deleted


def _kept(keep_days: float, source: str | None) -> pc.Expression:
    """Rows that have not expired."""
    oldest = pa.scalar(round((time.time() - keep_days * _SECONDS_A_DAY) * _MICROSECONDS), pa.timestamp("us", "UTC"))
    kept = (pc.field("time_utc") >= oldest) | pc.field("time_utc").is_null()
    return kept if source is None else kept | (pc.field("source") != source)


def _encoded(table: pa.Table) -> pa.Buffer:
    sink = pa.BufferOutputStream()
    pq.write_table(table, sink, compression="zstd", write_page_checksum=True)
    return sink.getvalue()
