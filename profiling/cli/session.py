"""The session of a command: the console it prints to and the cluster it is connected to."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from placement.errors import NotServedError

if TYPE_CHECKING:
    from rich.console import Console


def connect(address: str | None, *, start: bool = False) -> None:
    """Connects to the cluster at an address, or to the one that runs here; else starts one where `start` allows.

    Raises NotServedError where there is none.
    """
    if not connected(address, start=start):
        raise NotServedError("no Ray cluster was found; start one with `ray start --head`, or name it by --address.")


def connected(address: str | None, *, start: bool = False) -> bool:
    """Whether this process is now connected to a cluster: at the address, or the one that runs on this machine.

    start: start one on this machine where none runs. Raises NotServedError where nothing answers at the address.
    """
    import ray

    if ray.is_initialized():
        return True
    try:
        ray.init(address=address or "auto", logging_level=logging.ERROR, log_to_driver=False)
    except (ConnectionError, RuntimeError) as error:
        if address is not None:
            reason = str(error).split("\n", 1)[0]
            raise NotServedError(f"no Ray cluster answers at {address!r} ({reason}).") from None
        if not start:
            return False
        ray.init(address="local", logging_level=logging.ERROR, log_to_driver=False)
    return True


def console() -> Console:
    """The console for tables and progress bars."""
    from profiling.terminal import TerminalConsole

    return TerminalConsole()
