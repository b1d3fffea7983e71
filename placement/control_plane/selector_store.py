"""The selectors in service: the current one and those before it, kept where every process of the cluster reads them.

A version names one content for the whole life of a SelectorStore, because callers and the log know a selector by its
version alone.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from typing import Any

from placement.control_plane.key_value_store import KeyValueStore
from placement.errors import ControlPlaneError, SelectorError
from placement.prediction.selector import Selector
from placement.prediction.selector_file import selector_of

MOST_SELECTORS = 8  # the current one and those that can be rolled back to


class SelectorStore:
    """The stack of selectors in service; the last one is current.

    store: where their content lies by `selector_key`; those that can no longer be rolled back to are deleted there.
    """

    def __init__(self, store: KeyValueStore) -> None:
        self._store = store
        self._selectors: list[Selector] = []
        self._digests: dict[str, bytes] = {}

    @property
    def current(self) -> Selector:
        """The selector in service."""
        return self._selectors[-1]

    @property
    def versions(self) -> tuple[str, ...]:
        """The versions that can be rolled back to, oldest first, and the current one."""
        return tuple(selector.version for selector in self._selectors)

    def serve(self, selector: Selector) -> None:
        """Makes a selector the current one. Raises SelectorError where its version is known with other content."""
        data = json.dumps(selector.to_dict()).encode()
        digest = hashlib.sha256(data).digest()
        if self._digests.setdefault(selector.version, digest) != digest:
            raise SelectorError(
                f"a selector with other content is or was in service as version {selector.version!r}, by which callers "
                'and the log know it. Give this one a "version" of its own, or leave it out: it is then named by its '
                "content."
            )
        if not self._selectors or self.current.version != selector.version:
            self._store[selector_key(selector.version)] = data
            self._keep([*self._selectors, selector])

    def rollback(self) -> None:
        """Makes the selector before the current one current again. Raises SelectorError where there is none."""
        if len(self._selectors) < 2:
            raise SelectorError("rollback: no selector was in service before this one.")
        self._keep(self._selectors[:-1])

    def to_list(self) -> list[dict[str, Any]]:
        """All selectors as plain data, oldest first."""
        return [selector.to_dict() for selector in self._selectors]

    def restore(self, selectors: Iterable[Mapping[str, Any]]) -> None:
        """Serves each selector of `to_list`'s data in turn."""
        for one in selectors:
            self.serve(selector_of(one))

    def _keep(self, selectors: list[Selector]) -> None:
        before = set(self.versions)
        self._selectors = selectors[-MOST_SELECTORS:]
        for version in before - set(self.versions):
            del self._store[selector_key(version)]


def selector_key(version: str) -> str:
    """The key of a selector's content."""
    return f"selector:{version}"


def stored_selector(store: KeyValueStore, version: str) -> Selector:
    """The selector of a version in service. Raises ControlPlaneError where it has left service since."""
    data = store.get(selector_key(version))
    if data is None:
        raise ControlPlaneError(f"the selector {version} is in service, and the cluster's key-value store has it not.")
    return selector_of(json.loads(data))
