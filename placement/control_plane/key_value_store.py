"""Ray's key-value store as a mapping: it outlives the placement actor, and every process of the cluster reads it."""

from __future__ import annotations

from collections.abc import Iterator, MutableMapping

from ray.experimental.internal_kv import _internal_kv_del, _internal_kv_get, _internal_kv_list, _internal_kv_put

from placement.control_plane.ray_context import NAMESPACE


class RayKeyValueStore(MutableMapping[str, bytes]):
    """The keys of this library's namespace; reading one that is not there raises KeyError."""

    def __init__(self) -> None:
        self._namespace = NAMESPACE.encode()

    def __getitem__(self, key: str) -> bytes:
        value = _internal_kv_get(key.encode(), namespace=self._namespace)
        if value is None:
            raise KeyError(key)
        return bytes(value)

    def __setitem__(self, key: str, value: bytes) -> None:
        _internal_kv_put(key.encode(), value, overwrite=True, namespace=self._namespace)

    def __delitem__(self, key: str) -> None:
        if not _internal_kv_del(key.encode(), namespace=self._namespace):
            raise KeyError(key)

    def __iter__(self) -> Iterator[str]:
        return (bytes(key).decode() for key in _internal_kv_list(b"", namespace=self._namespace))

    def __len__(self) -> int:
        return sum(1 for _ in self)
