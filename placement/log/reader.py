"""Reads the log: corrupt and foreign files are named, skipped and counted; a newer schema is refused by name."""

from __future__ import annotations

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
from placement.log.files import LogFolder
from placement.log.log_file import LogFile, UnreadableFile, parse
from placement.log.schema import SCHEMA

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


def read_log(
    uri: str | os.PathLike[str], *, columns: Sequence[str] | None = None, filters: Any | None = None
) -> pa.Table:
    """The log's rows as a table of SCHEMA, or of `columns` of it; a warning names each file that was skipped.

    filters: a pyarrow.compute expression, or (column, operator, value) tuples in the form of pyarrow.parquet.
    Raises LogError where there is no log, where none of its files can be read, or where one has a newer schema version.
    """
    found = readout(uri, columns=columns, filters=filters)
    if found.skipped and not found.files:
        path, reason = found.skipped[0]
        others = f"; {len(found.skipped) - 1} more cannot be read either" if len(found.skipped) > 1 else ""
        raise LogError(f"the log at {uri!s} has no readable file: {path}: {reason}{others}.")
    for path, reason in found.skipped:
        _log.warning("log file skipped: %s: %s", path, reason)
    return found.table


def readout(
    uri: str | os.PathLike[str], *, columns: Sequence[str] | None = None, filters: Any | None = None
) -> LogReadout:
    """The log's rows with the files they came from and the files skipped. Arguments and errors of `read_log`.

    A batch that is in several files counts once. Files that cannot be read are skipped even where no other is left.
    """
    unknown = sorted(set(columns or ()) - set(SCHEMA.names))
    if unknown:
        raise LogError(f"the log has no columns {unknown}; it has {SCHEMA.names}.")
    place = LogFolder.of(uri)
    files, skipped = read_files(place)
    if files is None:
        raise LogError(f"there is no log at {uri!s}. `placement sweep -o {uri!s}` writes one.")
    if not files and not skipped:
        raise LogError(
            f"there is no log at {uri!s} and there are no rows: the folder has no Parquet file{place.contents()}."
        )
    table = _joined(files)
    if filters is not None:
        table = table.filter(_expression(filters))
    if columns is not None:
        table = table.select(list(columns))
    return LogReadout(table, tuple(file.path for file in files), skipped)


def done_cells(uri: str | os.PathLike[str], run_id: str | None = None) -> set[Cell]:
    """Cells that a sweep has measured, so that it can resume; runs over their budget count. Empty where there is no
    log.

    run_id: of one sweep only.
    """
    files, _ = read_files(LogFolder.of(uri))
    table = _joined(files or []).filter((pc.field("source") == "sweep") & pc.field("error").is_null())
    if run_id is not None:
        table = table.filter(pc.field("run_id") == run_id)
    names = ("preset", "config", "device", "cpus")
    return set(zip(*(table[name].to_pylist() for name in names), strict=True))


def read_files(
    place: LogFolder, below_bytes: float = math.inf, only: Sequence[str] | None = None
) -> tuple[list[LogFile] | None, tuple[tuple[str, str], ...]]:
    """Every readable file smaller than that, or of those named, and (path, reason) of the rest; None where there is no
    folder.

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


def _attempt(place: LogFolder, path: str) -> LogFile | str:
    data = place.read(path)
    try:
        return parse(path, place.name_of(path), data)
    except UnreadableFile as fault:
        return str(fault)


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
