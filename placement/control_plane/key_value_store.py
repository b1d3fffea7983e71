"""Ray's key-value store: it outlives the placement actor, and every process of the cluster reads it."""

from __future__ import annotations

from typing import Protocol

from placement.control_plane.ray_context import NAMESPACE
from placement.ray_internals import control_store


class KeyValueStore(Protocol):
    """The part of a dict that is used of a store."""

    def get(self, key: str, /) -> bytes | None:
        """The value of a key; None where there is none."""
        ...

    def __setitem__(self, key: str, value: bytes, /) -> None: ...

    def __delitem__(self, key: str, /) -> None: ...


class RayKeyValueStore:
    """The keys of this library's namespace in the cluster's store."""

    def __init__(self) -> None:
        self._namespace = NAMESPACE.encode()

    def get(self, key: str, /) -> bytes | None:
        """The value of a key; None where there is none."""
        value: bytes | None = control_store.get(key.encode(), namespace=self._namespace)
        return value

    def __setitem__(self, key: str, value: bytes, /) -> None:
        control_store.put(key.encode(), value, overwrite=True, namespace=self._namespace)

    def __delitem__(self, key: str, /) -> None:
        control_store.delete(key.encode(), namespace=self._namespace)
