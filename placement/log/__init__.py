"""The log as Parquet files: one schema, whole files only, no pickles.

    schema   SCHEMA and `table_of`: rows -> table
    files    the log's folder (a path or any pyarrow filesystem URI), and files written whole
    writer   LogWriter appends; `compact` merges many small files, `expire` ends old ones
    reader   read_log, readout, done_cells
    tail     the last rows as arrays, bounded in rows and time
    log_file, conversion   one file of the log, also one that another program wrote, or the reason why it is none
    ingest, retention      the actor's side: batches of rows taken in once; old rows deleted, small files merged
    lost_records           rows that went with a killed worker, counted
    whole_file             one file, such as a selector's, on any filesystem

A record itself is `placement.spec.task_record.TaskRecord`, which needs no pyarrow.
"""

from placement.log.reader import LogReadout, done_cells, read_log, readout
from placement.log.schema import SCHEMA, records_of, table_of
from placement.log.writer import LogWriter, compact, expire
from placement.spec.task_record import COLUMNS, NAMES, SCHEMA_VERSION, Column, Rows, TaskRecord

__all__ = [
    "COLUMNS",
    "NAMES",
    "SCHEMA",
    "SCHEMA_VERSION",
    "Column",
    "LogReadout",
    "LogWriter",
    "Rows",
    "TaskRecord",
    "compact",
    "done_cells",
    "expire",
    "read_log",
    "readout",
    "records_of",
    "table_of",
]
