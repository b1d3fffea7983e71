"""Whether this thread runs an event loop, which stands still while a call waits."""

from __future__ import annotations

import asyncio


def on_event_loop() -> bool:
    """This thread runs an event loop: an async actor's, a Serve replica's, a notebook's."""
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return False
    return True
