"""cluster.yaml against Ray's own schema, as `ray up` checks it."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml
from ray.autoscaler._private.util import fillout_defaults, validate_config

PROJECT = Path(__file__).resolve().parents[2]


def cluster() -> dict:
    return yaml.safe_load((PROJECT / "cluster.yaml").read_text())


def test_ray_takes_the_cluster_file() -> None:
    validate_config(fillout_defaults(cluster()))


def test_the_check_refuses_what_ray_does_not_know() -> None:
    with pytest.raises(Exception, match="nonsense"):
        validate_config(fillout_defaults({**cluster(), "nonsense": 1}))


def test_every_kind_carries_its_config_label() -> None:
    types = cluster()["available_node_types"]
    assert {name: kind["labels"]["config"] for name, kind in types.items()} == {name: name for name in types}
    assert {"A", "B", "C", "D"} <= types.keys()


def test_token_authentication_is_on() -> None:
    config = cluster()
    starts = [c for c in config["head_start_ray_commands"] + config["worker_start_ray_commands"] if "ray start" in c]
    assert starts
    assert all("RAY_AUTH_MODE=token" in command for command in starts)
    assert "~/.ray/auth_token" in config["file_mounts"]
