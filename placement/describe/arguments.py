"""The sizes of arbitrary arguments, quickly: this runs on every `.remote()` call of an undescribed function.

A type is examined once: the function that measures it is kept in a dict, so that the next argument of that type costs a
lookup and two attributes. numpy, torch, pandas and pyarrow are recognised by name and never imported.

An argument that cannot be measured, or only slowly, has an unknown size; the call goes on. Iteration, length
and attributes of a user's own class are not called, for they may fail, wait or change something.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable
from dataclasses import fields, is_dataclass
from functools import lru_cache
from itertools import islice
from typing import Any, NamedTuple

from placement.spec.task import TaskSpec


class Size(NamedTuple):
    """The size of an argument. bytes: of the data; None = unknown. batch: leading dimension; None = the value has
    none.
    """

    bytes: float | None
    batch: int | None = None


Measure = Callable[[Any], tuple[float | None, int | None]]

UNKNOWN = Size(None)
UNKNOWN_SIZE = TaskSpec()
NUMBER_BYTES = 8
MOST_ITEMS = 10_000
"""Largest number of items in the collections of an argument (about a millisecond); with more, the size is unknown."""
MOST_LOOKED_AT, DEEPEST = 32, 2  # of a dict's values, and of dicts in dicts, in search of a leading dimension
MOST_TYPES = 10_000  # kept; a program that makes types all along has its new ones looked at each time


def of_arguments(*args: Any, **kwargs: Any) -> TaskSpec:
    """The spec of a task from its arguments alone: `input_bytes` and `batch_size`; `flops` is None.

    input_bytes: bytes of all arguments together; None where one of them cannot be sized (an object of a foreign
    type, one whose own code fails, more than MOST_ITEMS items, a collection that holds itself, an ObjectRef that is
    still pending or not known locally).
    batch_size: leading dimension of the first argument that has one: rows of an array, tensor or table, length of
    a list. A call whose only data are bytes or a string is one sample.

    Sized: arrays and tensors of numpy, torch and whatever has `nbytes`, `shape` and one of the array protocols; pandas
    and pyarrow tables (pandas' object columns count their pointers only); PIL images; bytes, strings and numbers;
    lists, tuples, sets, dicts and dataclasses of those; Ray ObjectRefs, from the caller's own process and without a
    remote call. Functions, classes and None count 0 bytes.
    """
    total: float | None = 0
    batch: int | None = None
    measures = MEASURES
    for value in (*args, *kwargs.values()) if kwargs else args:
        kind = type(value)
        try:
            measure = measures.get(kind) or measure_of(kind)
            if measure is of_array:  # spelled out: the commonest arguments, without a call
                shape = value.shape
                size, leading = value.nbytes, shape[0] if shape else None
            else:
                size, leading = measure(value)
            total = None if size is None or total is None else total + size
        except Exception:  # an argument's own code may raise anything
            total, leading = None, None
        if batch is None:
            batch = leading
    if batch is None and total is not None and any(map(_is_text, (*args, *kwargs.values()))):
        batch = 1
    try:
        return spec_of_size(total, batch)
    except Exception:  # sizes that are none: negative, not a number
        return UNKNOWN_SIZE


def _is_text(value: Any) -> bool:
    return issubclass(type(value), str | bytes | bytearray)


@lru_cache(maxsize=4096)
def spec_of_size(input_bytes: float | None, batch_size: int | None) -> TaskSpec:
    """The spec of a size. Kept, since checking a new TaskSpec costs more than measuring the arguments."""
    return TaskSpec(input_bytes=input_bytes, batch_size=batch_size or None)


def of_array(value: Any) -> tuple[float | None, int | None]:
    """Anything with `nbytes` and `shape`: a numpy array, a torch tensor."""
    shape = value.shape
    return value.nbytes, shape[0] if shape else None


def of_items(items: Iterable[Any]) -> float | None:
    """Bytes of a collection's items together, those of collections in it too; None where one is unknown or too many."""
    total, left, waiting = 0.0, MOST_ITEMS, [items]
    while waiting:
        for item in waiting.pop():
            left -= 1
            if left < 0:
                return None
            kind = type(item)
            measure = MEASURES.get(kind) or measure_of(kind)
            if kind in COLLECTIONS:
                waiting.append(COLLECTIONS[kind](item))
                continue
            size = measure(item)[0]
            if size is None:
                return None
            total += size
    return total


def of_mapping(value: Any) -> tuple[float | None, int | None]:
    """A dict of columns or of model inputs: the leading dimension is that of its first value that has one."""
    return of_items(dict.values(value)), leading_of(dict.values(value))


def of_dataclass(value: Any) -> tuple[float | None, int | None]:
    """A dataclass, as the dict of its fields."""
    return of_items(values_of(value)), leading_of(values_of(value))


def values_of(value: Any) -> list[Any]:
    """The fields of a dataclass, read without its class's own attribute access."""
    return [object.__getattribute__(value, field.name) for field in fields(value)]


def leading_of(values: Iterable[Any], depth: int = 0) -> int | None:
    """The leading dimension of the first of a dict's or dataclass's values that has one."""
    for value in islice(values, MOST_LOOKED_AT):
        kind = type(value)
        measure = MEASURES.get(kind) or measure_of(kind)
        leading: int | None = None
        if kind not in COLLECTIONS:
            leading = measure(value)[1]
        elif kind in LENGTHS:
            leading = LENGTHS[kind](value) or None
        elif depth < DEEPEST:
            leading = leading_of(COLLECTIONS[kind](value), depth + 1)
        if leading is not None:
            return leading
    return None


def of_ref(ref: Any) -> tuple[float | None, int | None]:
    """The size of what an ObjectRef points to, where the caller's process knows it; else unknown."""
    ray = sys.modules.get("ray")
    if ray is None:
        return UNKNOWN
    try:
        from ray.experimental import get_local_object_locations  # only where ray is there already
    except ImportError:  # a Ray without it: see placement.ray_internals.names
        return UNKNOWN
    try:
        return (get_local_object_locations([ref]).get(ref) or {}).get("object_size"), None
    except RuntimeError:  # Ray is imported, but not started
        return UNKNOWN


COLLECTIONS: dict[type, Callable[[Any], Iterable[Any]]] = {
    list: list.__iter__,
    tuple: tuple.__iter__,
    set: set.__iter__,
    frozenset: frozenset.__iter__,
    dict: dict.values,
}
"""Type -> function that gives a collection's items; filled as types are met."""

LENGTHS: dict[type, Callable[[Any], int]] = {
    list: list.__len__,
    tuple: tuple.__len__,
    set: set.__len__,
    frozenset: frozenset.__len__,
}
"""Collections whose length is a leading dimension."""


def _of_collection(base: type) -> Measure:
    items, length = COLLECTIONS[base], LENGTHS[base]
    return lambda value: (of_items(items(value)), length(value) or None)


MEASURES: dict[type, Measure] = {
    bytes: lambda value: (bytes.__len__(value), None),
    bytearray: lambda value: (bytearray.__len__(value), None),
    str: lambda value: (
        str.__len__(value) if str.isascii(value) else len(str.encode(value, "utf-8", "surrogatepass")),
        None,
    ),
    **dict.fromkeys((bool, int, float, complex), lambda _: (NUMBER_BYTES, None)),
    **{base: _of_collection(base) for base in LENGTHS},
    dict: of_mapping,
    memoryview: of_array,
    **dict.fromkeys((type(None), type, type(len), type(lambda: None)), lambda _: (0, None)),
}
"""Type -> function that measures it; filled as types are met."""

BUILT_IN = frozenset(MEASURES)

ARRAY_PROTOCOLS = ("__array__", "__dlpack__", "__array_interface__", "__cuda_array_interface__")

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
    """The function that measures a new type: by its own or its bases' names, then by its attributes."""
    measure = next(
        (found for base in kind.__mro__ if (found := BY_NAME.get(f"{base.__module__}.{base.__qualname__}"))), None
    )
    base = next((base for base in kind.__mro__ if base in BUILT_IN), kind)
    if measure is None and base in BUILT_IN:
        measure = MEASURES[base]
    if measure is None and all(hasattr(kind, name) for name in ("nbytes", "shape")):
        measure = of_array if any(hasattr(kind, name) for name in ARRAY_PROTOCOLS) else None
    if measure is None and is_dataclass(kind):
        measure = of_dataclass
    measure = measure or (lambda _: UNKNOWN)
    if len(MEASURES) < MOST_TYPES:
        MEASURES[kind] = measure
        if measure is of_dataclass:
            COLLECTIONS[kind] = values_of
        elif base in COLLECTIONS and measure is MEASURES[base]:
            COLLECTIONS[kind] = COLLECTIONS[base]
            if base in LENGTHS:
                LENGTHS[kind] = LENGTHS[base]
    return measure
