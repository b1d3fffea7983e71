"""The plain data that `placement.status()` returns and `placement status` shows: nodes, queues, decisions, records."""

from __future__ import annotations

import time
from typing import Any

import ray

from placement.control_plane.configuration import Configuration
from placement.control_plane.learning import Learning
from placement.control_plane.load_monitor import LoadMonitor
from placement.control_plane.metrics import Metrics
from placement.control_plane.revision import Revision
from placement.control_plane.trial_account import TrialAccount
from placement.log.ingest import Ingest
from placement.prediction.runtime_history import History
from placement.scheduling.policies.registry import name_of
from placement.spec.node import Inventory

SETTLE_S = 5.0


def status_of(
    configuration: Configuration, revision: Revision, ingest: Ingest, history: History, inventory: Inventory, *,
    pending_nodes: int, began: float,
) -> dict[str, Any]:  # fmt: skip
    """Counts, versions and nodes. began: of this life of the actor, by time.monotonic()."""
    return {
        **ingest.counts(), "version": revision.number, "selector": configuration.selector.version,
        "nodes": {kind.spec.config: kind.count for kind in inventory.kinds},
        "history": len(history), "log": configuration.settings.log, "learn": bool(configuration.settings.learn),
        "pending_nodes": pending_nodes, "settling_s": settling_s(began),
    }  # fmt: skip


def settling_s(began: float) -> float:
    """Seconds until workers whose batches met a dead actor have surely sent them again to this one."""
    restarted = ray.get_runtime_context().was_current_actor_reconstructed
    return max(0.0, SETTLE_S - (time.monotonic() - began)) if restarted else 0.0


def cluster_view(
    configuration: Configuration, revision: Revision, ingest: Ingest, history: History, inventory: Inventory
) -> dict[str, Any]:
    """The selector and the policy in service, the records and the nodes."""
    return {
        "selector": configuration.selector.version, "policy": name_of(configuration.policy),
        "snapshot": revision.number, "log": configuration.settings.log, "history": len(history),
        **ingest.counts(), "nodes": node_rows(inventory),
    }  # fmt: skip


def work_view(
    configuration: Configuration, monitor: LoadMonitor, metrics: Metrics, learning: Learning, trials: TrialAccount
) -> dict[str, Any]:
    """The queues as last polled, the last decisions, the learner's events and what exploration took."""
    return {
        "queues_age_s": monitor.backlog.age_s, "queues": queue_rows(monitor), "decisions": list(metrics.last)[::-1],
        "learning": learning.view(bool(configuration.settings.learn)),
        "exploration": trials.view(configuration.exploration),
    }  # fmt: skip


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
