"""Columns of files that other programs wrote, in the types of the log.

pandas, polars and Spark store the same values in other physical types: text as dictionaries or large strings, whole
numbers as floats with NaN for null, timestamps in nanoseconds or as int96 without a time zone.
"""

from __future__ import annotations

import pyarrow as pa
import pyarrow.compute as pc


def in_type(column: pa.ChunkedArray, kind: pa.DataType) -> pa.ChunkedArray:
    """The column's values as `kind`; NaN becomes null.

    An integer beyond 2**53 becomes the nearest float, a timestamp is cut to the unit of `kind`, and one without a time
    zone is in UTC. Raises ArrowException where a value has no counterpart in `kind`: text that is no number, a
    fraction as an integer, a number as a timestamp (its unit is not known).
    """
    if pa.types.is_dictionary(column.type):
        column = column.cast(column.type.value_type)
    if pa.types.is_floating(column.type) and pc.any(pc.is_nan(column)).as_py():
        column = pc.if_else(pc.is_nan(column), None, column)
    if column.type == kind:
        return column
    if pa.types.is_timestamp(kind) and pa.types.is_integer(column.type):
        raise pa.ArrowTypeError(f"{column.type} does not say its unit; write timestamps")
    options = pc.CastOptions(target_type=kind, allow_time_truncate=True, allow_float_truncate=_is_inexact(kind))
    return pc.cast(column, options=options)


def _is_inexact(kind: pa.DataType) -> bool:
    """Floats are rounded; a fraction that is cut off an integer would be another number."""
    return bool(pa.types.is_floating(kind))
