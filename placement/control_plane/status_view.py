"""The plain data that `placement status` shows: nodes, queues, the last decisions, the records."""

from __future__ import annotations

from typing import Any

from placement.control_plane.load_monitor import LoadMonitor
from placement.spec.node import Inventory


def node_rows(inventory: Inventory) -> list[dict[str, Any]]:
    """A row for each kind of node; not_measured: why figures of it are missing."""
    return [
        {"config": k.spec.config, "count": k.count, "cpus": k.grants_cpus, "gpus": k.grants_gpus,
         "cpu_name": k.spec.cpu_name, "gpu_name": k.spec.gpu_name, "emulated": k.spec.emulated,
         "not_measured": list(k.spec.not_measured)}
        for k in inventory.kinds
    ]  # fmt: skip


def queue_rows(monitor: LoadMonitor) -> list[dict[str, Any]]:
    """A row for each (config, device): slots, tasks running and waiting, and the expected wait of a new one, s."""
    return [
        {"config": config, "device": device, "slots": load.slots, "tasks": load.tasks,
         "wait_s": monitor.backlog.wait_s(config, device)}
        for (config, device), load in sorted(monitor.backlog.loads().items())
    ]  # fmt: skip
