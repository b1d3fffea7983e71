"""The session of a command: the console it prints to and the cluster it is connected to."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.console import Console


def connect(address: str | None, *, start: bool = False) -> None:
    """Connects to the cluster at an address, or to the one that runs here; else starts one where `start` allows.

    Raises NotServedError where there is none.
    """
    from profiling.cli.explain import connected

    if not connected(address, start=start):
        from placement.errors import NotServedError

        raise NotServedError("no Ray cluster was found; start one with `ray start --head`, or name it by --address.")


def console() -> Console:
    """Where tables and progress bars go."""
    from profiling.terminal import TerminalConsole

    return TerminalConsole()
