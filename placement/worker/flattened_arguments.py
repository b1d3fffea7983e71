"""An Envelope's way among a task's arguments: in the place of the first one's name, so that it costs no argument.

Ray sends arguments as a flat list: a name and a value for each, NAMELESS where it was given by position. Every item is
serialised and read by itself, and each costs both sides several microseconds, bytes the least of all. A name that is
bytes and not NAMELESS is ours: keywords are strings.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

NAMELESS = b"__RAY_DUMMY__"
"""ray._common.signature.DUMMY_TYPE."""
BY_POSITION, BY_NAME, NONE_FOLLOWS = b"\x00placed:", b"\x00placed=", b"\x00placed."
"""The beginning of such a name, by the kind of the first argument; all of one length."""
LENGTH = 4  # bytes that tell the Envelope's own, where a keyword follows it
KEYWORDS = ("utf-8", "surrogatepass")  # any str may be a keyword


def flattened(args: Sequence[Any], kwargs: Mapping[str, Any], packed: bytes | None = None) -> list[Any]:
    """The flat list of arguments, as `ray._common.signature.flatten_args` makes it. packed: an Envelope to go along."""
    flat: list[Any] = [part for arg in args for part in (NAMELESS, arg)]
    for name, value in kwargs.items():
        flat += (name, value)
    if packed is None:
        return flat
    if args:
        flat[0] = BY_POSITION + packed
    elif flat:
        flat[0] = b"".join((BY_NAME, len(packed).to_bytes(LENGTH, "little"), packed, flat[0].encode(*KEYWORDS)))
    else:
        flat.append(NONE_FOLLOWS + packed)
    return flat


def carries(flat: Sequence[Any]) -> bool:
    """An Envelope came with these arguments."""
    return bool(flat) and type(flat[0]) is bytes and flat[0] != NAMELESS


def opened(flat: list[Any]) -> bytes:
    """The Envelope that came with arguments; it leaves the flat list as Ray makes it. Of what `carries` one only."""
    name: bytes = flat[0]
    kind, packed = name[: len(BY_POSITION)], name[len(BY_POSITION) :]
    if kind == BY_POSITION:
        flat[0] = NAMELESS
    elif kind == NONE_FOLLOWS:
        flat.clear()
    else:
        end = LENGTH + int.from_bytes(packed[:LENGTH], "little")
        packed, flat[0] = packed[LENGTH:end], packed[end:].decode(*KEYWORDS)
    return packed
