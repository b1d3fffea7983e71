"""LogFollower: the rows that a log gained since the last look, in batches bounded in rows.

A file is known by its name; a compacted file says which files' rows it holds. The names known are bounded too: names
sort by time, and what sorts before all that are kept counts as known.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import TYPE_CHECKING

from placement.errors import LogError
from placement.log.files import LogFolder
from placement.log.reader import read_files

if TYPE_CHECKING:
    import pyarrow as pa

MOST_NAMES = 20_000
FIRST_FILES = 200  # the newest, which a learner that starts begins with
FILES_AT_ONCE = 50
MOST_ROWS = 50_000  # of one look; the oldest beyond them are passed over


class LogFollower:
    """Follows the log at a path or URI."""

    def __init__(self, uri: str | os.PathLike[str]) -> None:
        self._place = LogFolder.of(uri)
        self._known: dict[str, None] = {}
        self._floor = ""
        self._begun = False
        self.skipped = 0

    def new_rows(self, columns: Sequence[str]) -> list[pa.Table]:
        """Tables of the rows that are new, oldest first; files that are torn or foreign are passed over and counted."""
        paths = self._new_paths()
        if not paths:
            return []
        try:
            files, skipped = read_files(self._place, only=paths)
        except (LogError, OSError):
            return []  # compacted meanwhile, or of a newer version: the next look lists anew
        self.skipped += len(skipped)
        parts = {name: table for file in files or () for name, table in file.parts if self._is_new(name)}
        for name in (*parts, *map(self._place.name_of, paths)):
            self._know(name)
        return _last_rows([parts[name].select(list(columns)) for name in sorted(parts)])

    def _new_paths(self) -> list[str]:
        paths = [path for path in self._place.list() or () if self._is_new(self._place.name_of(path))]
        if self._begun:
            return paths[:FILES_AT_ONCE]
        self._begun = True
        for path in paths[:-FIRST_FILES]:
            self._know(self._place.name_of(path))
        return paths[-FIRST_FILES:]

    def _is_new(self, name: str) -> bool:
        return name > self._floor and name not in self._known

    def _know(self, name: str) -> None:
        self._known[name] = None
        if len(self._known) > MOST_NAMES:
            kept = sorted(self._known)[MOST_NAMES // 2 :]
            self._floor, self._known = kept[0], dict.fromkeys(kept)


def _last_rows(tables: list[pa.Table]) -> list[pa.Table]:
    """The last MOST_ROWS of some tables."""
    kept, left = [], MOST_ROWS
    for table in reversed(tables):
        if left <= 0:
            break
        kept.append(table.slice(max(0, table.num_rows - left)))
        left -= kept[-1].num_rows
    return kept[::-1]
