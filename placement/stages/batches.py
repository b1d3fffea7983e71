"""Rows, bytes and slices of the batches that Ray Data hands to a function: dicts of NumPy arrays, pandas, Arrow."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np


def rows_of(batch: Any) -> int:
    """The number of rows of a batch."""
    if isinstance(batch, Mapping):
        return len(next(iter(batch.values()))) if batch else 0
    return int(batch.num_rows) if hasattr(batch, "num_rows") else len(batch)


def bytes_of(batch: Any) -> int:
    """The bytes of a batch. Python objects count as the pointers to them, or as long as they are where they tell."""
    if isinstance(batch, Mapping):
        return sum(_array_bytes(column) for column in batch.values())
    if hasattr(batch, "nbytes"):
        return int(batch.nbytes)
    usage = getattr(batch, "memory_usage", None)
    return 0 if usage is None else int(usage(index=False, deep=False).sum())


def _array_bytes(column: Any) -> int:
    values = np.asarray(column)
    if values.dtype != object:
        return int(values.nbytes)
    return sum(int(getattr(one, "nbytes", 0)) or (len(one) if isinstance(one, bytes | str) else 8) for one in values)


def slices(batch: Any, rows: int | None) -> Iterator[Any]:
    """The batch in parts of at most `rows` rows; the batch itself where it has no more, or where rows is None."""
    total = rows_of(batch)
    if rows is None or total <= rows:
        yield batch
        return
    for start in range(0, total, rows):
        stop = min(start + rows, total)
        if isinstance(batch, Mapping):
            yield {name: column[start:stop] for name, column in batch.items()}
        elif hasattr(batch, "num_rows"):
            yield batch.slice(start, stop - start)
        else:
            yield batch.iloc[start:stop]


def writable(batch: Any) -> Any:
    """The batch with columns that may be changed in place; those that came out of shared memory are copied."""
    if isinstance(batch, Mapping):
        return {
            name: column.copy() if isinstance(column, np.ndarray) and not column.flags.writeable else column
            for name, column in batch.items()
        }
    return batch.copy() if hasattr(batch, "iloc") else batch


def described(batch: Any) -> str:
    """A batch in words, for the errors that name it: its rows and columns."""
    if isinstance(batch, Mapping):
        columns = list(batch)
    else:
        columns = [*getattr(batch, "column_names", getattr(batch, "columns", ()))]
    return f"the batch of {rows_of(batch)} rows with columns {columns}"
