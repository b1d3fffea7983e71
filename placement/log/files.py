"""The folder of the log's files, and files that are written whole or not at all."""

from __future__ import annotations

import math
import os
import re
import time
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
from pyarrow import fs

from placement.errors import LogError

SUFFIX = ".parquet"
SUFFIXES = (SUFFIX, ".parq", ".pq")
"""Of the files that are read, in lower or upper case; ours end in SUFFIX."""
_ONE_PUT = frozenset({"s3", "gcs", "abfs"})
"""Object stores: a file is visible once its upload is closed, never before, so it needs no temporary name."""


@dataclass(frozen=True, slots=True)
class LogFolder:
    """A folder of log files on a filesystem."""

    filesystem: fs.FileSystem
    folder: str

    @classmethod
    def of(cls, uri: str | os.PathLike[str]) -> LogFolder:
        """The folder of a path or URI. A bare path is local; else any URI that pyarrow.fs knows. Raises LogError on a
        URI that it does not.
        """
        text = os.fspath(uri)
        if not text:
            raise LogError("the log's path is empty. Give a path or a URI like s3://bucket/log.")
        if not re.match(r"[a-zA-Z][a-zA-Z0-9+.-]+:", text):
            return cls(fs.LocalFileSystem(), os.path.abspath(os.path.expanduser(text)))
        try:
            filesystem, folder = fs.FileSystem.from_uri(text)
        except (pa.ArrowException, ValueError) as fault:
            raise LogError(
                f"not a place for a log: {text!r} ({fault}). Give a path or a URI like s3://bucket/log."
            ) from fault
        return cls(filesystem, folder.rstrip("/"))

    def create(self) -> None:
        """Makes the folder. Raises OSError where that fails."""
        self.filesystem.create_dir(self.folder, recursive=True)

    def list(self, below_bytes: float = math.inf) -> list[str] | None:
        """Sorted paths of the log files smaller than `below_bytes`, those in Hive folders ("device=gpu") included.

        The path itself where it is a file; None where there is nothing.
        """
        info = self.filesystem.get_file_info(self.folder)
        if info.type == fs.FileType.NotFound:
            return None
        if info.type == fs.FileType.File:
            return [self.folder]
        return sorted(self._files_in(self.folder, below_bytes))

    def _files_in(self, folder: str, below_bytes: float) -> Iterator[str]:
        for info in self.filesystem.get_file_info(fs.FileSelector(folder)):
            if info.base_name[0] in "._":
                continue
            if info.is_file and info.size < below_bytes and info.base_name.lower().endswith(SUFFIXES):
                yield info.path
            elif info.type == fs.FileType.Directory and "=" in info.base_name:
                yield from self._files_in(info.path, below_bytes)

    def name_of(self, path: str) -> str:
        """The path of a file below the folder, by which its rows are counted once."""
        below = path.removeprefix(self.folder).lstrip("/")
        return below or path.rpartition("/")[2]

    def contents(self) -> str:
        """A few words on what lies in the folder, for an error message; empty where nothing does."""
        names = sorted(info.base_name for info in self.filesystem.get_file_info(fs.FileSelector(self.folder)))
        more = f" and {len(names) - 3} more" if len(names) > 3 else ""
        return f"; it has {', '.join(names[:3])}{more}" if names else ""

    def read(self, path: str) -> pa.Buffer:
        """The file's bytes. Raises FileNotFoundError where it is gone, OSError where the store fails."""
        with self.filesystem.open_input_file(path) as source:
            return source.read_buffer()

    def write(self, data: pa.Buffer) -> str:
        """Writes one new file, whole or not at all, and returns its path. OSError after cleaning up."""
        path = f"{self.folder}/{_new_name()}"
        if isinstance(self.filesystem, fs.LocalFileSystem):
            write_local(Path(path), data)
        else:
            self.put(path, data)
        return path

    def put(self, path: str, data: pa.Buffer) -> None:
        """Writes a file of a filesystem that is not local, whole or not at all. OSError after cleaning up."""
        folder, _, name = path.rpartition("/")
        at = path if self.filesystem.type_name in _ONE_PUT else f"{folder}/.{name}"
        try:
            with self.filesystem.open_output_stream(at) as sink:
                sink.write(data)
            if at != path:
                self.filesystem.move(at, path)
        except BaseException:
            self.delete(at)
            raise

    def delete_leftovers(self, older_than_s: float = 3600.0) -> None:
        """Deletes the temporary files of writers that were killed; those younger may still be written."""
        if self.list() is None:
            return
        for info in self.filesystem.get_file_info(fs.FileSelector(self.folder)):
            ours = info.base_name.startswith(".") and (SUFFIX in info.base_name)
            if ours and info.mtime_ns is not None and info.mtime_ns < time.time_ns() - older_than_s * 1e9:
                self.delete(info.path)

    def delete(self, path: str) -> None:
        """Deletes a file; one that is gone already, or cannot be deleted, is left."""
        try:
            self.filesystem.delete_file(path)
        except (OSError, pa.ArrowException):
            return


def _new_name() -> str:
    """A file name that sorts by time; its random part keeps two writers apart."""
    seconds, nanoseconds = divmod(time.time_ns(), 10**9)
    return f"{time.strftime('%Y%m%dT%H%M%S', time.gmtime(seconds))}.{nanoseconds:09d}Z-{uuid.uuid4().hex}{SUFFIX}"


def write_local(path: Path, data: pa.Buffer) -> None:
    """Writes a file by a temporary one beside it, fsync, rename and fsync of the folder: a kill leaves all or
    nothing.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.tmp")
    try:
        with open(temporary, "wb") as sink:
            sink.write(data)
            sink.flush()
            os.fsync(sink.fileno())
        os.replace(temporary, path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)
