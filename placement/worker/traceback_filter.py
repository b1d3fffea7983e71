"""Tracebacks that hold the user's frames alone, as Ray's own do."""

from __future__ import annotations

import os
import re

from placement.ray_internals.worker_hooks import edit_tracebacks

_OWN = f'  File "{os.path.dirname(os.path.dirname(os.path.abspath(__file__)))}{os.sep}'
_GROUPED = re.compile(r"^ *\| ")  # what stands before each line of an exception group's traceback
_hidden = False


def hide_own_frames() -> None:
    """From now on this worker leaves the frames of this package out of the tracebacks it sends to callers."""
    global _hidden
    if _hidden:
        return
    _hidden = True
    edit_tracebacks(without_own_frames)


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
