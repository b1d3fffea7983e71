"""Changes of the run-time history since a revision, so that callers receive the changed entries alone."""

from __future__ import annotations

from placement.control_plane.revision import Revision
from placement.prediction.runtime_history import History, Key, RunHistory


class HistoryChanges:
    """The revision at which each entry of a History last changed."""

    def __init__(self, history: History) -> None:
        self._history = history
        self._changed_at: dict[Key, int] = {}

    def collect(self, revision: Revision) -> None:
        """Advances the revision where entries have changed since the last call, and notes them under it."""
        changes = self._history.changes()
        if changes:
            revision.advance()
            self._changed_at |= dict.fromkeys(changes, revision.number)
            self._changed_at = {key: at for key, at in self._changed_at.items() if self._history.get(key)}

    def since(self, revision: int | None) -> dict[Key, RunHistory]:
        """The entries that changed after a revision; None: all entries."""
        if revision is None:
            return self._history.everything()
        return {
            key: entry
            for key, at in self._changed_at.items()
            if at > revision and (entry := self._history.get(key)) is not None
        }
