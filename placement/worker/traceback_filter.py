"""Tracebacks that hold the user's frames alone, as Ray's own do."""

from __future__ import annotations

import os
import re
from typing import Any

from ray._private import utils

_OWN = f'  File "{os.path.dirname(os.path.dirname(os.path.abspath(__file__)))}{os.sep}'
_GROUPED = re.compile(r"^ *\| ")  # what stands before each line of an exception group's traceback
_hidden = False


def hide_own_frames() -> None:
    """From now on this worker leaves the frames of this package out of the tracebacks it sends to callers.

    Ray renders a task's traceback in one place, and there drops the lines of its own worker code.
    """
    global _hidden
    if _hidden:
        return
    _hidden = True
    rendered = utils.format_error_message

    def format_error_message(exception_message: str, task_exception: bool = False) -> Any:
        return rendered(without_own_frames(exception_message), task_exception)

    utils.format_error_message = format_error_message


def without_own_frames(text: str) -> str:
    """A rendered traceback without the frames whose file is one of this package's."""
    lines, ours = [], False
    for line in text.split("\n"):
        frame = _GROUPED.sub("", line)
        if frame.startswith('  File "'):
            ours = frame.startswith(_OWN)
        elif not frame.startswith("    "):
            ours = False
        if not ours:
            lines.append(line)
    return "\n".join(lines)
