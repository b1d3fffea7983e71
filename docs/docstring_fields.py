"""Griffe extension: the fields that a docstring explains as `name: text` become a list, as the sources write them.

The docstrings of this project name parameters and attributes in plain lines, `name: what it is.  other: ...`. Markdown
would run these together into one paragraph.
"""

from __future__ import annotations

import re
from typing import Any

import griffe

FIELD = re.compile(r"(?:^|(?<=\s\s)|(?<=[;.] ))([a-z_]+(?:, \*?[a-z_]+)*): ", re.MULTILINE)


def listed(text: str, names: set[str]) -> str:
    """The docstring with each field as an item of a list; other lines stay as they are.

    A field is one of `names`, or stands in a paragraph that begins with a field.
    """
    blocks = re.split(r"(\n\s*\n)", text)
    return "".join(block if block.isspace() else _listed_block(block, names) for block in blocks)


def _listed_block(block: str, names: set[str]) -> str:
    if block.startswith("    "):
        return block  # code
    of_known = [m for m in FIELD.finditer(block) if set(re.split(r", \*?", m[1])) & names]
    found = list(FIELD.finditer(block)) if FIELD.match(block) else of_known
    if not found:
        return block
    before = block[: found[0].start()].rstrip()
    ends = [m.start() for m in found[1:]] + [len(block)]
    items = [f"- **`{m[1]}`**: {_one_line(block[m.end() : end])}" for m, end in zip(found, ends, strict=True)]
    rest = ""
    if "\nRaises " in items[-1] or "\nReturns " in items[-1]:
        items[-1], rest = _last_sentences(items[-1])
    return "\n\n".join(part for part in (before, "\n".join(items), rest) if part)


def _last_sentences(item: str) -> tuple[str, str]:
    at = min(i for word in ("\nRaises ", "\nReturns ") if (i := item.find(word)) >= 0)
    return item[:at], item[at + 1 :]


def _one_line(text: str) -> str:
    """Continued lines joined, but for those that begin a sentence on what is returned or raised."""
    lines = [line.strip() for line in text.strip().rstrip(";").split("\n")]
    joined = lines[0]
    for line in lines[1:]:
        joined += ("\n" if line.startswith(("Raises ", "Returns ")) else " ") + line
    return joined


class NamedFields(griffe.Extension):
    """Rewrites the docstrings of functions and classes before they are rendered."""

    def on_function(self, *, func: griffe.Function, **_: Any) -> None:
        """Fields are the parameters."""
        if func.docstring:
            func.docstring.value = listed(func.docstring.value, {p.name for p in func.parameters})

    def on_class(self, *, cls: griffe.Class, **_: Any) -> None:
        """Fields are the members, and the parameters of __init__."""
        if cls.docstring:
            names = set(cls.members) | {p.name for p in cls.parameters}
            cls.docstring.value = listed(cls.docstring.value, names)
