"""Reads tables that other programs wrote: Parquet, a folder of Parquet files, or text with columns parted by commas,
semicolons or tabs.

A file is Parquet or text by its first bytes, not by its name. Text may use a decimal comma where its columns are not
parted by commas.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Collection, Mapping
from pathlib import Path

import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet

from placement.errors import LogError
from placement.log.conversion import in_type

_MAGIC = b"PAR1"
_HEAD_BYTES = 65_536


def read_table_file(
    path: str | os.PathLike[str], noun: str, types: Mapping[str, pa.DataType], required: Collection[str]
) -> pa.Table:
    """The table with its columns of `types` in their types; other columns are left as they are.

    noun: what the table should be ("table of pairs"), for the messages.  required: columns that it must have.
    Raises LogError on a file that is no such table, OSError where it cannot be read.
    """
    try:
        table = _read(Path(path), types)
    except (pa.ArrowException, ValueError) as fault:
        reason = (str(fault).splitlines() or [type(fault).__name__])[0].rstrip(". ")
        raise LogError(
            f"{os.fspath(path)} is no {noun}: {reason}. Give Parquet, or CSV with a decimal point; a decimal comma is "
            "read where semicolons or tabs part the columns."
        ) from fault
    _check_columns(path, noun, table.column_names, types, required)
    for name in types.keys() & set(table.column_names):
        try:
            column = in_type(table[name], types[name])
        except pa.ArrowException as fault:
            raise LogError(f"{os.fspath(path)}: column {name!r} is not {types[name]}: {fault}") from fault
        table = table.set_column(table.column_names.index(name), name, column)
    return table


def digest_of(path: str | os.PathLike[str]) -> str:
    """16 hexadecimal digits of the content of a file, or of all files below a folder."""
    root, digest = Path(path), hashlib.sha256()
    for file in sorted(each for each in root.rglob("*") if each.is_file()) if root.is_dir() else [root]:
        with file.open("rb") as source:
            digest.update(hashlib.file_digest(source, "sha256").digest() if root.is_dir() else source.read())
    return digest.hexdigest()[:16]


def is_parquet(path: Path) -> bool:
    """Whether a file has the first bytes of Parquet."""
    with path.open("rb") as source:
        return source.read(len(_MAGIC)) == _MAGIC


def _read(path: Path, types: Mapping[str, pa.DataType]) -> pa.Table:
    if path.is_dir():
        return pyarrow.parquet.read_table(path)
    if is_parquet(path):
        return pyarrow.parquet.ParquetFile(path).read()  # unlike read_table it takes repeated names
    return _read_text(path, types)


def _read_text(path: Path, types: Mapping[str, pa.DataType]) -> pa.Table:
    with pa.input_stream(path) as source:  # unpacks .gz and the like
        head = source.read(_HEAD_BYTES)
    encoding = "utf-16" if head[:2] in (b"\xff\xfe", b"\xfe\xff") else "utf-8"  # Excel's "Unicode text"
    header = head.decode(encoding, "replace").partition("\n")[0]
    delimiter = max(",;\t|", key=header.count)
    try:
        return _parsed(path, types, encoding, delimiter, ".")
    except pa.ArrowInvalid:
        if delimiter == ",":
            raise
    return _parsed(path, types, encoding, delimiter, ",")


def _parsed(
    path: Path, types: Mapping[str, pa.DataType], encoding: str, delimiter: str, decimal_point: str
) -> pa.Table:
    return pyarrow.csv.read_csv(
        path,
        pyarrow.csv.ReadOptions(encoding=encoding),
        pyarrow.csv.ParseOptions(delimiter=delimiter),
        pyarrow.csv.ConvertOptions(column_types=types, decimal_point=decimal_point, strings_can_be_null=True),
    )


def _check_columns(
    path: str | os.PathLike[str], noun: str, names: list[str], types: Mapping[str, pa.DataType],
    required: Collection[str],
) -> None:  # fmt: skip
    missing = [name for name in required if name not in names]
    repeated = [name for name in types if names.count(name) > 1]
    if missing or repeated:
        fault = f"lacks the columns {missing}" if missing else f"has the columns {repeated} more than once"
        optional = [name for name in types if name not in required]
        raise LogError(
            f"{os.fspath(path)} is no {noun}: it {fault}. Required are {list(required)}; also read are {optional}."
        )
