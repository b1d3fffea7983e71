"""This process's connection to a cluster."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

import ray

try:
    from ray._private.auto_init_hook import auto_init_ray
except ImportError:

    def auto_init_ray() -> Any:
        """Connects this process where it is not connected."""
        if not ray.is_initialized():
            ray.init()


try:
    from ray._private.client_mode_hook import client_mode_should_convert
except ImportError:

    def client_mode_should_convert() -> Any:
        """Ray Client is not told from others."""
        return False


class PublicConnection:
    """The part of Ray's `global_worker` that is used here, by the public API."""

    load_code_from_local = False
    core_worker = None

    def __init__(self) -> None:
        self._nodes: dict[Any, _Node] = {}

    @property
    def connected(self) -> bool:
        """The process is connected to a cluster."""
        return bool(ray.is_initialized())

    def check_connected(self) -> None:
        """Raises where the process is not connected."""
        ray.get_runtime_context().get_job_id()

    @property
    def mode(self) -> Any:
        """ray.WORKER_MODE in a worker; None elsewhere."""
        if not ray.is_initialized():
            return None
        return getattr(getattr(ray.get_runtime_context(), "worker", None), "mode", None)

    @property
    def current_cluster_and_job(self) -> tuple[str, str]:
        """The cluster's address and the job."""
        context = ray.get_runtime_context()
        return context.gcs_address, context.get_job_id()

    @property
    def should_capture_child_tasks_in_placement_group(self) -> bool:
        """The running task's placement group takes its children."""
        return bool(ray.get_runtime_context().should_capture_child_tasks_in_placement_group)

    @property
    def node(self) -> Any:
        """An object that is another one after another ray.init(); None where the process is not connected."""
        if not ray.is_initialized():
            return None
        key = self.current_cluster_and_job
        if key not in self._nodes:
            self._nodes = {key: _Node()}
        return self._nodes[key]


class _Node:
    """Stands for the node of one connection."""

    def get_session_dir_path(self) -> str:
        """A folder for files of this node's processes."""
        address, _ = connection.current_cluster_and_job
        return str(Path(tempfile.gettempdir(), "placement-sessions", address.replace(":", "-")))


_USED = ("connected", "check_connected", "current_cluster_and_job", "should_capture_child_tasks_in_placement_group")


def _connection() -> Any:
    """Ray's own `global_worker` where it has what is used of it."""
    try:
        from ray._private.worker import global_worker
    except ImportError:
        return PublicConnection()
    there = all(hasattr(type(global_worker), name) for name in _USED) and hasattr(global_worker, "mode")
    return global_worker if there else PublicConnection()


connection: Any = _connection()
"""Ray's `global_worker`, or what stands in for it."""


def in_worker() -> bool:
    """This process is a worker of Ray's."""
    return bool(connection.mode == ray.WORKER_MODE)


def is_own_actor(instance: object) -> bool:
    """An object is the actor that this worker process runs; where Ray does not tell, a worker's any object is."""
    if not in_worker():
        return False
    actors = getattr(connection, "actors", None)
    return actors is None or actors.get(connection.actor_id) is instance


def running_task_id() -> bytes:
    """Ray's id of the task that this thread runs."""
    core = connection.core_worker
    if core is not None and hasattr(core, "get_current_task_id"):
        task_id: bytes = core.get_current_task_id().binary()
        return task_id
    return bytes.fromhex(ray.get_runtime_context().get_task_id() or "")


def session_folder() -> Path:
    """A folder of this node's Ray session; it lasts as long as the session."""
    return Path(connection.node.get_session_dir_path())
