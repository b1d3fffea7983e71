"""What `placement status` shows, as plain data: nodes, queues, the last decisions, the records."""

from __future__ import annotations

from typing import Any

from placement.control_plane.load_monitor import Queues
from placement.scheduling.policies.registry import name_of


def view(actor: Any) -> dict[str, Any]:
    """Of a PlacementActor, from inside it. Seconds and ages are those of now; None = not known."""
    return {
        "selector": actor.selectors[-1].version, "policy": name_of(actor.policy), "snapshot": actor.version,
        "log": actor.settings.log, "history": len(actor.history), **actor.intake.counts(),
        "nodes": [
            {"config": k.spec.config, "count": k.count, "cpus": k.grants_cpus, "gpus": k.grants_gpus,
             "cpu_name": k.spec.cpu_name, "gpu_name": k.spec.gpu_name, "emulated": k.spec.emulated}
            for k in actor.inventory.kinds
        ],
        "queues_age_s": actor.queues.backlog.age_s, "queues": queues(actor.queues),
        "decisions": list(actor.metrics.last)[::-1],
    }  # fmt: skip


def queues(known: Queues) -> list[dict[str, Any]]:
    """A row for each (config, device): slots, tasks running and waiting, and the wait expected."""
    return [
        {"config": config, "device": device, "slots": load.slots, "tasks": load.tasks,
         "wait_s": known.backlog.wait_s(config, device)}
        for (config, device), load in sorted(known.backlog.loads().items())
    ]  # fmt: skip
