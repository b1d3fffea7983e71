"""An error of this package, of a file or of a missing extra, as one line and exit code 2 instead of a traceback."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from placement.errors import MissingExtraError, PlacementError

EXTRA_MODULES = frozenset({
    "av", "joblib", "matplotlib", "pandas", "scipy", "sklearn", "torch", "torchvision", "transformers", "xgboost",
    "PIL", "threadpoolctl", "tokenizers",
})  # fmt: skip
"""The libraries of the extra `profiling`, and those they bring, by the names under which they are imported here."""


@contextmanager
def error_line() -> Iterator[None]:
    """Ends the command with one red line on stderr where its body raises PlacementError or OSError.

    So it does where a library of the extra `profiling` is missing; another module that is missing is a fault of ours.
    """
    try:
        yield
    except (PlacementError, OSError) as error:
        _end(error)
    except ModuleNotFoundError as error:
        library = (error.name or "").partition(".")[0]
        if library not in EXTRA_MODULES:
            raise
        _end(MissingExtraError.of_profiling("this command", library))


def _end(error: Exception) -> None:
    from rich.console import Console
    from rich.text import Text

    name = "" if isinstance(error, PlacementError) else f"{type(error).__name__}: "
    text = " ".join(f"error: {name}{error}".split())
    Console(stderr=True, soft_wrap=True).print(Text(text, style="bold red"))
    raise SystemExit(2) from None
