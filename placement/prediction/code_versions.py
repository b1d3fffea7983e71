"""The versions of a function's code, by the keys under which history keeps their runs.

A key's function is `name@hash:task_name`: the hash changes with the code, the rest does not. Code that changed begins
with the runs of the version before it. A name that stands for several functions at once (a lambda, a function made by
another, a function of a script whose file is not known) has no versions: what is under it shares nothing.
"""

from __future__ import annotations

from typing import Final

HASH_LENGTH: Final = 16
MAIN: Final = "__main__."

Size = tuple[int | None, ...]
Key = tuple[str, Size]


def lasting_name(function: str) -> str | None:
    """The part of a key's function that outlasts a change of its code; None where it may be another function's."""
    name, _, rest = function.partition("@")
    return None if "<" in name or name.startswith(MAIN) else name + rest[HASH_LENGTH:]


class CodeVersions:
    """The functions of each lasting name and size that have runs, oldest first."""

    def __init__(self) -> None:
        self._functions: dict[Key, dict[str, None]] = {}
        self._current: set[str] = set()

    def add(self, key: Key) -> None:
        """The key has the newest run."""
        name = lasting_name(key[0])
        if name is not None:
            functions = self._functions.setdefault((name, key[1]), {})
            functions.pop(key[0], None)
            functions[key[0]] = None

    def remove(self, key: Key) -> None:
        """The key has no runs any more."""
        family = (lasting_name(key[0]) or "", key[1])
        functions = self._functions.get(family)
        if functions is not None:
            functions.pop(key[0], None)
            if not functions:
                del self._functions[family]

    def mark_current(self, function: str) -> bool:
        """The function is in use, and thus no earlier version; False where that was known."""
        if function in self._current or lasting_name(function) is None:
            return False
        self._current.add(function)
        return True

    def before(self, key: Key) -> Key | None:
        """The key of the version of the same size that ran last, other than this and those in use; None without one."""
        name = lasting_name(key[0])
        functions = None if name is None else self._functions.get((name, key[1]))
        if functions is None:
            return None
        earlier = [one for one in tuple(functions) if one != key[0] and one not in self._current]
        return (earlier[-1], key[1]) if earlier else None
