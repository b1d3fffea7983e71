"""Events of learning beside the log's rows: one small JSON file each, whole or absent, in the log's folder `_events`.

Readers of rows pass that folder over. An event is plain data: `kind`, `time_utc` (seconds since the epoch) and what
belongs to its kind. A file that is torn, too large or none of ours is left out.
"""

from __future__ import annotations

import json
import math
import os
import time
import uuid
from collections.abc import Mapping
from typing import Any

import pyarrow as pa
from pyarrow import fs

from placement.log.files import LogFolder
from placement.log.whole_file import write_whole

FOLDER = "_events"
SUFFIX = ".json"
LARGEST_BYTES = 65_536
MOST_EVENTS = 1_000  # the newest are read; older ones are deleted where new ones are written


def write_event(uri: str | os.PathLike[str], event: Mapping[str, Any]) -> None:
    """Writes an event beside a log's rows, and deletes those beyond MOST_EVENTS. Raises OSError where that fails."""
    place = _place(uri)
    name = f"{int(time.time() * 1e6):020d}-{uuid.uuid4().hex[:8]}{SUFFIX}"
    target = f"{os.fspath(uri).rstrip('/')}/{FOLDER}/{name}"
    write_whole(target, json.dumps(dict(event), default=str).encode())
    for path in _paths(place)[:-MOST_EVENTS]:
        place.delete(path)


def read_events(uri: str | os.PathLike[str]) -> list[dict[str, Any]]:
    """The events beside a log's rows, oldest first, MOST_EVENTS at most; none where there are none."""
    place = _place(uri)
    found = (_event(place, path) for path in _paths(place)[-MOST_EVENTS:])
    return [event for event in found if event is not None]


def _place(uri: str | os.PathLike[str]) -> LogFolder:
    log = LogFolder.of(uri)
    return LogFolder(log.filesystem, f"{log.folder}/{FOLDER}")


def _paths(place: LogFolder) -> list[str]:
    if place.filesystem.get_file_info(place.folder).type != fs.FileType.Directory:
        return []
    infos = place.filesystem.get_file_info(fs.FileSelector(place.folder))
    return sorted(i.path for i in infos if i.is_file and i.base_name.endswith(SUFFIX) and i.size <= LARGEST_BYTES)


def _event(place: LogFolder, path: str) -> dict[str, Any] | None:
    try:
        event = json.loads(bytes(place.read(path)))
    except (OSError, pa.ArrowException, ValueError, RecursionError):
        return None
    timed = isinstance(event, dict) and isinstance(event.get("time_utc"), int | float)
    return event if timed and isinstance(event.get("kind"), str) and math.isfinite(event["time_utc"]) else None
