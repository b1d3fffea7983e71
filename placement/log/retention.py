"""The log's retention in the actor: small files are merged, and rows that are too old are deleted.

A busy cluster writes two files a second, and reading takes milliseconds a file. Merging happens in a thread beside the
writing; a reader counts each row once at any moment of a merge.
"""

from __future__ import annotations

import asyncio
import logging
import time
from typing import Any

from placement.errors import PlacementError

KEEP_DAYS = 30.0  # production rows are kept for so long unless `placement.start(keep_days=)` says otherwise
FILES = 500  # written since the last merge
BELOW_BYTES = 1e6  # a file this large has been merged, or needs no merge
EXPIRE_EVERY_S = 86_400.0

logger = logging.getLogger("placement")


class Retention:
    """Counts the files that the actor writes, and merges them now and then."""

    def __init__(self) -> None:
        self.files = 0
        self._under_way: asyncio.Task[None] | None = None
        self._expired_at = time.monotonic()

    def count_file(self, log: str, keep_days: float | None) -> None:
        """One more file was written; starts a merge where it is time, and none is under way."""
        self.files += 1
        if self.files >= FILES and (self._under_way is None or self._under_way.done()):
            self.files = 0
            self._under_way = asyncio.create_task(self._tidy(log, KEEP_DAYS if keep_days is None else keep_days))

    async def _tidy(self, log: str, keep_days: float) -> None:
        try:
            await asyncio.to_thread(tidy, log, keep_days, self._due())
        except (OSError, PlacementError) as error:  # the log is whole; the next merge tries again
            logger.warning("the log %s was not compacted: %s", log, error)

    def _due(self) -> bool:
        now = time.monotonic()
        if now - self._expired_at < EXPIRE_EVERY_S:
            return False
        self._expired_at = now
        return True


def tidy(log: str, keep_days: float, expire_too: bool) -> Any:
    """Merges small files and drops production rows older than `keep_days`; large files are dropped once a day."""
    from placement.log import compact, expire

    days = None if keep_days == float("inf") else keep_days
    if expire_too and days is not None:
        expire(log, days)
    return compact(log, days, below_bytes=BELOW_BYTES, source="production")
