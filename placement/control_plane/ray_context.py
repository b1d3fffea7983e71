"""What this process is in Ray: its session, its node, the labels and the folder of that node."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import ray

from placement.ray_internals.connection import connection, session_folder

NAME = NAMESPACE = "placement"


def session_id() -> Any:
    """Names the connection to a cluster: another after ray.shutdown() and ray.init()."""
    return connection.current_cluster_and_job


def own_node_id() -> str:
    """Ray's id of the node this process runs on."""
    return str(ray.get_runtime_context().get_node_id())


def own_folder() -> Path:
    """A folder of this node's, beside those of other nodes on its machine; it lasts as long as the Ray session."""
    return session_folder() / NAMESPACE / own_node_id()


def own_label(name: str) -> str | None:
    """A Ray label of the node this process runs on."""
    value: Any = ray.get_runtime_context().get_node_labels().get(name)
    return value[0] if isinstance(value, list) else value


def served_key(version: str) -> bytes:
    """Where Ray's key-value store has a selector that is or was in service."""
    return f"selector:{version}".encode()
