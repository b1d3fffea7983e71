"""The placement actor's handle, looked up by name; Ray is played."""

from __future__ import annotations

from typing import Any

import pytest
import ray

from placement.control_plane import actor_lookup


def test_the_actors_module_is_imported_before_ray_loads_its_class_under_its_lock(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Every task's worker takes that lock first: whoever waits for an import must not hold it."""
    steps = []

    def get_actor(name: str, namespace: str) -> Any:
        steps.append("get_actor")
        return "handle"

    monkeypatch.setattr(ray, "get_actor", get_actor)
    monkeypatch.setattr(actor_lookup.importlib, "import_module", steps.append)
    monkeypatch.setattr(actor_lookup, "session_id", lambda: "a session of its own")
    monkeypatch.setattr(actor_lookup, "_handle", None)
    monkeypatch.setattr(actor_lookup, "_handle_session", None)
    assert actor_lookup.find_actor() == "handle"
    assert steps == ["placement.control_plane.placement_actor", "get_actor"]
