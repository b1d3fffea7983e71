"""The sizes of arbitrary arguments, quickly: this runs on every `.remote()` call of an undescribed function.

A type is looked at once: what measures it is kept in a dict, so that the next argument of that type costs a lookup
and two attributes. numpy, torch, pandas and pyarrow are recognised by name and never imported.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable
from dataclasses import fields, is_dataclass
from functools import lru_cache
from typing import Any, NamedTuple

from placement.task import TaskSpec


class Size(NamedTuple):
    """bytes: of the data; None = unknown. batch: leading dimension; None = the value has none."""

    bytes: float | None
    batch: int | None = None


Measure = Callable[[Any], tuple[float | None, int | None]]

UNKNOWN = Size(None)
NUMBER_BYTES = 8
MAX_DEPTH = 16


def of_arguments(*args: Any, **kwargs: Any) -> TaskSpec:
    """What the arguments alone tell of a task: `input_bytes` and `batch_size`; `flops` is None.

    input_bytes: bytes of all arguments together; None where one of them cannot be sized (an object of a foreign
    type, an ObjectRef that is still pending or not known locally).
    batch_size: leading dimension of the first argument that has one: rows of an array, tensor or table, length of
    a list. A call whose only data are bytes or a string is one sample.

    Sized: arrays and tensors of numpy, torch and whatever has `nbytes` and `shape`; pandas and pyarrow tables
    (pandas' object columns count their pointers only); PIL images; bytes, strings and numbers; lists, tuples,
    sets, dicts and dataclasses of those; Ray ObjectRefs, from the caller's own process and without a remote call.
    Functions, classes and None count 0 bytes.
    """
    total: float | None = 0
    batch: int | None = None
    measures = MEASURES
    for value in (*args, *kwargs.values()) if kwargs else args:
        kind = type(value)
        measure = measures.get(kind) or measure_of(kind)
        if measure is of_array:  # spelled out: the commonest arguments, without a call
            shape = value.shape
            size, leading = value.nbytes, shape[0] if shape else None
        else:
            size, leading = measure(value)
        total = None if size is None or total is None else total + size
        if batch is None:
            batch = leading
    if (
        batch is None
        and total is not None
        and any(isinstance(value, str | bytes | bytearray) for value in (*args, *kwargs.values()))
    ):
        batch = 1
    return spec_of_size(total, batch)


@lru_cache(maxsize=4096)
def spec_of_size(input_bytes: float | None, batch_size: int | None) -> TaskSpec:
    """The spec of a size. Kept, since checking a new TaskSpec costs more than measuring the arguments."""
    return TaskSpec(input_bytes=input_bytes, batch_size=batch_size or None)


def of_array(value: Any) -> tuple[float | None, int | None]:
    """Anything with `nbytes` and `shape`: a numpy array, a torch tensor."""
    shape = value.shape
    return value.nbytes, shape[0] if shape else None


def of_items(items: Iterable[Any], depth: int = 0) -> float | None:
    """Bytes of a collection's items together; None where one is unknown or it is nested too deep."""
    if depth > MAX_DEPTH:
        return None
    total = 0.0
    for item in items:
        kind = type(item)
        if kind in COLLECTIONS:
            size = of_items(COLLECTIONS[kind](item), depth + 1)
        else:
            size = (MEASURES.get(kind) or measure_of(kind))(item)[0]
        if size is None:
            return None
        total += size
    return total


def of_mapping(value: Any) -> tuple[float | None, int | None]:
    """A dict of columns or of model inputs: the leading dimension is that of its first value that has one."""
    leading = (MEASURES.get(type(item)) or measure_of(type(item)) for item in value.values())
    batches = (measure(item)[1] for measure, item in zip(leading, value.values(), strict=True))
    return of_items(value.values()), next((batch for batch in batches if batch is not None), None)


def of_dataclass(value: Any) -> tuple[float | None, int | None]:
    """A dataclass, as the dict of its fields."""
    return of_mapping({field.name: getattr(value, field.name) for field in fields(value)})


def of_ref(ref: Any) -> tuple[float | None, int | None]:
    """The size of what an ObjectRef points to, where the caller's process knows it; else unknown."""
    ray = sys.modules.get("ray")
    if ray is None:
        return UNKNOWN
    from ray.experimental import get_local_object_locations  # only where ray is there already

    try:
        return (get_local_object_locations([ref]).get(ref) or {}).get("object_size"), None
    except RuntimeError:  # Ray is imported, but not started
        return UNKNOWN


COLLECTIONS: dict[type, Callable[[Any], Iterable[Any]]] = {
    list: iter,
    tuple: iter,
    set: iter,
    frozenset: iter,
    dict: lambda value: value.values(),
}

MEASURES: dict[type, Measure] = {
    **dict.fromkeys((bytes, bytearray), lambda value: (len(value), None)),
    str: lambda value: (len(value) if value.isascii() else len(value.encode("utf-8", "surrogatepass")), None),
    **dict.fromkeys((bool, int, float, complex), lambda _: (NUMBER_BYTES, None)),
    **dict.fromkeys((list, tuple, set, frozenset), lambda value: (of_items(value), len(value) or None)),
    dict: of_mapping,
    memoryview: of_array,
    **dict.fromkeys((type(None), type, type(len), type(lambda: None)), lambda _: (0, None)),
}
"""What measures a type; filled as types are seen."""

BY_NAME: dict[str, Measure] = {
    "ray.ObjectRef": of_ref,
    "ray._raylet.ObjectRef": of_ref,
    "pandas.core.frame.DataFrame": lambda value: (int(value.memory_usage().sum()), len(value) or None),
    "pandas.DataFrame": lambda value: (int(value.memory_usage().sum()), len(value) or None),
    "pandas.core.series.Series": lambda value: (int(value.memory_usage()), len(value) or None),
    "pandas.Series": lambda value: (int(value.memory_usage()), len(value) or None),
    "pyarrow.lib.Table": lambda value: (value.nbytes, value.num_rows or None),
    "pyarrow.lib.RecordBatch": lambda value: (value.nbytes, value.num_rows or None),
    "pyarrow.lib.ChunkedArray": lambda value: (value.nbytes, len(value) or None),
    "pyarrow.lib.Array": lambda value: (value.nbytes, len(value) or None),
    "PIL.Image.Image": lambda value: (value.width * value.height * len(value.getbands()), 1),
}


def measure_of(kind: type) -> Measure:
    """What measures a type seen for the first time: by its own or its bases' names, then by what it offers."""
    measure = next(
        (found for base in kind.__mro__ if (found := BY_NAME.get(f"{base.__module__}.{base.__qualname__}"))), None
    )
    if measure is None:
        measure = next((MEASURES[base] for base in kind.__mro__ if base in MEASURES), None)
    if measure is None and hasattr(kind, "nbytes") and hasattr(kind, "shape"):
        measure = of_array
    if measure is None and is_dataclass(kind):
        measure = of_dataclass
    MEASURES[kind] = measure or (lambda _: UNKNOWN)
    return MEASURES[kind]
