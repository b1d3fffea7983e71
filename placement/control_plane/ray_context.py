"""This process's place in Ray: its session, its node, the labels and the folder of that node."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import ray

from placement.ray_internals.connection import connection, session_folder

NAME = NAMESPACE = "placement"


def session_id() -> Any:
    """An identity of the connection to a cluster; it differs after ray.shutdown() and ray.init()."""
    return connection.current_cluster_and_job


def own_node_id() -> str:
    """Ray's id of the node this process runs on."""
    return str(ray.get_runtime_context().get_node_id())


def own_folder() -> Path:
    """A folder for this node alone, beside those of other nodes on its machine; it lasts as long as the Ray session."""
    return session_folder() / NAMESPACE / own_node_id()


def own_label(name: str) -> str | None:
    """A Ray label of the node this process runs on; None where it has none of that name."""
    value: Any = ray.get_runtime_context().get_node_labels().get(name)
    return value[0] if isinstance(value, list) else value
