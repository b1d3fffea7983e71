"""A revision number that rises with every change, and coroutines that wait for it to rise."""

from __future__ import annotations

import asyncio
from contextlib import suppress


class Revision:
    """Coroutines of one event loop advance it, publish it and wait for it."""

    def __init__(self, first: int) -> None:
        self.number = first
        self._published = asyncio.Condition()

    def advance(self) -> None:
        """Counts a change; those who wait are woken by the next `publish`."""
        self.number += 1

    async def publish(self) -> None:
        """Wakes those who wait for a number that has been passed."""
        async with self._published:
            self._published.notify_all()

    async def wait_beyond(self, known: int, timeout_s: float) -> None:
        """Returns once a number above `known` is published, or after `timeout_s`."""
        with suppress(TimeoutError):
            async with asyncio.timeout(timeout_s), self._published:
                await self._published.wait_for(lambda: self.number > known)
