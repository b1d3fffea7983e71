"""The log as Parquet files: one schema, whole files only, no pickles.

    schema   SCHEMA and `table_of`: rows -> table
    files    the log's folder (a path or any pyarrow filesystem URI), and files written whole
    writer   LogWriter appends; `compact` merges many small files, `expire` ends old ones
    reader   read_log, readout, done_cells
    tail     the last rows as arrays, bounded in rows and time
    events   events of learning, in a folder of their own beside the rows
    log_file, conversion   one file of the log, also one that another program wrote, or the reason why it is none
    ingest, retention      the actor's side: batches of rows taken in once; old rows deleted, small files merged
    lost_records           rows that went with a killed worker, counted
    whole_file             one file, such as a selector's, on any filesystem

A record itself is `placement.spec.task_record.TaskRecord`, which needs no pyarrow.

The names of this package are loaded at first use: each worker of a placed task has to do with lost records, and pyarrow
with what it brings takes longer to load than most tasks run.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from placement.log.reader import LogReadout as LogReadout
    from placement.log.reader import done_cells as done_cells
    from placement.log.reader import read_log as read_log
    from placement.log.reader import readout as readout
    from placement.log.schema import SCHEMA as SCHEMA
    from placement.log.schema import records_of as records_of
    from placement.log.schema import table_of as table_of
    from placement.log.writer import LogWriter as LogWriter
    from placement.log.writer import compact as compact
    from placement.log.writer import expire as expire
    from placement.spec.task_record import COLUMNS as COLUMNS
    from placement.spec.task_record import NAMES as NAMES
    from placement.spec.task_record import SCHEMA_VERSION as SCHEMA_VERSION
    from placement.spec.task_record import Column as Column
    from placement.spec.task_record import Rows as Rows
    from placement.spec.task_record import TaskRecord as TaskRecord

_NAMES = {
    "log.reader": ("LogReadout", "done_cells", "read_log", "readout"),
    "log.schema": ("SCHEMA", "records_of", "table_of"),
    "log.writer": ("LogWriter", "compact", "expire"),
    "spec.task_record": ("COLUMNS", "NAMES", "SCHEMA_VERSION", "Column", "Rows", "TaskRecord"),
}
_HOME = {name: module for module, names in _NAMES.items() for name in names}

__all__ = [
    "COLUMNS", "NAMES", "SCHEMA", "SCHEMA_VERSION",
    "Column", "LogReadout", "LogWriter", "Rows", "TaskRecord",
    "compact", "done_cells", "expire", "read_log", "readout", "records_of", "table_of",
]  # fmt: skip


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module 'placement.log' has no attribute {name!r}; it has {__all__}.")
    return getattr(import_module(f"placement.{_HOME[name]}"), name)
