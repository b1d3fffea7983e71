"""The cluster's settings and counters in a key-value store, from which a restarted placement actor takes them up."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

from placement.control_plane.key_value_store import KeyValueStore
from placement.messages.control import Settings

STORED = (
    "log", "emulator", "compression", "keep_days", "node_types", "node_types_complete", "exploration", "learn",
    "seconds_per_joule",
)  # fmt: skip
"""The settings that are plain data; a policy is stored where it is a name, since an object of the user's is no data."""
KEY = "settings"
TRIALS = "trials"


def save_settings(store: KeyValueStore, settings: Settings, selectors: list[dict[str, Any]]) -> None:
    """Stores the settings and the selectors, as `SelectorStore.to_list` gives them."""
    data: dict[str, Any] = {name: getattr(settings, name) for name in STORED}
    data["selectors"] = selectors
    if isinstance(settings.policy, str):
        data["policy"] = settings.policy
    store[KEY] = json.dumps(data).encode()


def load_settings(store: KeyValueStore, settings: Settings) -> tuple[Settings, list[dict[str, Any]]] | None:
    """`settings` changed to those stored, and the selectors; None where nothing is stored."""
    stored = store.get(KEY)
    if not stored:
        return None
    data = json.loads(stored)
    selectors = data.pop("selectors")
    return replace(settings, **data), selectors


def save_trials(store: KeyValueStore, counts: dict[str, float]) -> None:
    """Stores the counts of exploration, where they have changed."""
    data = json.dumps(counts).encode()
    if store.get(TRIALS) != data:
        store[TRIALS] = data


def load_trials(store: KeyValueStore) -> dict[str, float]:
    """The counts of exploration; empty where none were stored."""
    return dict(json.loads(store.get(TRIALS) or b"{}"))


def load_count(store: KeyValueStore, name: str) -> int:
    """A counter; 0 where none was stored."""
    return int(store.get(name) or 0)


def save_count(store: KeyValueStore, name: str, count: int) -> None:
    """Stores a counter."""
    store[name] = str(count).encode()
