"""The cluster's free resources and waiting requests, and the nodes that hold objects."""

from __future__ import annotations

from typing import Any

from placement.ray_internals.connection import connection

try:
    from ray._common.constants import HEAD_NODE_RESOURCE_NAME
except ImportError:
    HEAD_NODE_RESOURCE_NAME = ""


def on_head() -> dict[str, float]:
    """The resources that keep an actor on the head; none where Ray's name for it is not known."""
    return {HEAD_NODE_RESOURCE_NAME: 0.001} if HEAD_NODE_RESOURCE_NAME else {}


def free_resources_by_node() -> dict[str, dict[str, float]] | None:
    """node id -> what is free there; None where Ray does not tell."""
    try:
        from ray._private.state import available_resources_per_node
    except ImportError:
        return None
    found: dict[str, dict[str, float]] = available_resources_per_node()
    return found


def resource_state() -> Any:
    """Ray's ClusterResourceState: nodes, and all that waits for one; None where Ray does not tell."""
    try:
        from ray.autoscaler.v2.sdk import get_cluster_resource_state
        from ray.core.generated import autoscaler_pb2, common_pb2  # noqa: F401 - what is_dead and is_one_of read
    except ImportError:
        return None
    gcs_client = getattr(connection, "gcs_client", None)
    return None if gcs_client is None else get_cluster_resource_state(gcs_client)


def is_dead(node: Any) -> bool:
    """A node of that state has gone."""
    from ray.core.generated import autoscaler_pb2

    return bool(node.status == autoscaler_pb2.NodeStatus.Value("DEAD"))  # type: ignore[attr-defined]


def is_one_of(label_constraint: Any) -> bool:
    """A label constraint of that state asks for one of its values, and not for none of them."""
    from ray.core.generated import common_pb2

    return bool(label_constraint.operator == common_pb2.LabelSelectorOperator.Value("LABEL_OPERATOR_IN"))  # type: ignore[attr-defined]


def object_locations(refs: list[Any]) -> dict[Any, dict[str, Any]]:
    """ref -> its size and nodes, of refs that this process owns."""
    try:
        from ray.experimental import get_local_object_locations
    except ImportError:
        return {}
    found: dict[Any, dict[str, Any]] = get_local_object_locations(refs)
    return found
