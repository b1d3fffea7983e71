"""The Parquet schema of the log, and rows as a table."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import chain, groupby
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from placement.errors import LogError
from placement.spec.task_record import COLUMNS, NAMES, REQUIRED, SCHEMA_VERSION, Column, Rows, TaskRecord

VERSION_KEY = b"placement.schema_version"
"""Key of the schema's metadata that marks a Parquet file as a log file."""

_ARROW = {str: pa.string(), float: pa.float64(), int: pa.int64(), bool: pa.bool_()}
_TIME = NAMES.index("time_utc")
_MICROSECONDS = 1_000_000


def _field(column: Column) -> pa.Field:
    metadata = {"what": column.what} | ({"unit": column.unit} if column.unit else {})
    kind = pa.timestamp("us", tz="UTC") if column.name == "time_utc" else _ARROW[column.type]
    return pa.field(column.name, kind, metadata=metadata)


SCHEMA = pa.schema([_field(column) for column in COLUMNS], metadata={VERSION_KEY: str(SCHEMA_VERSION)})


def table_of(rows: Iterable[TaskRecord | Rows]) -> pa.Table:
    """Records, or rows by column, as one table of SCHEMA. NaN becomes null: not measured.

    Raises LogError with the name of a column that is unknown, or whose values are not of its type.
    """
    entries = list(rows)
    parts: list[Rows] = []
    for by_column, some in groupby(range(len(entries)), lambda i: isinstance(entries[i], Rows)):
        alike: list[Any] = [entries[i] for i in some]
        parts += alike if by_column else [Rows.of(alike)]
    for part in parts:
        _check(part)
    columns = [tuple(chain.from_iterable(part.column(name) for part in parts)) for name in NAMES]
    return pa.Table.from_arrays([_array(i, column) for i, column in enumerate(columns)], schema=SCHEMA)


def _check(rows: Rows) -> None:
    told = rows.same.keys() | rows.each.keys()
    unknown, missing = sorted(told - set(NAMES)), sorted(REQUIRED - told)
    short = sorted(name for name, values in rows.each.items() if len(values) != rows.number)
    if unknown or missing or short:
        raise LogError(
            f"not rows of the log: unknown columns {unknown}, missing {missing}, not {rows.number} values in {short}."
        )


def _array(index: int, values: Sequence[Any]) -> pa.Array:
    kind = SCHEMA.field(index).type
    if values.count(None) == len(values):  # many columns are: the quick way out
        return pa.nulls(len(values), kind)
    try:
        if index == _TIME:
            return pa.array([None if v is None else round(v * _MICROSECONDS) for v in values], pa.int64()).cast(kind)
        array = _converted(index, values, kind)
    except (pa.ArrowException, TypeError, ValueError, OverflowError) as fault:
        raise LogError(f"column {NAMES[index]!r} of a row cannot be written as {kind}: {fault}") from fault
    # not pa.array(from_pandas=True), which would import pandas to find the NaNs
    return pc.if_else(pc.is_nan(array), None, array) if pa.types.is_floating(kind) else array


def _converted(index: int, values: Sequence[Any], kind: pa.DataType) -> pa.Array:
    """Values as an array; numbers that Arrow refuses (torch's scalars, large whole floats) are converted by Python."""
    try:
        return pa.array(values, kind)
    except pa.ArrowException:
        number = COLUMNS[index].type
        if number is str or any(isinstance(value, str | bytes) for value in values):
            raise
        return pa.array([None if value is None else number(value) for value in values], kind)


def records_of(table: pa.Table) -> list[TaskRecord]:
    """The rows of a table that has at least the required columns, as records."""
    return [TaskRecord.from_dict(entry) for entry in table.to_pylist()]
