"""An error of this package, or of a file, as one line and exit code 2 instead of a traceback."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from placement.errors import PlacementError


@contextmanager
def error_line() -> Iterator[None]:
    """Ends the command with one red line on stderr where its body raises PlacementError or OSError."""
    try:
        yield
    except (PlacementError, OSError) as error:
        from rich.console import Console
        from rich.text import Text

        name = "" if isinstance(error, PlacementError) else f"{type(error).__name__}: "
        text = " ".join(f"error: {name}{error}".split())
        Console(stderr=True, soft_wrap=True).print(Text(text, style="bold red"))
        raise SystemExit(2) from None
